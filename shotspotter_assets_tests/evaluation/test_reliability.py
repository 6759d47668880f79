import numpy as np
import pytest

from shotspotter_assets.evaluation.reliability import reliability

RANDOM = np.random.default_rng(0)
PROBABILITY = np.clip(RANDOM.gamma(0.5, 0.04, 13_000), 1e-6, 1)
OBSERVED = RANDOM.random(PROBABILITY.shape) < PROBABILITY


def test_bins_hold_all_cell_days():
    bins = reliability(PROBABILITY, OBSERVED)
    forecast, frequency = np.array(bins.mean_forecast), np.array(bins.observed_frequency)
    assert len(forecast) == 10
    assert forecast.mean() == pytest.approx(PROBABILITY.mean(), rel=0.01)
    assert frequency.mean() == pytest.approx(OBSERVED.mean(), rel=0.01)
    assert (np.diff(forecast) > 0).all()
    assert (bins.low <= frequency).all()
    assert (frequency <= bins.high).all()
    lowest = np.quantile(PROBABILITY, 0.1) >= PROBABILITY
    assert forecast[0] == pytest.approx(PROBABILITY[lowest].mean())
    assert frequency[0] == pytest.approx(OBSERVED[lowest].mean())


def test_equal_forecasts_share_a_bin():
    bins = reliability(np.array([0.1] * 30 + [0.4] * 10), np.arange(40) % 2 == 0)
    assert bins.mean_forecast == pytest.approx([0.1, 0.4])
    assert bins.observed_frequency == pytest.approx([0.5, 0.5])


def test_the_interval_is_wilsons():
    bins = reliability(np.full(40, 0.2), np.arange(40) < 8)
    # As published tables have it: 8 of 40.
    assert (bins.low[0], bins.high[0]) == pytest.approx((0.1050, 0.3478), abs=1e-3)
