"""Lag features of the covered cells for two baselines.

Row t of every feature uses days up to `lead` days before t only, and what the calendar knows of day t. What a fit may not
see is therefore in no row that it takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.year import same_date_last_year
from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import MAX_DAYS_REMEMBERED, last_occupied, weekday_and_season

HALF_LIVES: Final = (7, 14, 30, 90, 365)
"""Half-lives of the exponentially weighted rates, in days."""
SMOOTHING_WIDTHS: Final = (0.0, 0.7, 1.5)
"""Standard deviations of the smoothing in space, in cells."""
CITY_HALF_LIVES: Final = (7, 30)
FIREWORK_HALF_LIFE: Final = 5
"""In firework days, about a year's: their level drifts as their alerts are classified differently."""
MAX_ALERTS_COUNTED: Final = 3
"""Alerts of one cell and day above this are not counted, so that no firework day dominates a rate."""

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LagFeatures:
    """Features of some days and every covered cell.

    Attributes:
        values: float32, shape (days, cells, features); cells in row-major order of the coverage.
        names: one name per feature.
        is_rate: whether the feature is a rate per day (not negative, skewed), shape (features,).
    """

    values: npt.NDArray[np.float32]
    names: tuple[str, ...]
    is_rate: npt.NDArray[np.bool_]


def lag_features(history: History, wanted: range) -> LagFeatures:
    """The lag features of some days, to `History.next_day` at most, made once for both baselines."""
    days = np.arange(wanted.start, wanted.stop)
    return history.kept("lag_features", days, lambda: _lag_features(history, days))


def _lag_features(history: History, wanted: Integers) -> LagFeatures:
    days, in_coverage = history.days_to_forecast(), history.in_coverage
    known = history.known_before(wanted)
    alerts = np.minimum(history.alerts[:, in_coverage], MAX_ALERTS_COUNTED).astype(np.float64)
    occupied = (alerts > 0).astype(np.float64)
    columns: list[tuple[str, bool, Array]] = [
        *((name, True, values) for name, values in _rates("occupied", occupied, in_coverage, SMOOTHING_WIDTHS, known)),
        # Smoothed counts hold what smoothed occupancy holds; they cost boosting a third of its time for nothing.
        *((name, True, values) for name, values in _rates("alerts", alerts, in_coverage, SMOOTHING_WIDTHS[:1], known)),
        *((name, False, values) for name, values in _recency(alerts, wanted, known)),
        *((name, True, values[known]) for name, values in _city_rates(occupied, days[: len(occupied)])),
        *((name, True, values[wanted]) for name, values in _firework_rates(occupied, in_coverage, history)),
        *((name, False, values) for name, values in weekday_and_season(days[wanted])),
        ("is_firework_day", False, is_holiday_fireworks(days[wanted]).astype(np.float64)[:, None]),
    ]
    features = np.empty((len(wanted), int(in_coverage.sum()), len(columns)), dtype=np.float32)
    for at, (_, _, values) in enumerate(columns):
        features[:, :, at] = values
    names, is_rate, _ = zip(*columns, strict=True)
    return LagFeatures(features, names, np.array(is_rate))


def _rates(
    what: str, daily: Array, in_coverage: Booleans, widths: Sequence[float], known: Integers
) -> Iterator[tuple[str, Array]]:
    # Filters in time and smoothing in space commute: only the wanted days are smoothed.
    for half_life in (*HALF_LIVES, np.inf):
        rate = exponential_mean(daily, half_life)[known]
        for width in widths:
            place = f"{what}_within_{width:g}_cells" if width else what
            past = "all_history" if np.isinf(half_life) else f"{half_life}_days"
            yield f"{place}_{past}", smooth_cells(rate, in_coverage, width)


def _recency(alerts: Array, wanted: Integers, known: Integers) -> Iterator[tuple[str, Array]]:
    yield "alerts_yesterday", np.concatenate([np.zeros_like(alerts[:1]), alerts])[known]
    since = wanted[:, None] - last_occupied(alerts)[known]
    yield "log_days_since_last_alert", np.log(np.minimum(since, MAX_DAYS_REMEMBERED))


def _city_rates(occupied: Array, days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    # A firework day says nothing about the rate of the ordinary days after it.
    ordinary = (~is_holiday_fireworks(days)).astype(np.float64)
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(occupied.mean(axis=1) * ordinary, half_life)
        share = exponential_mean(ordinary, half_life)
        yield f"city_{half_life}_days", np.divide(rate, share, out=np.zeros_like(rate), where=share > 0)[:, None]


def _firework_rates(occupied: Array, in_coverage: Booleans, history: History) -> Iterator[tuple[str, Array]]:
    """What past firework days were like, on firework days; 0 on all others. Of all days to the one that is forecast."""
    days = history.days_to_forecast()
    known, fireworks = history.known_before(range(len(days))), is_holiday_fireworks(days)
    rate = np.zeros((len(days), int(in_coverage.sum())))
    counted = np.flatnonzero(fireworks[: len(occupied)])
    past = smooth_cells(occupied[counted], in_coverage, SMOOTHING_WIDTHS[-1])
    rate[fireworks] = exponential_mean(past, FIREWORK_HALF_LIFE)[np.searchsorted(counted, known[fireworks])]
    yield "occupied_on_past_firework_days", rate
    at = (same_date_last_year(days) - days[:1]).astype(np.int64)
    city = np.where(fireworks & (at >= 0), occupied.mean(axis=1)[np.maximum(at, 0)], 0.0)
    yield "city_last_year_on_firework_day", city[:, None]
