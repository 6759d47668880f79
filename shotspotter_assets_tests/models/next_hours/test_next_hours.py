from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from shotspotter_assets.models.forecaster import FitContext, FittedHourly, log_losses
from shotspotter_assets.models.forecaster_registry import FORECASTERS, NEXT_HOURS, hourly_forecaster
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours import next_hours
from shotspotter_assets.models.next_hours.hourly_forecaster import forecast_from, predict_all
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, of_counts


@pytest.fixture(scope="module")
def regression() -> FittedHourly:
    return fitted("next_hours")


@pytest.mark.parametrize("horizon", [1, 4])
def test_it_beats_the_baselines_and_is_calibrated(regression, horizon):
    issues = history().issues(TEST, horizon)
    observed = history().occupied_within(horizon)[issues]
    forecast = regression.predict(history(), issues, horizon)
    assert forecast.shape == observed.shape
    assert loss("next_hours", horizon) < loss("climatology", horizon)
    assert forecast.sum() == pytest.approx(observed.sum(), rel=0.1)


def test_sampling_does_not_move_the_forecast(regression, monkeypatch):
    monkeypatch.setattr(next_hours, "MAX_POSITIVES", 600)
    monkeypatch.setattr(next_hours, "NEGATIVES_PER_POSITIVE", 2)
    thinned = fit("next_hours", history(), 4)
    whole, thin = (model.predict(history(), TEST, 4) for model in (regression, thinned))
    assert thin.sum() == pytest.approx(whole.sum(), rel=0.1)


def test_longer_horizons_are_not_less_likely_and_agree_with_predict(regression):
    each = predict_all(regression, history(), TEST.start)
    assert (np.diff(each, axis=0) >= 0).all()
    alone = regression.predict(history(), [TEST.start], 1)[0]
    np.testing.assert_allclose(each[0], alone, rtol=1e-4)
    np.testing.assert_allclose(regression.predict(history(), TEST, 1)[0], alone, rtol=1e-2)


def test_nowcast_uses_today_so_far_and_no_hour_to_come(regression):
    now = datetime(2021, 11, 30, 20, 25, tzinfo=UTC)
    until = history().hour_at(now)
    today = counts()[: until + 9]
    today[until:] = 0
    window = of_counts(today)
    starts, forecast = forecast_from(regression, window, now)
    assert starts == np.datetime64("2021-11-30T21:00:00")
    np.testing.assert_array_equal(forecast, predict_all(regression, history(until), until))
    today[until - 1, 0, 3, 3] += 3
    _, after = forecast_from(regression, of_counts(today), now)
    cell = int(COVERED[:3].sum()) + 3
    assert (after[:, cell] > forecast[:, cell]).all()


def test_silence_and_an_empty_window_are_refused():
    with pytest.raises(HourlyHistoryError, match="made_up_city: 0 training hours"):
        hourly_forecaster("next_hours").fit(history(), range(0), VALIDATION)
    silent = of_counts(np.zeros_like(counts()))
    with pytest.raises(HourlyHistoryError, match="made_up_city: 0 of"):
        fit("next_hours", silent, 1)


BASELINES = [name for name in NEXT_HOURS if FORECASTERS[name].is_baseline]


def fit(name: str, past: HourlyHistory, *horizons: int) -> FittedHourly:
    return hourly_forecaster(name).fit(past, TRAIN, VALIDATION, FitContext(horizons=horizons))


@cache
def fitted(name: str) -> FittedHourly:
    return fit(name, history(), 1, 4)


def loss(name: str, horizon: int) -> float:
    issues = history().issues(TEST, horizon)
    forecast = fitted(name).predict(history(), issues, horizon)
    return float(np.mean(log_losses(forecast, history().occupied_within(horizon)[issues])))


def test_near_repeats_beat_the_climatology():
    assert loss("self_exciting", 1) < loss("climatology", 1)


def test_the_strength_of_near_repeats_is_found():
    _, own_cell, near_cells = fitted("self_exciting").models[1].strengths
    assert own_cell > near_cells
    calm = of_counts(counts(repeats=0.0))
    without = fit("self_exciting", calm, 1).models[1].strengths
    assert without[1] + without[2] < own_cell


@pytest.mark.parametrize("name", BASELINES)
def test_a_stored_baseline_forecasts_the_same(name):
    again = hourly_forecaster(name).load(fitted(name).files())
    issues = history().issues(TEST, 4)
    for horizon in fitted(name).models:
        found, expected = (model.predict(history(), issues, horizon) for model in (again, fitted(name)))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", BASELINES)
def test_validation_hours_choose_settings_and_test_hours_never_enter_a_fit(name):
    later = history().issues(TEST, 1)[:301]
    changed = counts()
    changed[TEST.start + 300 :] = 2
    spoiled = of_counts(changed)
    again = fit(name, spoiled, 1)
    np.testing.assert_allclose(again.predict(spoiled, later, 1), fitted(name).predict(history(), later, 1), rtol=1e-5)
    changed[VALIDATION.start :] = np.roll(changed[VALIDATION.start :], 7, axis=-1)
    again = fit(name, of_counts(changed), 1)
    before, after = (some.models[1].validation_probability[0] for some in (fitted(name), again))
    # The strength of the shrinkage is tuned on the validation hours; places are not learned from them.
    assert spearmanr(before, after).statistic > 0.95
