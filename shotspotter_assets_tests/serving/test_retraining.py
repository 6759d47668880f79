from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.geometry.grid import Grid
from shotspotter_assets.gridding.tensors import grid_schema
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.records import TrainedModel
from shotspotter_assets.serving import retraining
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.town import DAY, TOWN, history_to, serving_record

IN_FORCE = serving_record(inputs=names_of_inputs(TOWN))
NEXT = DAY + timedelta(days=1)
BEFORE_ITS_END = datetime(2024, 6, 3, 3, 59, tzinfo=UTC)
"""A minute before the local end of the day after `DAY`."""
AFTER_ITS_END = BEFORE_ITS_END + timedelta(minutes=1)


def with_record(store: Store, record: ServingRecord) -> Store:
    record.write(store)
    return store


@pytest.mark.parametrize(
    ("cadence", "days", "reason"),
    [
        ("daily", 1, "retrained, as every day"),
        ("weekly", 6, ""),
        ("weekly", 7, f"retrained, a week after {DAY}"),
        ("hourly", 6, ""),
        ("hourly", 7, f"retrained, a week after {DAY}"),
    ],
)
def test_models_are_trained_by_the_cadence_of_the_city(cadence: str, days: int, reason: str) -> None:
    city = TOWN.model_copy(update={"retraining": cadence})
    assert retraining.training_reason(city, DAY + timedelta(days=days), IN_FORCE) == reason


def test_new_inputs_candidates_leads_and_requests_retrain_at_any_cadence() -> None:
    assert retraining.training_reason(TOWN, NEXT, None) == "trained for the first time"
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE) == ""
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE, by_hand=True) == "retrained by hand"
    assert "the inputs differ" in retraining.training_reason(TOWN, NEXT, serving_record())
    other = serving_record(inputs=names_of_inputs(TOWN), gate=replace(IN_FORCE.gate, candidate="regime_regression"))
    assert retraining.outdated(TOWN, other) == "stack is to serve instead of regime_regression"
    finer = TOWN.model_copy(update={"grid": Grid(rows=8, columns=8), "forecasters": {"stack": {"members": ["ewma"]}}})
    assert retraining.outdated(finer, IN_FORCE) == "the city's file has another value of grid, forecasters"
    reason = retraining.training_reason(TOWN, NEXT, IN_FORCE, lead=3)
    assert reason == "retrained for a lead of 3 days, as the live models were fitted for 1"
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE.model_copy(update={"lead": 3}), lead=3) == ""


def test_models_are_retrained_if_the_rule_of_the_gate_chooses_others() -> None:
    alarm, fails = TOWN.model_copy(update={"gate": "alarm"}), replace(IN_FORCE.gate, served="ewma")
    assert retraining.outdated(alarm, IN_FORCE) == ""
    baseline = serving_record(inputs=names_of_inputs(TOWN), served="ewma", gate=fails)
    assert retraining.outdated(TOWN, baseline) == ""
    assert retraining.outdated(alarm, baseline) == "the city's file has gate: alarm"
    anyway = serving_record(inputs=names_of_inputs(TOWN), gate=replace(IN_FORCE.gate, overruled="It serves although."))
    assert retraining.outdated(alarm, anyway) == ""
    assert retraining.outdated(TOWN, anyway) == "the city's file has gate: enforce"
    assert retraining.carried_over(anyway, history_to(NEXT)).reasons[-1] == "It serves although."


def test_beyond_the_longest_lead_nothing_is_fitted_and_the_record_says_why() -> None:
    stored = history_to(DAY, lead=15)
    assert retraining.training_reason(TOWN, stored.issue_date, IN_FORCE, lead=15) == ""
    kept = retraining.carried_over(IN_FORCE, stored)
    assert (kept.issue_date, kept.last_known, kept.lead, kept.trained) == (DAY + timedelta(days=14), DAY, 1, False)
    assert kept.reasons == (
        "Not retrained, as no forecast is issued. The last known day is 2024-06-01, 15 days before 2024-06-16, and "
        "publication.longest_lead of town is 14.",
    )
    assert retraining.training_reason(TOWN, stored.issue_date, IN_FORCE, lead=14).startswith(
        "retrained for a lead of 14"
    )


def test_a_rollback_serves_models_of_an_earlier_day_and_the_same_lead(tmp_path: Path) -> None:
    store, later = with_record(Store(str(tmp_path)), IN_FORCE), DAY + timedelta(days=5)
    made = retraining.choose_models(store, history_to(later), FitContext(), serve_from=DAY)
    assert (made.record.issue_date, made.record.last_trained, made.record.models_from) == (later, later, DAY)
    with pytest.raises(ValueError, match=r"fitted for a lead of 1 days.*a lead of 3"):
        retraining.rolled_back(store, history_to(later - timedelta(days=2), 3), DAY)
    with pytest.raises(ValueError, match=r"serve_from is 2024-06-06; name a day before 2024-06-06"):
        retraining.rolled_back(store, history_to(later), later)


def test_few_days_without_a_shared_model_give_no_models_and_a_reason(tmp_path: Path) -> None:
    made = retraining.choose_models(Store(str(tmp_path)), history_to(date(2024, 2, 1)), FitContext())
    assert made.record is None
    assert "32 days of history, and live models need 120" in made.why_none
    assert "from 2024-04-29 on" in made.why_none


def test_a_day_keeps_its_models_while_its_data_are_the_same(tmp_path: Path) -> None:
    stored = history_to(DAY)
    data = stored.daily(np.eye(4, dtype=bool)).data_sha256()
    same = IN_FORCE.model_copy(update={"data_sha256": data})
    store = with_record(Store(str(tmp_path)), same)
    assert retraining.reusable_record(store, stored, BEFORE_ITS_END) == same
    assert retraining.reusable_record(store, stored, AFTER_ITS_END) is None
    assert retraining.reusable_record(store, history_to(NEXT), BEFORE_ITS_END) is None
    assert retraining.reusable_record(with_record(store, IN_FORCE), stored, BEFORE_ITS_END) is None
    lost = {"stack": TrainedModel(chosen={}, files={"model.json": "aa"}, seconds_to_train=1.0)}
    with_record(store, same.model_copy(update={"models": lost}))
    assert retraining.reusable_record(store, stored, BEFORE_ITS_END) is None
    with pytest.raises(
        ValueError, match=r"live models after 2024-06-01 are lost.*Name another day, or train with `retrain`"
    ):
        retraining.rolled_back(store, history_to(NEXT), DAY)
    asks_for_others = serving_record(data_sha256=data)
    assert retraining.reusable_record(with_record(store, asks_for_others), stored, BEFORE_ITS_END) is None


def test_a_late_run_uses_only_what_was_published_by_its_day(tmp_path: Path) -> None:
    city = TOWN.model_copy(update={"publication": Publication(days_late=2)})
    store = Store(str(tmp_path))
    days = days_between(city.start, DAY)
    grid = grid_schema(24, city)
    table = pa.table([pa.array([0], field.type) for field in grid], schema=grid)
    store.write_tables(TENSORS, dict.fromkeys(days, table), city.name)
    assert retraining.known_history(store, city, DAY, BEFORE_ITS_END).last_known == DAY
    late = retraining.known_history(store, city, DAY, AFTER_ITS_END)
    assert (late.last_known, late.lead, late.issue_date) == (DAY - timedelta(days=2), 3, DAY)
