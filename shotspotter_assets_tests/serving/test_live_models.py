"""When live models are trained, what is kept in force, and what the rolling gate replaces."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.gridding.tensors import grid_schema
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.live_models import (
    after_scores,
    against_issued,
    outdated,
    rolled_back,
    training_reason,
    unchanged,
)
from shotspotter_assets.serving.record import models_partition
from shotspotter_assets.serving.training import input_names
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.town import ALL_CELLS, DAY, TOWN, rolling_verdict, score_record, serving_record

FIRST = date(2024, 1, 1)
DAYS = 91
IN_FORCE = serving_record(inputs=input_names(TOWN))


@pytest.mark.parametrize(
    ("cadence", "days", "drifted", "reason"),
    [
        ("daily", 1, False, "retrained, as every day"),
        ("weekly", 6, True, ""),
        ("weekly", 7, False, f"retrained, a week after {DAY}"),
        ("on_drift", 100, False, ""),
        ("on_drift", 1, True, "retrained, as the latest score says drift"),
    ],
)
def test_cadence(cadence: str, days: int, drifted: bool, reason: str) -> None:
    city = TOWN.model_copy(update={"retraining": cadence})
    assert (
        training_reason(city, DAY + timedelta(days=days), IN_FORCE, score_record(("More.",) if drifted else ()))
        == reason
    )


def test_a_city_is_trained_by_the_week_if_its_file_says_nothing() -> None:
    reasons = [training_reason(TOWN, DAY + timedelta(days=days), IN_FORCE, None) for days in (1, 6, 7)]
    assert reasons == ["", "", f"retrained, a week after {DAY}"]


def test_the_first_day_other_inputs_another_candidate_and_hands_train_at_any_cadence() -> None:
    city, day = TOWN.model_copy(update={"retraining": "weekly"}), DAY + timedelta(days=1)
    assert training_reason(city, day, None, None) == "trained for the first time"
    assert training_reason(city, day, IN_FORCE, None) == ""
    assert training_reason(city, day, IN_FORCE, None, by_hand=True) == "retrained by hand"
    assert "the inputs are others" in training_reason(city, day, serving_record(), None)
    other = serving_record(inputs=input_names(TOWN), gate=replace(IN_FORCE.gate, candidate="regime_regression"))
    assert outdated(city, other) == "stack is to serve instead of regime_regression"
    assert not outdated(city, IN_FORCE)
    earlier = IN_FORCE.model_copy(update={"hours": {"next_hours": None}, "without": {}})
    assert outdated(city, earlier) == "the models of the next hours are of an earlier version"


def test_a_failed_rolling_gate_puts_the_baseline_in_place_until_it_passes() -> None:
    replaced = after_scores(IN_FORCE, score_record(gate=rolling_verdict(False, "ewma", "Worse.")))
    assert replaced.served == "ewma"
    assert replaced.reasons[-1] == f"The forecasts to {DAY} fail the rolling gate, so ewma serves: Worse."
    # On a day without training, what the gate accepted comes first again.
    held = unchanged(replaced, history_to(DAY + timedelta(days=1)))
    assert after_scores(held, score_record()).served == "stack"
    assert after_scores(IN_FORCE, None) == after_scores(IN_FORCE, score_record()) == IN_FORCE


def history_to(last_known: date, lead: int = 1) -> CityHistory:
    """Days without alerts."""
    frames = grid_schema(24, TOWN).empty_table().add_column(0, "date", pa.array([], pa.date32()))
    return CityHistory(TOWN, days_between(TOWN.start, last_known), frames, lead)


def test_models_of_another_lead_are_fitted_anew_and_not_rolled_back_to(tmp_path: Path) -> None:
    weekly, day = TOWN.model_copy(update={"retraining": "weekly"}), DAY + timedelta(days=3)
    reason = training_reason(weekly, day, IN_FORCE, None, lead=3)
    assert reason == (
        "retrained, as the day that is forecast is 3 after the last known one, and the models in force were fitted for 1"
    )
    three = serving_record(inputs=input_names(TOWN), lead=3)
    assert training_reason(weekly, day, three, None, lead=3) == ""
    store = Store(str(tmp_path))
    store.write_bytes(models_partition(TOWN.name, DAY), "record.json", IN_FORCE.model_dump_json().encode())
    with pytest.raises(ValueError, match=r"fitted for a lead of 1 days.*a lead of 3"):
        rolled_back(store, history_to(day - timedelta(days=2), 3), DAY)
    assert rolled_back(store, history_to(day), DAY).last_known == day


def test_beyond_the_longest_lead_nothing_is_fitted_and_the_record_says_why() -> None:
    stored = history_to(DAY, lead=15)
    assert training_reason(TOWN, stored.issue_date, IN_FORCE, None, lead=15) == ""
    held = unchanged(IN_FORCE, stored)
    assert (held.day, held.last_known, held.lead, held.trained) == (DAY + timedelta(days=14), DAY, 1, False)
    assert held.reasons == (
        "Not retrained, as no forecast is issued. The last known day is 2024-06-01, 15 days before 2024-06-16, and "
        "publication.longest_lead of town is 14.",
    )
    assert training_reason(TOWN, stored.issue_date, IN_FORCE, None, lead=14).startswith("retrained, as the day")


def test_a_rolling_gate_on_forecasts_of_another_lead_replaces_nothing() -> None:
    gate = rolling_verdict(False, "ewma", "Worse.")
    assert after_scores(IN_FORCE, score_record(gate=gate, lead=3)) == IN_FORCE
    assert after_scores(IN_FORCE, score_record(gate=gate)).served == "ewma"


def test_a_rolling_gate_on_another_candidate_replaces_nothing() -> None:
    failed = replace(rolling_verdict(False, "ewma", "Worse."), candidate="conv_lstm")
    assert after_scores(IN_FORCE, score_record(gate=failed)) == IN_FORCE


def test_what_is_issued_is_kept_only_if_it_is_significantly_better() -> None:
    random = np.random.default_rng(1)
    days = np.datetime64(FIRST) + np.arange(DAYS)
    truth = np.tile(np.linspace(0.02, 0.6, 16), (DAYS, 1))
    observed = random.random(truth.shape) < truth
    trained = forecasts_table(
        days, np.nonzero(ALL_CELLS), observed, {"residual_boosting": np.full(truth.shape, truth.mean())}
    )

    def issued(last_days: int, probability: np.ndarray) -> dict[date, pa.Table]:
        row, column = np.nonzero(ALL_CELLS)
        tables = [pa.table({"row": row, "column": column, "probability": cells}) for cells in probability]
        return {FIRST + timedelta(days=at): tables[at] for at in range(DAYS - last_days, DAYS)}

    assert against_issued(trained, "residual_boosting", issued(91, truth)).keep_issued
    assert not against_issued(trained, "residual_boosting", issued(91, np.full(truth.shape, 0.3))).keep_issued
    for few in (issued(27, truth), {}):
        comparison = against_issued(trained, "residual_boosting", few)
        assert not comparison.keep_issued
        assert "28 are needed" in comparison.words
