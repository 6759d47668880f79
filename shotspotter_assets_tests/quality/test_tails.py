"""Tails against those of `scipy.stats`."""

import numpy as np
import pytest
from scipy.stats import binom, nbinom

from shotspotter_assets.quality.tails import (
    binomial_at_least,
    negative_binomial_at_least,
    negative_binomial_at_most,
)

COUNTS = np.array([0, 1, 2, 7, 30, 400])


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("trials", [0, 1, 7, 400, 100_000])
def test_binomial_tails_are_those_of_scipy(trials: int, probability: float) -> None:
    expected = binom.sf(COUNTS - 1, trials, probability)
    assert binomial_at_least(COUNTS, trials, probability) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("size", [0.3, 2.0, 57.5])
@pytest.mark.parametrize("probability", [0.001, 0.3, 0.97])
def test_negative_binomial_tails_are_those_of_scipy(size: float, probability: float) -> None:
    at_least, at_most = nbinom.sf(COUNTS - 1, size, probability), nbinom.cdf(COUNTS, size, probability)
    assert negative_binomial_at_least(COUNTS, size, probability) == pytest.approx(at_least, rel=1e-9, abs=1e-300)
    assert negative_binomial_at_most(COUNTS, size, probability) == pytest.approx(at_most, rel=1e-9)


def test_days_that_nobody_knows_stay_unknown() -> None:
    counts = np.array([np.nan, 3.0])
    for tail in (negative_binomial_at_least, negative_binomial_at_most):
        assert np.isnan(tail(counts, 2.0, 0.5)).tolist() == [True, False]
