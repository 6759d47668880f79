from datetime import UTC, datetime

import numpy as np
import pytest

from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_hours import next_hours
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly, forecast_from, predict_all
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.hours import COVERED, TEST, VALIDATION, counts, history, of_counts
from shotspotter_assets_tests.models.next_hours.test_climatology import fit
from shotspotter_assets_tests.models.next_hours.test_climatology import fitted as fitted_once


@pytest.fixture(scope="module")
def fitted() -> FittedHourly:
    return fitted_once("next_hours")


@pytest.mark.parametrize("horizon", [1, 4])
def test_it_beats_the_baselines_and_is_calibrated(fitted, horizon):
    issues = history().issues(TEST, horizon)
    observed = history().occupied_within(horizon)[issues]
    forecast = fitted.predict(history(), issues, horizon)
    assert forecast.shape == observed.shape
    baseline = fitted_once("climatology").predict(history(), issues, horizon)
    assert log_losses(forecast, observed).mean() < log_losses(baseline, observed).mean()
    assert forecast.sum() == pytest.approx(observed.sum(), rel=0.1)


def test_sampling_does_not_move_the_forecast(fitted, monkeypatch):
    monkeypatch.setattr(next_hours, "MAX_POSITIVES", 600)
    monkeypatch.setattr(next_hours, "NEGATIVES_PER_POSITIVE", 2)
    thinned = fit("next_hours", history(), 4)
    whole, thin = (model.predict(history(), TEST, 4) for model in (fitted, thinned))
    assert thin.sum() == pytest.approx(whole.sum(), rel=0.1)


def test_longer_horizons_are_not_less_likely_and_agree_with_predict(fitted):
    each = predict_all(fitted, history(), TEST.start)
    assert (np.diff(each, axis=0) >= 0).all()
    alone = fitted.predict(history(), [TEST.start], 1)[0]
    np.testing.assert_allclose(each[0], alone, rtol=1e-4)
    np.testing.assert_allclose(fitted.predict(history(), TEST, 1)[0], alone, rtol=1e-2)


def test_nowcast_uses_today_so_far_and_no_hour_to_come(fitted):
    now = datetime(2021, 11, 30, 20, 25, tzinfo=UTC)
    until = history().hour_at(now)
    today = counts()[: until + 9]
    today[until:] = 0
    window = of_counts(today)
    starts, forecast = forecast_from(fitted, window, now)
    assert starts == np.datetime64("2021-11-30T21:00:00")
    np.testing.assert_array_equal(forecast, predict_all(fitted, history(until), until))
    today[until - 1, 0, 3, 3] += 3
    _, after = forecast_from(fitted, of_counts(today), now)
    cell = int(COVERED[:3].sum()) + 3
    assert (after[:, cell] > forecast[:, cell]).all()


def test_silence_and_an_empty_window_are_refused():
    with pytest.raises(HourlyHistoryError, match=r"made_up_city: 0 training hours .* coarser grid"):
        forecaster("next_hours").fit(history(), range(0), VALIDATION)
    silent = of_counts(np.zeros_like(counts()))
    with pytest.raises(HourlyHistoryError, match="made_up_city: 0 of"):
        fit("next_hours", silent, 1)
