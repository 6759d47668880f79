"""Firework days as a regime of their own: an ordinary forecast moved by the offset of earlier firework days.

An offset is the shift of the ordinary forecast's log odds that gives as many occupied cells as were observed. Offsets
are a Gaussian process over the past firework days (Rasmussen and Williams 2006, equations 2.25 and 2.26), with a part by
season (Independence Day or New Year) and a part by date, which both drift with the years; their scale is that of the
city's own. The forecast averages over their uncertainty, and lifts places that are busier on firework days.
"""

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.special import expit

from shotspotter_assets.grid.dates import YEAR_DAYS, month_days
from shotspotter_assets.storage.arrays import Array, Booleans, Days

SEASON_VARIANCE: Final = 1.5
SEASON_YEARS: Final = 4.0
DATE_VARIANCE: Final = 0.7
DATE_YEARS: Final = 3.0
NOISE_VARIANCE: Final = 0.05
PRIOR_DAYS: Final = 3  # strength of these variances, in firework days, against those of the city's own offsets
PLACE_HALF_LIFE_YEARS: Final = 3.0
PLACE_PRIOR: Final = 3.0  # prior strength of the ordinary forecast of a place, in pseudo-alerts
PLACE_WIDTH: Final = 0.7  # standard deviation, in cells, of the smoothing of places
MAX_OFFSET: Final = 12.0


def firework_probability(
    day: np.datetime64,
    logit: Array,
    past_days: Days,
    past_logits: Array,
    past_observed: Booleans,
    in_coverage: Booleans,
) -> Array:
    """Return the probability of at least one alert on a firework day, shape (cells,).

    Log odds are those of the ordinary forecast, `logit` (cells,) for the day, `past_logits` (past days, cells) for
    earlier firework days, like `past_observed`; the earliest, whose ordinary forecast is worth nothing, are left out.
    """
    offsets = np.array(list(map(level_offset, past_logits, past_observed)))
    mean, variance = _posterior(day, past_days, offsets, 1 / np.maximum(past_observed.sum(axis=1), 0.5))
    years_ago = (day - past_days).astype(np.float64) / YEAR_DAYS
    places = _place_offsets(years_ago, expit(past_logits + offsets[:, None]), past_observed, in_coverage)
    points, weights = np.polynomial.hermite_e.hermegauss(9)
    shifted = (logit + places)[None, :] + (mean + np.sqrt(variance) * points)[:, None]
    return (weights / weights.sum()) @ expit(shifted)


def level_offset(logit: Array, observed: Booleans) -> float:
    """Return the shift of the log odds (cells,) by which as many occupied cells are expected as were observed."""
    occupied = np.clip(observed.sum(), 0.5, observed.size - 0.5)
    return float(brentq(lambda shift: expit(logit + shift).sum() - occupied, -2 * MAX_OFFSET, 2 * MAX_OFFSET))


def _posterior(day: np.datetime64, past_days: Days, offsets: Array, noise: Array) -> tuple[float, float]:
    """Return mean and variance of the offset of `day`; `noise` is the error variance of the past offsets."""
    days = np.append(past_days, day).astype("datetime64[D]")
    years = np.abs(days[:, None] - days[None, :]).astype(np.float64) / YEAR_DAYS
    date = month_days(days)
    in_july = date // 100 == 7
    kernel = (in_july[:, None] == in_july) * SEASON_VARIANCE * np.exp(-years / SEASON_YEARS)
    kernel += (date[:, None] == date) * DATE_VARIANCE * np.exp(-years / DATE_YEARS)
    total = SEASON_VARIANCE + DATE_VARIANCE + NOISE_VARIANCE
    spread = (np.maximum(offsets**2 - noise, 0) / total).sum()
    scale = (PRIOR_DAYS + spread) / (PRIOR_DAYS + len(offsets))
    past = scale * (kernel[:-1, :-1] + NOISE_VARIANCE * np.eye(len(offsets))) + np.diag(noise)
    gain = np.linalg.solve(past, scale * kernel[:-1, -1])
    return float(gain @ offsets), max(float(scale * (total - gain @ kernel[:-1, -1])), 0.0)


def _place_offsets(years_ago: Array, expected: Array, observed: Booleans, in_coverage: Booleans) -> Array:
    """Return the shift of each cell's log odds on firework days, (cells,), from earlier ones, (past days, cells)."""
    weight = 2.0 ** (-years_ago / PLACE_HALF_LIFE_YEARS)

    def around(daily: Array | Booleans) -> Array:
        grid = np.zeros(in_coverage.shape)
        grid[in_coverage] = weight @ daily
        # A sum, not a mean, over the neighbourhood: its size decides how much the prior counts.
        return gaussian_filter(grid, PLACE_WIDTH, mode="constant")[in_coverage] * (4 * np.pi * PLACE_WIDTH**2)

    return np.log((around(observed) + PLACE_PRIOR) / (around(expected) + PLACE_PRIOR))
