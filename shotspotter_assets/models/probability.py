"""The range that every forecast probability is kept in, and its log loss, for fitting and scoring."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.storage.arrays import Array, Booleans

MIN_PROBABILITY: Final = 1e-6  # bound of forecasts, from 0 and 1: a wrong certainty would cost an infinite log loss


def clip_probability(probability: npt.NDArray[np.floating]) -> Array:
    """Return float64 within [MIN_PROBABILITY, 1 - MIN_PROBABILITY]. Raises ValueError if a value is not a number."""
    if missing := int(np.isnan(probability).sum()):
        raise ValueError(f"{missing} of {probability.size} forecast probabilities are not numbers.")
    return np.clip(probability.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)


def shrunk_frequency(observed: Booleans, pseudo_periods: float) -> Array:
    """Return the frequency of each cell, shrunk towards the mean as if that had been observed for some periods (a Beta prior)."""
    return (observed.sum(axis=0) + pseudo_periods * observed.mean()) / (len(observed) + pseudo_periods)


def log_losses(probability: npt.NDArray[np.floating], observed: Booleans) -> Array:
    """Return the log loss of each forecast in nats; shape of `probability`, which may be broadcast against `observed`."""
    p = clip_probability(probability)
    return -np.where(observed, np.log(p), np.log1p(-p))
