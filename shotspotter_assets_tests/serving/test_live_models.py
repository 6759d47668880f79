"""When live models are trained, what is kept in force, and what the rolling gate replaces."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.serving.live_models import after_scores, against_issued, outdated, training_reason, unchanged
from shotspotter_assets.serving.training import input_names
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


def test_the_first_day_other_inputs_another_candidate_and_hands_train_at_any_cadence() -> None:
    city, day = TOWN.model_copy(update={"retraining": "weekly"}), DAY + timedelta(days=1)
    assert training_reason(city, day, None, None) == "trained for the first time"
    assert training_reason(city, day, IN_FORCE, None) == ""
    assert training_reason(city, day, IN_FORCE, None, by_hand=True) == "retrained by hand"
    assert "the inputs are others" in training_reason(city, day, serving_record(), None)
    other = serving_record(inputs=input_names(TOWN), gate=replace(IN_FORCE.gate, candidate="regime_regression"))
    assert outdated(city, other) == "residual_boosting is to serve instead of regime_regression"
    assert not outdated(city, IN_FORCE)


def test_a_failed_rolling_gate_puts_the_baseline_in_place_until_it_passes() -> None:
    replaced = after_scores(IN_FORCE, score_record(gate=rolling_verdict(False, "ewma", "Worse.")))
    assert replaced.served == "ewma"
    assert replaced.reasons[-1] == f"The forecasts to {DAY} fail the rolling gate, so ewma serves: Worse."
    # On a day without training, what the gate accepted comes first again.
    city = TOWN.model_copy(update={"retraining": "weekly"})
    assert (
        after_scores(unchanged(replaced, city, DAY + timedelta(days=1)), score_record()).served == "residual_boosting"
    )
    assert after_scores(IN_FORCE, None) == after_scores(IN_FORCE, score_record()) == IN_FORCE


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
