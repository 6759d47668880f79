"""Scores of issued forecasts, and the rolling gate on them."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.gridding.tensors import grid_schema
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.forecast_scores import (
    day_scores,
    rolling_gate,
    rolling_scores,
    score,
    scored_day,
)
from shotspotter_assets_tests.serving.town import ALL_CELLS, CANDIDATE, TOWN, serving_record

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
    gain = rolling[91].gain_over["historical_mean"].gain
    assert gain is not None
    assert gain < 0


def test_a_few_weeks_decide_nothing() -> None:
    verdict = rolling_gate(issued_days(1.5, days=40), FIRST + timedelta(days=39), CANDIDATE)
    assert (verdict.passed, verdict.decided, verdict.served) == (True, False, CANDIDATE)


@pytest.mark.parametrize(
    ("days", "stated"),
    [(4, {}), (13, {}), (14, {28: 14}), (45, {28: 28}), (46, {28: 28, 91: 46}), (91, {28: 28, 91: 91})],
)
def test_a_window_is_stated_with_its_number_of_days_once_half_of_it_is_scored(
    days: int, stated: dict[int, int]
) -> None:
    rolling = rolling_scores(issued_days(0.0, days=days), FIRST + timedelta(days=days - 1), CANDIDATE)
    assert {window: scores.days for window, scores in rolling.items()} == stated


def forecast_of(days: int) -> tuple[CityHistory, dict[date, pa.Table]]:
    """Days without alerts, and forecasts for the last so many of them."""
    days_of_history = [FIRST + timedelta(days=at) for at in range(DAYS)]
    frames = grid_schema(24, TOWN).empty_table().add_column(0, "date", pa.array([], pa.date32()))
    row, column = np.nonzero(ALL_CELLS)
    probabilities = ("probability", "expected", "candidate", "baseline_historical_mean")
    table = pa.table({"row": row, "column": column} | dict.fromkeys(probabilities, np.full(16, 0.1)))
    return CityHistory(TOWN, days_of_history, frames), dict.fromkeys(days_of_history[-days:], table)


def test_the_rolling_gate_judges_the_present_candidate_only() -> None:
    history, forecasts = forecast_of(days=40)
    everything = score(history, forecasts, serving_record())
    assert everything.rolling_gate is not None
    assert (everything.rolling[28].days, everything.rolling_gate.gain.weeks) == (28, 6)
    # The forecast issued on the day of the change is the first one of the new candidate.
    changed = serving_record(candidate_since=LAST - timedelta(days=7))
    part = score(history, forecasts, changed)
    assert part.rolling == everything.rolling
    assert part.rolling_gate is not None
    assert part.rolling_gate.gain.weeks == 1
    assert score(history, forecasts, serving_record(candidate_since=LAST)).rolling_gate is None


def test_a_day_without_a_forecast_has_a_note() -> None:
    history, _ = forecast_of(days=1)
    record = score(history, {}, None)
    assert (record.scores, record.rolling, record.rolling_gate, record.level_is_off) == (None, {}, None, False)
    assert record.note == f"No forecast was issued on {LAST - timedelta(days=1)}, so {LAST} has no score."


def test_forecasts_of_other_leads_and_days_that_are_not_known_are_not_scored() -> None:
    history, forecasts = forecast_of(days=40)
    late = {day: table.replace_schema_metadata({"lead": "3"}) for day, table in list(forecasts.items())[-30:]}
    record = score(history.until(LAST - timedelta(days=2)), forecasts | late, serving_record())
    assert (record.lead, record.last_known, record.day) == (3, LAST - timedelta(days=2), LAST)
    assert record.note == f"What happened on {LAST} is not known yet: the last known day is {LAST - timedelta(days=2)}."
    assert record.scores is None
    assert record.rolling[28].days == 26
    known = score(history, forecasts | late, serving_record())
    assert (known.lead, known.note) == (3, None)
    assert known.rolling[28].days == 28


def test_forecasts_made_after_their_day_are_counted() -> None:
    history, forecasts = forecast_of(40)
    late = {day: table.replace_schema_metadata({"replayed": "true"}) for day, table in list(forecasts.items())[-20:]}
    record = score(history, forecasts | late, serving_record())
    assert (record.rolling[28].replayed, record.rolling[28].days) == (20, 28)
    assert record.rolling_gate is not None
    assert record.rolling_gate.reasons[-1] == "20 of the 40 days' forecasts were made after their day."
