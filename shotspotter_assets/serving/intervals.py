"""Intervals of probabilities: a week's offset in log odds, and that of a firework day."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.models.alert_counts import FIREWORK_VARIANCE

CONFIDENCE: Final = 0.8
"""Coverage of each interval."""
ENDS: Final = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def weekly_offset(
    probability: Array, observed: npt.NDArray[np.bool_], days: npt.NDArray[np.datetime64]
) -> tuple[float, float]:
    """Return the 10% and 90% quantiles, over ordinary weeks, of log(observed / predicted occupied cells).

    Chance adds to the model's own error, so the interval is rather too wide. `probability`, forecast without these days, and
    `observed` have the shape (days, cells).
    """
    ordinary = ~is_holiday_fireworks(days)
    whole = np.flatnonzero(ordinary)
    whole = whole[len(whole) % 7 :]
    if not len(whole):
        return (0.0, 0.0)
    occupied, predicted = (cells[whole].sum(axis=1).reshape(-1, 7).sum(axis=1) for cells in (observed, probability))
    # Of few weeks, numpy's usual quantiles hold too little of the next ones: 69% of them where 13 are given.
    low, high = np.quantile(np.log((occupied + 0.5) / (predicted + 0.5)), [0.1, 0.9], method="weibull")
    return min(float(low), 0.0), max(float(high), 0.0)


def day_offset(weekly: tuple[float, float], fireworks: bool) -> tuple[float, float]:
    """Return the interval of a next day's offset in log odds, from that of weeks (`weekly_offset`)."""
    if not fireworks:
        return weekly
    fireworks_offset = float(norm.ppf(ENDS[1]) * np.sqrt(np.log1p(FIREWORK_VARIANCE)))
    return -math.hypot(weekly[0], fireworks_offset), math.hypot(weekly[1], fireworks_offset)
