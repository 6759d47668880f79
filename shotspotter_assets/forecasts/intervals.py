"""Intervals of probabilities, from the offset of a week and of a firework day in log odds."""

import math

import numpy as np
from scipy.stats import norm

from shotspotter_assets.grid.dates import is_holiday_fireworks
from shotspotter_assets.models.alert_counts import ENDS, FIREWORK_VARIANCE
from shotspotter_assets.models.stack import LONG_LEAD_DAYS
from shotspotter_assets.storage.arrays import Array, Booleans, Days


def weekly_offset(probability: Array, observed: Booleans, days: Days, lead: int = 1) -> tuple[float, float]:
    """Return the 10% and 90% quantiles, over ordinary weeks, of log(observed / predicted occupied cells).

    Chance adds to the model's error, which widens the interval. At a long `lead`, both sides take the wider one, because the level
    may drift back. `probability`, forecast without these days, and `observed` have the shape (days, cells).
    """
    whole = np.flatnonzero(~is_holiday_fireworks(days))
    whole = whole[len(whole) % 7 :]
    if not len(whole):
        return (0.0, 0.0)
    occupied, predicted = (cells[whole].sum(axis=1).reshape(-1, 7).sum(axis=1) for cells in (observed, probability))
    # From 13 weeks, numpy's default quantiles hold 69% of the next ones.
    low, high = np.quantile(np.log((occupied + 0.5) / (predicted + 0.5)), ENDS, method="weibull")
    widest = max(-float(low), float(high)) if lead >= LONG_LEAD_DAYS else 0.0
    return min(float(low), -widest), max(float(high), widest)


def day_offset(weekly: tuple[float, float], fireworks: bool) -> tuple[float, float]:
    """Return the interval of the next day's offset in log odds; `weekly` is that of weeks (`weekly_offset`)."""
    if not fireworks:
        return weekly
    fireworks_offset = float(norm.ppf(ENDS[1]) * np.sqrt(np.log1p(FIREWORK_VARIANCE)))
    return -math.hypot(weekly[0], fireworks_offset), math.hypot(weekly[1], fireworks_offset)
