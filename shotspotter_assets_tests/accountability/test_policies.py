import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.accountability.policies import (
    CELL_MEAN,
    LAST_YEAR,
    AuditedDays,
    Policy,
    capped_flags,
    flags_per_day,
    gini,
    lot_chances,
    rate,
    read_audited_days,
    sums_of_draws,
    top_flags,
)
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT, score_cell_days
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import PLAN
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES

PROBABILITY = np.random.default_rng(0).gamma(0.6, 0.1, (70, 40)).clip(0, 0.9)
NUMBER = flags_per_day(PROBABILITY)


def test_the_top_is_flagged_and_cells_without_a_forecast_never() -> None:
    partly = np.where(np.arange(40) < 30, PROBABILITY, np.nan)
    flags = top_flags(partly, flags_per_day(partly))
    assert set(flags.sum(axis=1)) == {2}, "5% of 30 cells, rounded half up"
    assert not flags[:, 30:].any()
    assert flags[np.arange(70), np.nanargmax(partly, axis=1)].all()
    nothing = np.full((2, 3), np.nan)
    assert flags_per_day(nothing).tolist() == [0, 0]
    assert not top_flags(nothing, flags_per_day(nothing)).any()


def test_tied_cells_share_the_places_left_to_them() -> None:
    tied = np.where(np.arange(40) == 0, 0.5, np.where(np.arange(40) < 5, 0.2, 0.1))[None]
    assert top_flags(tied, flags_per_day(tied))[0, :6].tolist() == [1, 0.25, 0.25, 0.25, 0.25, 0]


@pytest.mark.parametrize("decimals", [2, 6])
def test_an_audit_catches_the_cells_that_the_model_card_counts(decimals: int) -> None:
    """Both flag as many cells a day and share ties alike."""
    probability = np.random.default_rng(3).gamma(0.6, 0.1, (70, 51)).clip(0.01, 0.9).round(decimals)
    occupied = np.random.default_rng(1).random(probability.shape) < probability
    flags = top_flags(probability, flags_per_day(probability))
    day = np.repeat(np.arange(70), 51)
    scores = score_cell_days(probability.ravel(), occupied.ravel(), probability.ravel(), day)
    assert flags[occupied].sum() / occupied.sum() == pytest.approx(scores[f"hit_rate_{FLAGGED_PERCENT}"])


def test_a_cap_keeps_the_number_of_flags_and_rests_cells() -> None:
    fixed = np.repeat(PROBABILITY[:1], 70, axis=0)
    flags = capped_flags(fixed, NUMBER, Repeats(most=2, days=7))
    assert (flags.sum(axis=1) == NUMBER).all()
    windows = np.lib.stride_tricks.sliding_window_view(flags, 7, axis=0).sum(axis=-1)
    assert windows.max() == 2


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0, 30.0])
def test_chances_of_lots_sum_to_the_flags_and_grow_with_the_probability(power: float) -> None:
    chances = lot_chances(PROBABILITY, NUMBER, power)
    assert np.allclose(chances.sum(axis=1), NUMBER)
    assert (chances <= 1 + 1e-12).all()
    order = np.argsort(PROBABILITY, axis=1)
    assert (np.diff(np.take_along_axis(chances, order, axis=1), axis=1) >= -1e-12).all()


def test_chances_are_the_means_of_draws() -> None:
    chances = lot_chances(PROBABILITY, NUMBER, 1.0)
    occupied = (np.random.default_rng(1).random(PROBABILITY.shape) < PROBABILITY).astype(float)
    days = np.datetime64("2024-01-01") + np.arange(70)
    random = np.random.default_rng(2)
    drawn = [Policy((random.random(chances.shape) < chances) * occupied) for _ in range(200)]
    policies = {"mean": Policy(chances * occupied), **{str(number): draw for number, draw in enumerate(drawn)}}
    mean, *caught = (sums["flags"][0].sum() for sums in sums_of_draws(days, policies, occupied).values())
    assert np.mean(caught) == pytest.approx(mean, rel=0.02)


def test_rates_are_those_of_hand_counted_days() -> None:
    flags = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, np.nan]])
    occupied = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    policy = Policy(flags, np.array([[0.5, 0.25], [0.5, 0.25], [0.5, np.nan]]))
    days = np.array(["2024-01-05", "2024-01-08", "2024-01-09"], "datetime64[D]")
    sums = sums_of_draws(days, {"hand": policy}, occupied)["hand"]
    assert sums["covered"].tolist() == [[3, 2]], "two weeks give no interval"
    everywhere = np.ones((1, 2))
    assert rate(sums, "flagged_days", np.array([[300.0, 100.0]])) == pytest.approx(365.2425 * 600 / 1_100)
    assert rate(sums, "calibration", everywhere) == pytest.approx(2.0 / 2)
    assert np.isnan(rate(sums, "calibration", 0 * everywhere)).all()


def test_gini_of_even_and_of_single_values() -> None:
    assert gini(np.ones(5)) == pytest.approx(0)
    assert gini(np.eye(4)[0]) == pytest.approx(0.75)
    assert np.isnan(gini(np.zeros(3)))


CITY = CITIES["tiny_city"]
LAST = date(2024, 3, 31)
VALUES: dict[str, Any] = {"string": "", "list<string>": [], "double": 0.0, "int16": 0, "int32": 0}


def one_row(table: Any, **values: Any) -> pa.Table:
    filled = {name: VALUES.get(column.kind) for name, column in table.own_columns.items()} | values
    return pa.Table.from_pylist([filled], pa.schema([table.schema.field(name) for name in filled]))


@pytest.fixture
def store(tmp_path: Path, reported_fold: Path) -> Store:
    return Store(shutil.copytree(reported_fold, tmp_path / "store").as_posix())


def audited(store: Store, **changes: Any) -> AuditedDays:
    return read_audited_days(store, CITY.model_copy(update=changes), LAST)


def test_a_fold_is_read_with_its_alerts_and_the_map_of_the_year_before(store: Store) -> None:
    days = audited(store)
    assert (str(days.days[0]), str(days.days[-1]), len(days.days)) == ("2024-01-01", "2024-03-31", 91)
    assert list(days.probability) == [SERVED, CELL_MEAN, LAST_YEAR]
    history = CityHistory.load(store, CITY, LAST)
    alerts = history.alerts.reshape(len(history.days), -1)[:, days.cells]
    assert (days.alerts == alerts[-91:]).all()
    before = (alerts[:-91] > 0).mean(axis=0)
    assert days.probability[LAST_YEAR][0] == pytest.approx(before, abs=2e-6)
    assert days.unit_hours is None


def test_plans_give_hours_of_units_on_their_days_alone(store: Store) -> None:
    day = date(2024, 2, 10)
    first = audited(store)
    row, column = (int(axis) for axis in np.unravel_index(first.cells[3], CITY.shape))
    plan = one_row(
        PLAN, forecast_date=day, starts_at="2024-02-10T22:00:00-05:00", ends_at="2024-02-11T06:00:00-05:00",
        units=2, row=row, column=column,
    )  # fmt: skip
    store.write_table(PLAN, plan, CITY.name, day - timedelta(days=1))
    hours = audited(store).unit_hours
    assert np.isfinite(hours).all(axis=1).nonzero()[0].tolist() == [40]
    assert hours[40].sum() == hours[40, 3] == 16
