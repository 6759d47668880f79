"""Scores of issued forecasts, the rolling gate, what is issued against what is trained, and drift."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.serving.forecast_scores import (
    day_scores,
    drift_of,
    level_is_off,
    rolling_gate,
    rolling_scores,
    scored_day,
)
from shotspotter_assets.serving.live_gate import against_issued
from shotspotter_assets_tests.serving.test_live_models import TOWN

COVERED = np.ones((4, 4), dtype=bool)
FIRST = date(2024, 1, 1)
DAYS = 91
LAST = FIRST + timedelta(days=DAYS - 1)


def issued_days(error: float, days: int = DAYS) -> pa.Table:
    """Scored days of a candidate whose log odds are off by `error`, and of a baseline without any knowledge of places."""
    random = np.random.default_rng(0)
    truth = np.linspace(0.02, 0.6, 16)
    wrong = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + error)))
    row, column = (axis.astype(np.int16) for axis in np.nonzero(COVERED))
    forecast = pa.table(
        {"row": row, "column": column, "probability": wrong, "candidate": wrong}
        | {"baseline_historical_mean": np.full(16, truth.mean()), "baseline_ew_kde": np.full(16, truth.mean() + 0.01)}
    )
    alerts = (random.random((days, 4, 4)) < truth.reshape(4, 4)).astype(np.int64)
    return pa.concat_tables(
        [scored_day(forecast, FIRST + timedelta(days=at), of_day) for at, of_day in enumerate(alerts)]
    )


def test_a_day_is_scored_by_its_definition() -> None:
    forecast = pa.table(
        {"row": [0, 0], "column": [0, 1], "probability": [0.8, 0.1]}
        | {"candidate": [0.8, 0.1], "baseline_historical_mean": [0.5, 0.5]}
    )
    alerts = np.zeros((4, 4), dtype=np.int64)
    alerts[0, 0] = 2
    scores = day_scores(scored_day(forecast, FIRST, alerts), expected=1.4, alerts=2)
    assert scores["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.9)) / 2)
    assert scores["brier"] == pytest.approx((0.04 + 0.01) / 2)
    assert scores["predicted_over_observed"] == pytest.approx(0.9)
    assert (scores["observed_cells"], scores["observed_alerts"], scores["expected_alerts"]) == (1, 2, 1.4)


def test_a_good_candidate_passes_the_rolling_gate_and_a_bad_one_does_not() -> None:
    good, bad = issued_days(0.0), issued_days(1.5)
    assert rolling_gate(good, LAST) | {"reasons": None} == rolling_gate(good, LAST) | {
        "passed": True, "decided": True, "served": "residual_boosting", "reasons": None,
    }  # fmt: skip
    assert not level_is_off(rolling_scores(good, LAST))
    verdict = rolling_gate(bad, LAST)
    assert (verdict["passed"], verdict["served"]) == (False, "historical_mean")
    rolling = rolling_scores(bad, LAST)
    assert level_is_off(rolling)
    assert (rolling["28"]["days"], rolling["91"]["days"]) == (28, 91)
    assert rolling["91"]["gain_over"]["historical_mean"]["gain"] < 0


def test_a_few_weeks_decide_nothing() -> None:
    verdict = rolling_gate(issued_days(1.5, days=40), FIRST + timedelta(days=39))
    assert (verdict["passed"], verdict["decided"]) == (True, False)
    assert not level_is_off(rolling_scores(issued_days(1.5, days=20), FIRST + timedelta(days=19)))


def test_what_is_issued_is_kept_only_if_it_is_significantly_better() -> None:
    random = np.random.default_rng(1)
    days = np.datetime64(FIRST) + np.arange(DAYS)
    truth = np.tile(np.linspace(0.02, 0.6, 16), (DAYS, 1))
    observed = random.random(truth.shape) < truth
    trained = forecasts_table(
        days, np.nonzero(COVERED), observed, {"residual_boosting": np.full(truth.shape, truth.mean())}
    )

    def issued(last_days: int, probability: np.ndarray) -> pa.Table:
        table = forecasts_table(days, np.nonzero(COVERED), observed, {"probability": probability})
        return table.drop_columns(["observed"])[-last_days * 16 :]

    assert against_issued(trained, "residual_boosting", issued(91, truth))["keep_issued"]
    assert not against_issued(trained, "residual_boosting", issued(91, np.full(truth.shape, 0.3)))["keep_issued"]
    for few in (issued(27, truth), None):
        verdict = against_issued(trained, "residual_boosting", few)
        assert not verdict["keep_issued"]
        assert "28 are needed" in verdict["words"]


def counts(days: int = 14 * 28) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.poisson(0.1, (days, 4, 4, 4)).astype(np.int64)


@pytest.mark.parametrize("seed", range(3))
def test_chance_and_firework_days_are_no_drift(seed: int) -> None:
    alerts = np.random.default_rng(seed).poisson(0.1, (14 * 28, 4, 4, 4))
    first = date(2024, 7, 20) - timedelta(days=14 * 28 - 1)
    alerts[(date(2024, 7, 4) - first).days] = 20
    found = drift_of(alerts, first, COVERED, TOWN)
    assert not found["drifted"], found["reasons"]
    assert found["rate"]["decided"]


def test_drift_of_rate_mix_and_coverage_is_told_apart() -> None:
    first = date(2023, 2, 1)
    more = counts()
    more[-28:] *= 2
    found = drift_of(more, first, COVERED, TOWN)
    assert (found["rate"]["drifted"], found["mix"]["drifted"], found["coverage"]["drifted"]) == (True, False, False)
    assert found["rate"]["recent"] / found["rate"]["usual"] == pytest.approx(2, rel=0.3)

    relabelled = counts()
    relabelled[-28:, 1] += relabelled[-28:, 0]
    relabelled[-28:, 0] = 0
    found = drift_of(relabelled, first, COVERED, TOWN)
    assert (found["rate"]["drifted"], found["mix"]["drifted"], found["coverage"]["drifted"]) == (False, True, False)
    assert "single gunshot" in " ".join(found["reasons"])

    part = COVERED.copy()
    part[:, 0] = False
    found = drift_of(counts(), first, part, TOWN)
    assert (found["rate"]["drifted"], found["mix"]["drifted"], found["coverage"]["drifted"]) == (False, False, True)
    assert found["coverage"]["share_outside"] == pytest.approx(0.25, abs=0.1)


def test_a_short_past_is_not_judged() -> None:
    found = drift_of(counts(100), date(2024, 1, 1), COVERED, TOWN)
    assert not found["rate"]["decided"]
    assert not found["drifted"]
