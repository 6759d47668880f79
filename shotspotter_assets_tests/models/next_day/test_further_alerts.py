from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.further_alerts import fit_further_alerts
from shotspotter_assets.models.next_day.regime_regression import FitData
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY, TRAIN, VALIDATION, history

MEAN = 12.0  # alerts a day of the first covered cell; all others have at most one
BUSY = np.random.default_rng(3).poisson(MEAN, VALIDATION.stop)


def with_a_busy_cell() -> History:
    counts = np.minimum(history().counts[: VALIDATION.stop], 1)
    row, column = np.argwhere(COVERED)[0]
    counts[:, 0, row, column] = BUSY
    return History(CITY, FIRST_DAY, counts, COVERED)


def test_counts_above_the_caps_of_the_inputs_are_forecast():
    past = with_a_busy_cell()
    fitted, validated = fit_further_alerts(FitData(past, TRAIN, VALIDATION))
    log_mean = fitted.log_mean(past, range(past.next_day, past.next_day + 1))[0]
    assert np.exp(log_mean[0]) == pytest.approx(MEAN - 1, rel=0.15)
    assert np.exp(log_mean[1:]).max() < 1
    assert np.exp(validated[:, 0]).mean() == pytest.approx(MEAN - 1, rel=0.15)


def test_a_day_is_forecast_from_the_days_before_it():
    past = with_a_busy_cell()
    day = VALIDATION.start
    fitted, _ = fit_further_alerts(FitData(past, TRAIN, VALIDATION))
    later = past.counts.copy()
    later[day:] = 0
    changed = replace(past, counts=later)
    for one in (range(day, day + 1), range(day - 1, day)):
        np.testing.assert_array_equal(fitted.log_mean(past, one), fitted.log_mean(changed, one))


def test_a_city_with_single_alerts_has_no_regression():
    counts = history().counts[: VALIDATION.stop]
    counts[:, 0] = counts.sum(axis=1) > 0
    counts[:, 1:] = 0
    single = History(CITY, FIRST_DAY, counts, COVERED)
    assert fit_further_alerts(FitData(single, TRAIN, VALIDATION)) == (None, None)


def test_stored_counts_give_equal_forecasts():
    past = with_a_busy_cell()
    probability = np.full((len(VALIDATION), COVERED.sum()), 0.2)
    counts = AlertCounts.of_days(past, TRAIN, VALIDATION, probability)
    stored = AlertCounts.load(counts.files())
    at = range(past.next_day, past.next_day + 1)
    np.testing.assert_array_equal(counts.log_m(past, at), stored.log_m(past, at))
    forecast = counts.distribution(np.full((1, COVERED.sum()), 0.99), np.array(False), counts.log_m(past, at))
    assert forecast.expected[0, 0] == pytest.approx(MEAN, rel=0.2)
