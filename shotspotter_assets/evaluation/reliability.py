"""Reliability: how often alerts came where so much probability was forecast."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MAX_BINS: Final = 10
Z_95: Final = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""


@dataclass(frozen=True)
class Reliability:
    """Bins of equally many cell-days by rising forecast, a value of each; equal forecasts share a bin.

    Attributes:
        mean_forecast: mean probability.
        observed_frequency: share with an alert.
        low: lower end of the 95% Wilson interval of that share.
        high: upper end.
    """

    mean_forecast: list[float]
    observed_frequency: list[float]
    low: list[float]
    high: list[float]


def reliability(probability: npt.NDArray[np.float64], observed: npt.NDArray[np.bool_]) -> Reliability:
    """The reliability of forecasts, in at most `MAX_BINS` bins.

    Args:
        probability: shape (cell-days,).
        observed: whether there was an alert, same shape.
    """
    edges = np.unique(np.quantile(probability, np.arange(1, MAX_BINS) / MAX_BINS))
    which = np.unique(np.searchsorted(edges, probability, side="left"), return_inverse=True)[1]
    number = np.bincount(which).astype(np.float64)
    frequency = np.bincount(which, weights=observed) / number
    z = Z_95
    centre = (frequency + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(frequency * (1 - frequency) / number + z**2 / (4 * number**2))
    mean = np.bincount(which, weights=probability) / number
    return Reliability(mean.tolist(), frequency.tolist(), (centre - half).tolist(), (centre + half).tolist())
