import numpy as np
import pytest
from scipy.special import expit, logit

from shotspotter_assets.forecasting.calibration import fit_blend
from shotspotter_assets.forecasting.probability import log_losses


def example(rows: int = 200_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = expit(random.normal(-3, 1, rows))
    return truth, random.random(rows) < truth


def test_a_calibrated_forecast_stays_what_it_is():
    truth, observed = example()
    blend = fit_blend([truth], observed)
    assert blend.weights[0] == pytest.approx(1, abs=0.02)
    assert blend.shift == pytest.approx(0, abs=0.02)


def test_repairs_a_slope_only_as_far_as_the_positives_prove_it():
    truth, observed = example()
    steep = expit(2 * logit(truth) + 3)
    many, few = fit_blend([steep], observed), fit_blend([steep[:400]], observed[:400])
    assert many.weights[0] < 0.75 < 0.9 < few.weights[0]
    assert log_losses(many.probability([steep]), observed).mean() < log_losses(steep, observed).mean()


def test_weighs_the_better_member_more_and_none_below_zero():
    truth, observed = example()
    random = np.random.default_rng(1)
    noisy = expit(logit(truth) + random.normal(0, 1.5, truth.shape))
    wrong = expit(-logit(truth) - 6)
    blend = fit_blend([truth, noisy, wrong], observed)
    assert blend.weights[0] > blend.weights[1] >= 0
    assert blend.weights[2] == pytest.approx(0, abs=0.05)
    assert log_losses(blend.probability([truth, noisy, wrong]), observed).mean() < log_losses(noisy, observed).mean()
