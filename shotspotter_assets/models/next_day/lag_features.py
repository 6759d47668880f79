"""Lag features of the covered cells for the baselines, by one pass of recursive filters over the days.

Row t of every feature uses days before t only, and what the calendar says about day t.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_axis
from shotspotter_assets.calendar.weekdays import WEEKDAYS, weekdays
from shotspotter_assets.calendar.year import YEAR_DAYS, days_of_year, same_date_last_year

Array = npt.NDArray[np.float64]

HALF_LIVES: Final = (7, 14, 30, 90, 365)
"""Half-lives of the exponentially weighted rates, in days."""
SMOOTHING_WIDTHS: Final = (0.0, 0.7, 1.5)
"""Standard deviations of the smoothing in space, in cells."""
CITY_HALF_LIVES: Final = (7, 30)
MAX_ALERTS_COUNTED: Final = 3
"""Alerts of one cell and day above this are not counted, so that no firework day dominates a rate."""
MAX_DAYS_REMEMBERED: Final = 730


@dataclass(frozen=True)
class LagFeatures:
    """Features of every day and covered cell.

    Attributes:
        values: float32, shape (days, cells, features); cells in row-major order of the coverage.
        names: one name per feature.
        is_rate: whether the feature is a rate per day (not negative, skewed), shape (features,).
    """

    values: npt.NDArray[np.float32]
    names: tuple[str, ...]
    is_rate: npt.NDArray[np.bool_]


def exponential_mean(daily: Array, half_life: float) -> Array:
    """Exponentially weighted mean of the days before each day, along the first axis; same shape as `daily`.

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s) with a = 2^(-1 / half_life). The denominator
    removes the bias towards zero of the first days; day 0 has no past and is 0. An infinite half-life gives the mean
    of all history.
    """
    decay = 2.0 ** (-1.0 / half_life)
    weight = lfilter([1.0], [1.0, -decay], np.ones(len(daily)))
    mean = lfilter([1.0], [1.0, -decay], daily, axis=0) / weight.reshape(-1, *[1] * (daily.ndim - 1))
    return _delay(mean)


def lag_features(counts: npt.NDArray[np.integer], first_day: date, covered: npt.NDArray[np.bool_]) -> LagFeatures:
    """All lag features of contiguous days.

    Args:
        counts: alerts, shape (days, types, rows, columns).
        first_day: local day of `counts[0]`.
        covered: shape (rows, columns).
    """
    days = day_axis(first_day, len(counts))
    alerts = np.minimum(counts.sum(axis=1, dtype=np.int64), MAX_ALERTS_COUNTED).astype(np.float64)
    occupied = (alerts > 0).astype(np.float64)
    columns: list[tuple[str, bool, Array]] = [
        *((name, True, values) for name, values in _rates("occupied", occupied, covered, SMOOTHING_WIDTHS)),
        # Smoothed counts say what smoothed occupancy says; they cost boosting a third of its time for nothing.
        *((name, True, values) for name, values in _rates("alerts", alerts, covered, SMOOTHING_WIDTHS[:1])),
        *((name, False, values) for name, values in _recency(alerts[:, covered])),
        *((name, True, values) for name, values in _city_rates(occupied[:, covered], days)),
        *((name, True, values) for name, values in _firework_rates(occupied, covered, days)),
        *((name, False, values) for name, values in _calendar(days)),
    ]
    features = np.empty((len(counts), int(covered.sum()), len(columns)), dtype=np.float32)
    for at, (_, _, values) in enumerate(columns):
        features[:, :, at] = values
    names, is_rate, _ = zip(*columns, strict=True)
    return LagFeatures(features, names, np.array(is_rate))


def smooth_within(daily: Array, covered: npt.NDArray[np.bool_], width: float) -> Array:
    """Gaussian mean over covered cells only, shape (days, cells); `daily` is (days, rows, columns).

    Dividing by the smoothed coverage keeps cells at its edge from losing rate to cells that no sensor hears.
    """
    if width == 0:
        return daily[:, covered]
    inside = gaussian_filter(covered.astype(np.float64), width, mode="constant")
    return gaussian_filter(daily * covered, (0, width, width), mode="constant")[:, covered] / inside[covered]


def _delay(values: Array) -> Array:
    delayed = np.zeros_like(values)
    delayed[1:] = values[:-1]
    return delayed


def _rates(
    what: str, daily: Array, covered: npt.NDArray[np.bool_], widths: Sequence[float]
) -> Iterator[tuple[str, Array]]:
    for width in widths:
        smooth = smooth_within(daily, covered, width)
        place = f"{what}_within_{width:g}_cells" if width else what
        for half_life in HALF_LIVES:
            yield f"{place}_{half_life}_days", exponential_mean(smooth, half_life)
        yield f"{place}_all_history", exponential_mean(smooth, np.inf)


def _recency(alerts: Array) -> Iterator[tuple[str, Array]]:
    yield "alerts_yesterday", _delay(alerts)
    day = np.arange(len(alerts))[:, None]
    last = np.maximum.accumulate(np.where(alerts > 0, day, -MAX_DAYS_REMEMBERED), axis=0)
    since = np.minimum(day + 1 - last, MAX_DAYS_REMEMBERED)
    yield (
        "log_days_since_last_alert",
        np.log(np.concatenate([np.full_like(since[:1], MAX_DAYS_REMEMBERED), since[:-1]])),
    )


def _city_rates(occupied: Array, days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    # A firework day says nothing about the level of the ordinary days after it.
    ordinary = (~is_holiday_fireworks(days)).astype(np.float64)
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(occupied.mean(axis=1) * ordinary, half_life)
        share = exponential_mean(ordinary, half_life)
        yield f"city_{half_life}_days", np.divide(rate, share, out=np.zeros_like(rate), where=share > 0)[:, None]


def _firework_rates(
    occupied: Array, covered: npt.NDArray[np.bool_], days: npt.NDArray[np.datetime64]
) -> Iterator[tuple[str, Array]]:
    """What past firework days were like, on firework days; 0 on all others."""
    firework = is_holiday_fireworks(days)
    here = np.zeros((len(days), int(covered.sum())))
    if firework.any():
        # About a year's worth of firework days: the level drifts as their alerts are classified differently.
        here[firework] = exponential_mean(smooth_within(occupied[firework], covered, SMOOTHING_WIDTHS[-1]), 5)
    yield "occupied_on_past_firework_days", here
    yield (
        "city_last_year_on_firework_day",
        _same_day_last_year(occupied[:, covered].mean(axis=1), days, firework)[:, None],
    )


def _same_day_last_year(city: Array, days: npt.NDArray[np.datetime64], firework: npt.NDArray[np.bool_]) -> Array:
    at = (same_date_last_year(days) - days[:1]).astype(np.int64) if len(days) else np.zeros(0, dtype=np.int64)
    return np.where(firework & (at >= 0), city[np.maximum(at, 0)], 0.0)


def _calendar(days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    weekday = weekdays(days)
    for at, name in enumerate(WEEKDAYS):
        yield name, (weekday == at).astype(np.float64)[:, None]
    phase = 2 * np.pi * days_of_year(days) / YEAR_DAYS
    for harmonic in (1, 2):
        yield f"season_sine_{harmonic}", np.sin(harmonic * phase)[:, None]
        yield f"season_cosine_{harmonic}", np.cos(harmonic * phase)[:, None]
    yield "is_firework_day", is_holiday_fireworks(days).astype(np.float64)[:, None]
