"""Scores of issued forecasts, and the rolling gate on them."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.serving.forecast_scores import day_scores, rolling_gate, rolling_scores, scored_day
from shotspotter_assets_tests.serving.town import ALL_CELLS

CANDIDATE = "residual_boosting"
FIRST = date(2024, 1, 1)
DAYS = 91
LAST = FIRST + timedelta(days=DAYS - 1)


def issued_days(error: float, days: int = DAYS) -> pa.Table:
    """Scored days of a candidate whose log odds are off by `error`, and of a baseline without any knowledge of places."""
    random = np.random.default_rng(0)
    truth = np.linspace(0.02, 0.6, 16)
    wrong = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + error)))
    row, column = (axis.astype(np.int16) for axis in np.nonzero(ALL_CELLS))
    forecast = pa.table(
        {"row": row, "column": column, "probability": wrong, "candidate": wrong}
        | {"baseline_historical_mean": np.full(16, truth.mean()), "baseline_ew_kde": np.full(16, truth.mean() + 0.01)}
    )
    alerts = (random.random((days, 4, 4)) < truth.reshape(4, 4)).astype(np.int64)
    return pa.concat_tables(
        [scored_day(forecast, FIRST + timedelta(days=at), cells, CANDIDATE) for at, cells in enumerate(alerts)]
    )


def test_a_day_is_scored_by_its_definition() -> None:
    forecast = pa.table(
        {"row": [0, 0], "column": [0, 1], "probability": [0.8, 0.1]}
        | {"candidate": [0.8, 0.1], "baseline_historical_mean": [0.5, 0.5]}
    )
    alerts = np.zeros((4, 4), dtype=np.int64)
    alerts[0, 0] = 2
    scores = day_scores(scored_day(forecast, FIRST, alerts, CANDIDATE), expected=1.4, alerts=2)
    assert scores.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.9)) / 2)
    assert scores.brier == pytest.approx((0.04 + 0.01) / 2)
    assert scores.predicted_over_observed == pytest.approx(0.9)
    assert (scores.observed_cells, scores.observed_alerts, scores.expected_alerts) == (1, 2, 1.4)


def test_a_good_candidate_passes_the_rolling_gate_and_a_bad_one_does_not() -> None:
    good, bad = issued_days(0.0), issued_days(1.5)
    verdict = rolling_gate(good, LAST, CANDIDATE)
    assert (verdict.passed, verdict.decided, verdict.served) == (True, True, CANDIDATE)
    assert not rolling_scores(good, LAST, CANDIDATE)[91].is_off
    verdict = rolling_gate(bad, LAST, CANDIDATE)
    assert (verdict.passed, verdict.served) == (False, "historical_mean")
    rolling = rolling_scores(bad, LAST, CANDIDATE)
    assert rolling[91].is_off
    assert (rolling[28].days, rolling[91].days) == (28, 91)
    gain = rolling[91].gain_over["historical_mean"].gain
    assert gain is not None
    assert gain < 0


def test_a_few_weeks_decide_nothing() -> None:
    verdict = rolling_gate(issued_days(1.5, days=40), FIRST + timedelta(days=39), CANDIDATE)
    assert (verdict.passed, verdict.decided, verdict.served) == (True, False, CANDIDATE)
    assert not rolling_scores(issued_days(1.5, days=20), FIRST + timedelta(days=19), CANDIDATE)[91].is_off
