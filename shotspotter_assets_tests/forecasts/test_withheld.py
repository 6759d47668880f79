from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.evaluation.gate import verdict_on
from shotspotter_assets.forecasts import retraining
from shotspotter_assets.forecasts.approval import WaitingModels
from shotspotter_assets.forecasts.forecast_facts import CANDIDATE_COLUMN
from shotspotter_assets.forecasts.issued_scores import issued_level
from shotspotter_assets.grid.tensors import grid_schema
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation.forecasts import random_table
from shotspotter_assets_tests.forecasts.test_risk_tables import CELLS, next_day
from shotspotter_assets_tests.forecasts.town import CANDIDATE, DAY, SOME_CELLS, TOWN, VERDICT, issue, serving_record

STRICT = TOWN.model_copy(update={"level": "withhold"})
DAYS = days_between(DAY - timedelta(days=119), DAY)
NOW = datetime(2024, 6, 1, 18, tzinfo=UTC)
TRUTH = np.full(CELLS, 0.3)
CHANGE = DAYS[30]
"""Last issue date with the first level of the candidate in `town`."""


def history(unknown: frozenset[date] = frozenset()) -> CityHistory:
    """Alerts of all days as many as the served forecasts expect."""
    row, column = np.nonzero(SOME_CELLS)
    number = np.random.default_rng(0).poisson(next_day(TRUTH)["expected"].to_numpy(), (len(DAYS), CELLS))
    day, cell = np.nonzero(number)
    schema = grid_schema(24, TOWN)
    values = {"hour": np.zeros(len(day)), "row": row[cell], "column": column[cell], "count": number[day, cell]}
    values["gunshot_type"] = np.zeros(len(day))
    frames = pa.table({field.name: pa.array(values[field.name]).cast(field.type) for field in schema}, schema=schema)
    frames = frames.add_column(0, "date", pa.array(np.array(DAYS, "datetime64[D]")[day], pa.date32()))
    return CityHistory(STRICT, DAYS, frames, unknown=unknown)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Forecasts of a right level that serve, and a candidate with 0.5 times as many alerts, later 1.5 times."""
    store = Store(str(tmp_path_factory.mktemp("town")))
    for day in DAYS[:-1]:
        factor = 0.5 if day <= CHANGE else 1.5
        table = next_day(TRUTH).append_column(CANDIDATE_COLUMN, pa.array(factor * TRUTH))
        issue(store, TOWN, day, table, NOW)
    return store


def latest(store: Store, **changes: object) -> None:
    serving_record(issue_date=DAY - timedelta(days=1), **changes).write(store)


def test_the_candidate_is_judged_by_its_own_forecasts_since_it_is_one(town: Store) -> None:
    stored = history()
    assert 0.9 < issued_level(town, stored).value < 1.1
    latest(town, candidate_since=CHANGE + timedelta(days=1))
    reason = retraining.withheld_reason(town, stored)
    assert reason.startswith(
        f"{CANDIDATE} is withheld for its level. Expected / observed of 88 forecast days to {DAY} is 1."
    )
    assert "level: withhold" in reason
    latest(town, candidate_since=DAY - timedelta(days=60))  # fewer than 12 weeks
    assert retraining.withheld_reason(town, stored) == ""
    alarm = replace(stored, city=TOWN)
    latest(town, candidate_since=CHANGE)
    assert retraining.withheld_reason(town, alarm) == ""
    latest(town, candidate_since=CHANGE, gate=replace(VERDICT, candidate="ewma"))
    assert retraining.withheld_reason(town, stored) == ""


def test_unknown_days_have_no_level(town: Store) -> None:
    whole = issued_level(town, history())
    part = issued_level(town, history(frozenset(DAYS[50:60])))
    assert (whole.days, part.days) == (119, 109)
    assert part.observed < whole.observed
    assert issued_level(town, history(frozenset(DAYS[1:]))) is None


def test_a_withheld_candidate_returns_only_when_its_ratio_is_back(town: Store) -> None:
    stored = history()
    withheld = replace(VERDICT, served="ewma", withheld="Its level was off.")
    latest(town, gate=withheld)  # since the first forecast: 0.5 and then 1.5 times, in all about 1.25
    assert retraining.withheld_reason(town, stored).startswith(CANDIDATE)
    latest(town)
    assert retraining.withheld_reason(town, stored) == ""
    waits = serving_record(issue_date=DAY - timedelta(days=1), gate=withheld)
    WaitingModels(city=TOWN.name, issue_date=waits.issue_date, models=waits, text="It waits.").write(town)
    assert retraining.withheld_reason(town, stored).startswith(CANDIDATE)
    for issue_date, factor in ((day, 0.9 if day <= CHANGE else 1.05) for day in DAYS[:-1]):
        table = next_day(TRUTH).append_column(CANDIDATE_COLUMN, pa.array(factor * TRUTH))
        issue(town, TOWN, issue_date, table, NOW)
    assert retraining.withheld_reason(town, stored) == ""


def test_models_are_retrained_when_their_level_is_off_and_when_it_is_back() -> None:
    serving = serving_record(inputs=names_of_inputs(TOWN))
    assert retraining.outdated(TOWN, serving) == ""
    assert retraining.outdated(TOWN, serving, "Off.") == f"the level of {CANDIDATE} is off"
    off = serving.model_copy(update={"served": "ewma", "gate": replace(VERDICT, served="ewma", withheld="Off.")})
    assert retraining.outdated(TOWN, off, "Off.") == ""
    assert retraining.outdated(TOWN, off) == f"the level of {CANDIDATE} no longer withholds it"
    assert retraining.outdated(TOWN.model_copy(update={"gate": "alarm"}), off, "Off.") == ""
    carried = retraining.carried_over(off, history())
    assert "Off." in carried.reasons


@pytest.mark.parametrize("gate", ["enforce", "alarm"])
def test_the_best_simple_method_serves_instead_of_a_withheld_candidate(gate: str, tmp_path: Path) -> None:
    table = random_table(date(2021, 1, 4), 182, 20)
    free = verdict_on(table, "network", gate)
    held = verdict_on(table, "network", gate, "Its level is off.")
    assert (free.served, held.served, held.passed) == ("network", "historical_mean", False)
    assert held.reasons == (*free.reasons, "Its level is off. Until then these models serve historical_mean.")
    record = serving_record(served=held.served, gate=held)
    record.write(Store(str(tmp_path)))
    assert type(record).load(Store(str(tmp_path)), TOWN.name, DAY) == record
