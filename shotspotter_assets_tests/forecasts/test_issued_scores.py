from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.box import Grid
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.evaluation.gate import verdict_on
from shotspotter_assets.forecasts import issued_forecasts, retraining
from shotspotter_assets.forecasts.approval import WaitingModels
from shotspotter_assets.forecasts.daily_forecast import withheld
from shotspotter_assets.forecasts.issued_forecasts import CANDIDATE_COLUMN
from shotspotter_assets.forecasts.issued_scores import day_scores, issued_level, score
from shotspotter_assets.forecasts.retraining import reusable_record
from shotspotter_assets.grid.tensors import grid_schema
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation.forecasts import random_table
from shotspotter_assets_tests.forecasts.test_risk_tables import CELLS, next_day
from shotspotter_assets_tests.forecasts.town import (
    ALL_CELLS,
    CANDIDATE,
    DAY,
    SOME_CELLS,
    TOWN,
    VERDICT,
    history_to,
    issue,
    serving_record,
)

FIRST = date(2024, 1, 1)
DAYS = 91
TOTAL_INTERVAL = {"total_interval": "[0, 3, NaN, NaN, NaN]"}
LAST = FIRST + timedelta(days=DAYS - 1)


def issued_days(error: float, days: int = DAYS) -> tuple[CityHistory, dict[date, pa.Table]]:
    """Forecasts whose log odds are off by `error`, with a baseline equal in all cells, and the alerts."""
    random = np.random.default_rng(0)
    truth = np.linspace(0.02, 0.6, 16)
    wrong = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + error)))
    row, column = (axis.astype(np.int16) for axis in np.nonzero(ALL_CELLS))
    forecast = pa.table(
        {"row": row, "column": column, "probability": wrong, "candidate": wrong, "expected": wrong, "size": np.ones(16)}
        | {"model_historical_mean": np.full(16, truth.mean()), "model_ew_kde": np.full(16, truth.mean() + 0.01)}
    ).replace_schema_metadata(TOTAL_INTERVAL)
    day, cell = np.nonzero(random.random((days, 16)) < truth)
    schema = grid_schema(24, TOWN)
    values = {"hour": np.zeros(len(day)), "row": row[cell], "column": column[cell], "count": np.ones(len(day))}
    values |= {"gunshot_type": np.zeros(len(day))}
    frames = pa.table({field.name: pa.array(values[field.name]).cast(field.type) for field in schema}, schema=schema)
    frames = frames.add_column(0, "date", pa.array(np.datetime64(FIRST) + day, pa.date32()))
    of_history = [FIRST + timedelta(days=at) for at in range(days)]
    return CityHistory(TOWN, of_history, frames), dict.fromkeys(of_history, forecast)


def test_a_day_is_scored_by_its_definition() -> None:
    forecast = pa.table(
        {"row": [0, 0], "column": [0, 1], "probability": [0.8, 0.1], "expected": [1.2, 0.2], "size": [1.0, 1.0]}
        | {"candidate": [0.8, 0.1], "model_historical_mean": [0.5, 0.5]}
    ).replace_schema_metadata(TOTAL_INTERVAL)
    schema = grid_schema(24, TOWN)
    second = FIRST + timedelta(days=1)
    frames = pa.table([[5, 5], [0, 0], [0, 0], [0, 0], [1, 2]], schema=schema)
    frames = frames.add_column(0, "date", pa.array([FIRST, second], pa.date32()))
    scores = day_scores(forecast, second, CityHistory(TOWN, [FIRST, second], frames), CANDIDATE)
    assert scores.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.9)) / 2)
    assert (scores.observed_alerts, scores.expected_alerts) == (2, pytest.approx(1.4))
    numbers = scores.numbers["served"]
    assert numbers["log_loss"] == pytest.approx((1.2 - 2 * np.log(1.2) + np.log(2) + 0.2) / 2)
    assert (numbers["rmse"], numbers["mae"]) == (pytest.approx(np.sqrt(0.34)), pytest.approx(0.5))
    assert (numbers["within_80_cells"], numbers["within_80_city"]) == (1.0, 1.0)
    assert scores.numbers["mean_of_counts"]["log_loss"] == pytest.approx((1 + np.log(2) + 1e-4) / 2)
    # As many further alerts as in the served forecast.
    assert scores.numbers["historical_mean"]["mae"] == pytest.approx((2 - 0.5 * 1.2 / 0.8 + 0.5 * 2) / 2)


def test_a_good_candidate_passes_the_rolling_gate_and_a_bad_one_does_not() -> None:
    good, bad = (score(*issued_days(error), serving_record()) for error in (0.0, 1.5))
    assert (good.rolling_gate.passed, good.rolling_gate.served) == (True, CANDIDATE)
    assert not good.rolling.is_off
    assert not good.warnings()
    assert (bad.rolling_gate.passed, bad.rolling_gate.served) == (False, "historical_mean")
    assert bad.rolling.is_off
    assert bad.rolling.drift > abs(good.rolling.drift)
    gain = bad.rolling.gain_over["historical_mean"].value
    assert gain < 0
    assert len(bad.warnings()) == 2


@pytest.mark.parametrize(("days", "has_scores"), [(13, False), (14, True), (40, True)])
def test_a_few_weeks_decide_nothing(days: int, has_scores: bool) -> None:
    record = score(*issued_days(1.5, days), serving_record())
    assert (record.rolling is not None, record.rolling_gate) == (has_scores, None)


def forecast_of(days: int) -> tuple[CityHistory, dict[date, pa.Table]]:
    days_of_history = [FIRST + timedelta(days=at) for at in range(DAYS)]
    frames = grid_schema(24, TOWN).empty_table().add_column(0, "date", pa.array([], pa.date32()))
    row, column = np.nonzero(ALL_CELLS)
    probabilities = ("probability", "expected", "size", "candidate", "model_historical_mean")
    table = pa.table({"row": row, "column": column} | dict.fromkeys(probabilities, np.full(16, 0.1)))
    table = table.replace_schema_metadata(TOTAL_INTERVAL)
    return CityHistory(TOWN, days_of_history, frames), dict.fromkeys(days_of_history[-days:], table)


def test_the_rolling_gate_judges_the_present_candidate_only() -> None:
    history, forecasts = issued_days(0.0)
    everything = score(history, forecasts, serving_record())
    assert everything.rolling_gate.gain.weeks == 13
    # The forecast issued on the day of the change is the first one of the new candidate.
    part = score(history, forecasts, serving_record(candidate_since=FIRST))
    assert part.rolling == everything.rolling
    assert part.rolling_gate.positives < everything.rolling_gate.positives
    assert score(history, forecasts, serving_record(candidate_since=LAST)).rolling_gate is None


def test_forecasts_of_other_leads_and_of_unknown_days_are_not_scored() -> None:
    history, forecasts = forecast_of(days=40)
    late = {
        day: table.replace_schema_metadata({"lead": "3"} | TOTAL_INTERVAL)
        for day, table in list(forecasts.items())[-30:]
    }
    record = score(history.until(LAST - timedelta(days=2)), forecasts | late, serving_record())
    assert (record.lead, record.last_known, record.scored_date) == (3, LAST - timedelta(days=2), LAST)
    assert record.note == f"Alerts of {LAST} are not known yet: the last known day is {LAST - timedelta(days=2)}."
    assert record.scores is None
    assert record.rolling.days == 28
    known = score(history, forecasts | late, serving_record())
    assert (known.lead, known.note) == (3, None)
    assert known.rolling.days == 30
    # A quarterly publisher's leads grow day by day.
    grown = {
        day: one.replace_schema_metadata({"lead": str(at)} | TOTAL_INTERVAL)
        for at, (day, one) in enumerate(late.items(), start=10)
    }
    assert score(history, forecasts | grown, serving_record()).rolling.days == 25


def test_unknown_days_are_not_scored() -> None:
    history, forecasts = issued_days(0.0)
    unknown = frozenset(FIRST + timedelta(days=at) for at in (5, 40, 41))
    history = replace(history, unknown=unknown)
    record = score(history, forecasts, serving_record())
    known = {day: table for day, table in forecasts.items() if day not in unknown}
    assert record == score(history, known, serving_record())
    assert record.rolling.days == DAYS - 3


def test_forecasts_made_after_their_day_are_counted() -> None:
    history, forecasts = forecast_of(40)
    late = {
        day: table.replace_schema_metadata({"replayed": "true"} | TOTAL_INTERVAL)
        for day, table in list(forecasts.items())[-20:]
    }
    record = score(history, forecasts | late, serving_record())
    assert (record.rolling.replayed, record.rolling.days) == (20, 40)


NEXT = DAY + timedelta(days=1)
MIDNIGHT = datetime(2024, 6, 3, 4, tzinfo=UTC)
"""The local end of the day after `DAY`."""


@pytest.fixture
def issued(store: Store) -> issued_forecasts.Forecast:
    return issue(store, TOWN, DAY, next_day(np.full(CELLS, 0.2)), MIDNIGHT, **{"0,1": ("near",)})


def test_an_issued_forecast_stays_once_its_day_is_over(store: Store, issued: issued_forecasts.Forecast) -> None:
    assert issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT - timedelta(seconds=1)) is None
    kept = issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT)
    assert kept.table_sha256 == sha256(store.read_bytes(FORECAST, TOWN.name, DAY))
    written = {"table_sha256": kept.table_sha256, "written_at": kept.written_at}
    assert kept == issued.record.model_copy(update=written)
    assert kept.cell_drivers() == {(0, 1): ("near",)}
    assert issued_forecasts.issued_on_grid(store, TOWN, NEXT, MIDNIGHT + timedelta(days=9)) is None


def test_the_models_of_an_issued_forecast_stay_too(store: Store, issued: issued_forecasts.Forecast) -> None:
    record = serving_record()
    record.write(store)
    assert reusable_record(store, history_to(DAY), MIDNIGHT) == record
    assert reusable_record(store, history_to(DAY), MIDNIGHT - timedelta(hours=1)) is None


def test_a_forecast_made_after_its_day_may_be_made_again(store: Store, issued: issued_forecasts.Forecast) -> None:
    late = replace(issued, record=issued.record.model_copy(update={"replayed": True}))
    issued_forecasts.write_forecast(store, late)
    assert issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT) is None


def test_a_forecast_of_another_grid_may_be_made_again(store: Store, issued: issued_forecasts.Forecast) -> None:
    other = TOWN.model_copy(update={"grid": Grid(rows=5, columns=5)})
    assert issued_forecasts.issued_on_grid(store, other, DAY, MIDNIGHT) is None
    assert not issued_forecasts.next_day_forecasts(store, other, DAY, NEXT)
    assert list(issued_forecasts.next_day_forecasts(store, TOWN, DAY, NEXT)) == [NEXT]


def test_a_day_without_a_forecast_says_why(store: Store, issued: issued_forecasts.Forecast) -> None:
    late = history_to(DAY, lead=15)
    issued_forecasts.write_forecast(store, withheld(store, late))
    record = issued_forecasts.load_record(store, TOWN.name, late.issue_date)
    assert (record.lead, record.last_known, record.last_issued) == (15, DAY, DAY)
    assert "publication.longest_lead" in record.no_forecast
    assert record.data == "alerts up to 1 June 2024; 2 to 15 June 2024 are not stored yet"
    assert issued_forecasts.issued_on_grid(store, TOWN, late.issue_date, MIDNIGHT + timedelta(days=99)) is None
    assert withheld(store, late, "Too few days.").no_forecast == "No forecast is issued. Too few days."


STRICT = TOWN.model_copy(update={"level": "withhold"})
ISSUE_DATES = days_between(DAY - timedelta(days=119), DAY)
NOW = datetime(2024, 6, 1, 18, tzinfo=UTC)
TRUTH = np.full(CELLS, 0.3)
CHANGE = ISSUE_DATES[30]
"""Last issue date with the first level of the candidate in `town`."""


def history(unknown: frozenset[date] = frozenset()) -> CityHistory:
    """Alerts of all days as many as the served forecasts expect."""
    row, column = np.nonzero(SOME_CELLS)
    number = np.random.default_rng(0).poisson(next_day(TRUTH)["expected"].to_numpy(), (len(ISSUE_DATES), CELLS))
    day, cell = np.nonzero(number)
    schema = grid_schema(24, TOWN)
    values = {"hour": np.zeros(len(day)), "row": row[cell], "column": column[cell], "count": number[day, cell]}
    values["gunshot_type"] = np.zeros(len(day))
    frames = pa.table({field.name: pa.array(values[field.name]).cast(field.type) for field in schema}, schema=schema)
    frames = frames.add_column(0, "date", pa.array(np.array(ISSUE_DATES, "datetime64[D]")[day], pa.date32()))
    return CityHistory(STRICT, ISSUE_DATES, frames, unknown=unknown)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Forecasts of a right level that serve, and a candidate with 0.5 times as many alerts, later 1.5 times."""
    store = Store(str(tmp_path_factory.mktemp("town")))
    for day in ISSUE_DATES[:-1]:
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
    part = issued_level(town, history(frozenset(ISSUE_DATES[50:60])))
    assert (whole.days, part.days) == (119, 109)
    assert part.observed < whole.observed
    assert issued_level(town, history(frozenset(ISSUE_DATES[1:]))) is None


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
    for issue_date, factor in ((day, 0.9 if day <= CHANGE else 1.05) for day in ISSUE_DATES[:-1]):
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
