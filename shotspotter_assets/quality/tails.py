"""Tails of the binomial and negative binomial distributions (DLMF 8.17.5, 8.17.24), without the load time of `scipy.stats`."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def binomial_at_least(count: npt.ArrayLike, trials: npt.ArrayLike, probability: npt.ArrayLike) -> Array:
    """Probability of `count` successes or more."""
    from scipy.special import betainc

    k, n = np.maximum(count, 1), np.asarray(trials)
    tail: Any = np.where(np.asarray(count) > n, 0.0, betainc(k, np.maximum(n - k + 1, 1), probability))
    return np.where(np.asarray(count) <= 0, 1.0, tail)


def negative_binomial_at_least(count: npt.ArrayLike, size: npt.ArrayLike, probability: npt.ArrayLike) -> Array:
    """Probability of `count` failures or more before success number `size`, not always whole; an unknown (NaN) `count` stays so."""
    from scipy.special import betaincc

    return np.where(np.asarray(count) <= 0, 1.0, betaincc(size, np.maximum(count, 1), probability))


def negative_binomial_at_most(count: npt.ArrayLike, size: npt.ArrayLike, probability: npt.ArrayLike) -> Array:
    """Probability of `count` failures or fewer before success number `size`; an unknown (NaN) `count` stays so."""
    from scipy.special import betainc

    return np.asarray(betainc(size, np.asarray(count) + 1, probability))
