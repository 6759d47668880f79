"""Lag features of the covered cells for the two baselines that scikit-learn fits.

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
    """Features of every day to the one that is forecast, and of every covered cell.

    Attributes:
        values: float32, shape (days + lead, cells, features); cells in row-major order of the coverage.
        names: one name per feature.
        is_rate: whether the feature is a rate per day (not negative, skewed), shape (features,).
    """

    values: npt.NDArray[np.float32]
    names: tuple[str, ...]
    is_rate: npt.NDArray[np.bool_]


def lag_features(history: History) -> LagFeatures:
    """All lag features of a history, made once for both baselines."""
    return history.kept("lag_features", np.arange(len(history.counts)), lambda: _lag_features(history))


def _lag_features(history: History) -> LagFeatures:
    days, in_coverage = history.days_to_forecast(), history.in_coverage
    known = history.known_before(range(len(days)))
    alerts = np.minimum(history.alerts[:, in_coverage], MAX_ALERTS_COUNTED).astype(np.float64)
    occupied = (alerts > 0).astype(np.float64)
    columns: list[tuple[str, bool, Array]] = [
        *((name, True, values[known]) for name, values in _rates("occupied", occupied, in_coverage, SMOOTHING_WIDTHS)),
        # Smoothed counts hold what smoothed occupancy holds; they cost boosting a third of its time for nothing.
        *((name, True, values[known]) for name, values in _rates("alerts", alerts, in_coverage, SMOOTHING_WIDTHS[:1])),
        *((name, False, values) for name, values in _recency(alerts, known)),
        *((name, True, values[known]) for name, values in _city_rates(occupied, days[: len(occupied)])),
        *((name, True, values) for name, values in _firework_rates(occupied, in_coverage, days, known)),
        *((name, False, values) for name, values in weekday_and_season(days)),
        ("is_firework_day", False, is_holiday_fireworks(days).astype(np.float64)[:, None]),
    ]
    features = np.empty((len(days), int(in_coverage.sum()), len(columns)), dtype=np.float32)
    for at, (_, _, values) in enumerate(columns):
        features[:, :, at] = values
    names, is_rate, _ = zip(*columns, strict=True)
    return LagFeatures(features, names, np.array(is_rate))


def _rates(what: str, daily: Array, in_coverage: Booleans, widths: Sequence[float]) -> Iterator[tuple[str, Array]]:
    for width in widths:
        smooth = smooth_cells(daily, in_coverage, width)
        place = f"{what}_within_{width:g}_cells" if width else what
        for half_life in HALF_LIVES:
            yield f"{place}_{half_life}_days", exponential_mean(smooth, half_life)
        yield f"{place}_all_history", exponential_mean(smooth, np.inf)


def _recency(alerts: Array, known: Integers) -> Iterator[tuple[str, Array]]:
    yield "alerts_yesterday", np.concatenate([np.zeros_like(alerts[:1]), alerts])[known]
    since = np.arange(len(known))[:, None] - last_occupied(alerts)[known]
    yield "log_days_since_last_alert", np.log(np.minimum(since, MAX_DAYS_REMEMBERED))


def _city_rates(occupied: Array, days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    # A firework day says nothing about the rate of the ordinary days after it.
    ordinary = (~is_holiday_fireworks(days)).astype(np.float64)
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(occupied.mean(axis=1) * ordinary, half_life)
        share = exponential_mean(ordinary, half_life)
        yield f"city_{half_life}_days", np.divide(rate, share, out=np.zeros_like(rate), where=share > 0)[:, None]


def _firework_rates(
    occupied: Array, in_coverage: Booleans, days: npt.NDArray[np.datetime64], known: Integers
) -> Iterator[tuple[str, Array]]:
    """What past firework days were like, on firework days; 0 on all others."""
    fireworks = is_holiday_fireworks(days)
    rate = np.zeros((len(days), int(in_coverage.sum())))
    counted = np.flatnonzero(fireworks[: len(occupied)])
    past = smooth_cells(occupied[counted], in_coverage, SMOOTHING_WIDTHS[-1])
    rate[fireworks] = exponential_mean(past, FIREWORK_HALF_LIFE)[np.searchsorted(counted, known[fireworks])]
    yield "occupied_on_past_firework_days", rate
    at = (same_date_last_year(days) - days[:1]).astype(np.int64)
    city = np.where(fireworks & (at >= 0), occupied.mean(axis=1)[np.maximum(at, 0)], 0.0)
    yield "city_last_year_on_firework_day", city[:, None]
