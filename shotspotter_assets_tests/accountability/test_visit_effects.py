import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.accountability.visit_effects import (
    MIN_DRAWS,
    NO_COMPLETE_LOG,
    read_lots,
    trial_of,
    visit_effects,
)
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, dispatch_table, lots_table, write_plan
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.grid.cells import cell_middles
from shotspotter_assets.storage.catalogue import CLEANED, LOTS, PATROLS_MADE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city

FIRST = date(2024, 5, 1)
CITY = patrol_city(6, 6, (3, 3, 3), zone="America/New_York", lottery=1.5)
IN_COVERAGE = np.ones(CITY.shape, bool)
AREAS = np.full(CITY.shape, "a")
EXPECTED = np.random.default_rng(0).gamma(0.8, 0.3, (3, *CITY.shape))


def write_plans(store: Store, days: int, expected=EXPECTED) -> dict[date, pa.Table]:
    """Plans with lots for days from the first one on; return the lots by day."""
    forecasts = ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE)
    lots = {}
    for day in (FIRST + timedelta(days=number) for number in range(days)):
        plan = plan_day(CITY, day, expected, IN_COVERAGE, areas=AREAS)
        lots[day] = lots_table(plan, CITY, forecasts, AREAS)
        issue_date = day - timedelta(days=1)
        record = PlanRecord(city=CITY.name, issue_date=issue_date, forecast_date=day)
        write_plan(store, record, dispatch_table(plan, CITY, forecasts, areas=AREAS), lots[day])
    return lots


def write_alerts(store: Store, day: date, times: list[datetime], cells: list[tuple[int, int]]) -> None:
    rows = []
    for number, (time, (row, column)) in enumerate(sorted(zip(times, cells, strict=True))):
        longitude, latitude = cell_middles(CITY, np.array([row]), np.array([column]))
        rows.append({"user_id": number, "incident_id": number, "time_utc": time, "longitude": longitude[0],
                     "latitude": latitude[0], "location_id": 0, "is_holiday_fireworks": False, "gunshot_type": 0})  # fmt: skip
    store.write_table(CLEANED, pa.Table.from_pylist(rows, CLEANED.schema), CITY.name, day)


def write_drawn_alerts(store: Store, lots: dict[date, pa.Table], more_in_drawn: float) -> None:
    """Alerts as expected, times a factor in cells with a unit, in the middle of each shift."""
    random = np.random.default_rng(1)
    by_day: dict[date, list[tuple[datetime, tuple[int, int]]]] = {day: [] for day in lots}
    for day, table in lots.items():
        for row in table.to_pylist():
            number = random.poisson(row["expected"] * (more_in_drawn if row["units"] else 1))
            middle = row["starts_utc"] + (row["ends_utc"] - row["starts_utc"]) / 8
            by_day[day] += [(middle, (row["row"], row["column"]))] * number
    for day, alerts in by_day.items():
        write_alerts(store, day, [time for time, _ in alerts], [cell for _, cell in alerts])


def test_without_lots_nothing_is_known(store: Store) -> None:
    effects = visit_effects(store, CITY, FIRST, FIRST)
    assert effects.sending == ()
    assert "No plan was drawn by lot" in effects.sentences("alert")[0]


def test_few_lots_are_not_enough(store: Store) -> None:
    write_drawn_alerts(store, write_plans(store, 4), 0.5)
    effects = visit_effects(store, CITY, FIRST, FIRST + timedelta(days=9))
    assert effects.sending == ()
    assert 0 < effects.draws < MIN_DRAWS
    assert "not enough yet" in effects.note.lower()
    assert str(MIN_DRAWS) in effects.note


@pytest.fixture(scope="module")
def trial_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("trial")))
    write_drawn_alerts(store, write_plans(store, 45), 0.3)
    return store


def test_an_effect_is_estimated_from_stored_plans_and_alerts(trial_store: Store) -> None:
    effects = visit_effects(trial_store, CITY, FIRST, FIRST + timedelta(days=44))
    # The alerts of the day after the last plan are not known, and the last night ends on it.
    assert effects.shifts == 3 * 45 - 1
    assert effects.reported_shifts == 0
    here, *_ = effects.sending
    assert (here.where, here.when) == ("cell", "shift")
    assert here.low < -0.7 * here.expected < here.high < 0
    sentences = effects.sentences("alert")
    assert "In the cell during the shift sending a unit changes the number of alerts by -" in sentences[1]
    assert sentences[-1] == NO_COMPLETE_LOG


@pytest.mark.parametrize("log_is_complete", [False, True])
def test_visits_made_stand_beside_sending_only_with_a_complete_log(
    trial_store: Store, tmp_path: Path, log_is_complete: bool
) -> None:
    shutil.copytree(trial_store.root, tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    columns = {"shift": "shift", "cell": "cell", "until": "to"}
    patrols = {
        "source": {"kind": "landing", "columns": {"time": "from"}},
        "columns": columns,
        "log_is_complete": log_is_complete,
    }
    city = CityFile.model_validate(CITY.model_dump() | {"patrols": patrols})
    last = FIRST + timedelta(days=44)
    for day in (FIRST + timedelta(days=number) for number in range(45)):
        lots = store.read_table(LOTS, CITY.name, day - timedelta(days=1)).to_pylist()
        store.write_table(
            PATROLS_MADE, pa.Table.from_pylist(list(made_rows(lots)), PATROLS_MADE.schema), CITY.name, day
        )
    effects = visit_effects(store, city, FIRST, last)
    assert (len(effects.sending), len(effects.made)) == (4, 4 * log_is_complete)
    assert (effects.reported_shifts > 0) == log_is_complete
    assert (NO_COMPLETE_LOG in effects.sentences("alert")) != log_is_complete
    sending = effects.sending[0]
    assert sending == visit_effects(trial_store, CITY, FIRST, last).sending[0], "no log changes the effect of sending"
    if log_is_complete:
        assert effects.made[0].value < 1.3 * sending.value < 0, "half of the sent units stayed away"


def made_rows(lots: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every second planned visit was made."""
    for number, row in enumerate(row for row in lots if row["units"]):
        yield {
            "shift": row["shift"], "row": row["row"], "column": row["column"], "planned_hours": 8.0,
            "made_hours": 8.0 * (number % 2), "visited": number % 2 == 1, "chance": row["chance"],
        }  # fmt: skip


def test_wide_intervals_are_not_enough(store: Store) -> None:
    write_drawn_alerts(store, write_plans(store, 28, EXPECTED / 20), 1.0)
    effects = visit_effects(store, CITY, FIRST, FIRST + timedelta(days=27))
    wide = [sentence for sentence in effects.sentences("alert") if "not enough yet" in sentence]
    assert wide
    assert all("more day" in sentence for sentence in wide)


def test_lots_of_another_grid_are_left_out(trial_store: Store) -> None:
    other = CITY.model_copy(update={"grid": CITY.grid.model_copy(update={"rows": 5})})
    assert visit_effects(trial_store, other, FIRST, FIRST + timedelta(days=44)).shifts == 0


def test_alerts_count_in_the_shift_of_their_hour(store: Store) -> None:
    write_plans(store, 2)
    morning, night = (datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (10, 10 + 12))  # 6:00 and 18:00 in New York
    write_alerts(store, FIRST, [morning, night, morning - timedelta(seconds=1)], [(0, 0), (5, 5), (1, 1)])
    write_alerts(store, FIRST + timedelta(days=1), [datetime(2024, 5, 2, 9, tzinfo=UTC)], [(2, 3)])
    lots = read_lots(store, CITY, FIRST, FIRST + timedelta(days=1))
    assert lots is not None
    trial = trial_of(store, CITY, lots)
    assert trial.is_known.tolist() == [True] * 5 + [False]
    assert [np.flatnonzero(counts).tolist() for counts in trial.alerts[:3]] == [[0], [35], [2 * 6 + 3]]
    assert (trial.expected_units.sum(axis=1) == 3).all()
    assert trial.ring.sum(axis=1)[[0, 1, 7]].tolist() == [3, 5, 8]
