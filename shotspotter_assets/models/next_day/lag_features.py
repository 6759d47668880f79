"""Lag features of the covered cells for two baselines.

Row t of every feature uses days up to `lead` days before t only, and what the calendar knows of day t. What a fit may not
see is therefore in no row that it takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.year import same_date_last_year
from shotspotter_assets.models.filters import Days, exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.cell_days import CellDays, EveryCell, SomeCells
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


def lag_features_of_rows(history: History, at: SomeCells) -> LagFeatures:
    """The same of some cell-days, up to rounding; `values` of the shape (rows, features)."""
    columns = [(name, is_rate, values.astype(np.float32)) for name, is_rate, values in _columns(history, at)]
    names, is_rate, values = zip(*columns, strict=True)
    return LagFeatures(np.column_stack(values), names, np.array(is_rate))


def _lag_features(history: History, wanted: Integers) -> LagFeatures:
    columns = list(_columns(history, EveryCell(history, wanted)))
    features = np.empty((len(wanted), int(history.in_coverage.sum()), len(columns)), dtype=np.float32)
    for at, (_, _, values) in enumerate(columns):
        features[:, :, at] = values
    names, is_rate, _ = zip(*columns, strict=True)
    return LagFeatures(features, names, np.array(is_rate))


def _columns(history: History, at: CellDays) -> Iterator[tuple[str, bool, Array]]:
    """(name, whether it is a rate, values) of each feature."""
    days = history.days_to_forecast()
    alerts = np.minimum(history.alerts[:, history.in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    yield from _rates("occupied", occupied, SMOOTHING_WIDTHS, at)
    # Smoothed counts hold what smoothed occupancy holds; they cost boosting a third of its time for nothing.
    yield from _rates("alerts", alerts, SMOOTHING_WIDTHS[:1], at)
    [yesterday] = at.last_day(alerts, [0.0])
    yield "alerts_yesterday", False, yesterday
    since = at.of_days(at.days) - at.known(last_occupied(alerts))
    yield "log_days_since_last_alert", False, np.log(np.minimum(since, MAX_DAYS_REMEMBERED))
    for name, rate in _city_rates(occupied, days[: len(occupied)]):
        yield name, True, at.of_days(rate[at.before])
    yield from _firework_rates(occupied, history, at)
    for name, values in weekday_and_season(days[at.days]):
        yield name, False, at.of_maps(values)
    yield "is_firework_day", False, at.of_days(is_holiday_fireworks(days[at.days]).astype(np.float64))


def _rates(what: str, daily: Days, widths: Sequence[float], at: CellDays) -> Iterator[tuple[str, bool, Array]]:
    half_lives = (*HALF_LIVES, np.inf)
    for (half_life, width), rate in zip(
        product(half_lives, widths), at.means(daily, half_lives, None, widths), strict=True
    ):
        place = f"{what}_within_{width:g}_cells" if width else what
        past = "all_history" if np.isinf(half_life) else f"{half_life}_days"
        yield f"{place}_{past}", True, rate


def _city_rates(occupied: Booleans, days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    # A firework day says nothing about the rate of the ordinary days after it.
    ordinary = (~is_holiday_fireworks(days)).astype(np.float64)
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(occupied.mean(axis=1) * ordinary, half_life)
        share = exponential_mean(ordinary, half_life)
        yield f"city_{half_life}_days", np.divide(rate, share, out=np.zeros_like(rate), where=share > 0)


def _firework_rates(occupied: Booleans, history: History, at: CellDays) -> Iterator[tuple[str, bool, Array]]:
    """What past firework days were like, on firework days; 0 on all others. Of all days to the one that is forecast."""
    days = history.days_to_forecast()
    fireworks = is_holiday_fireworks(days)
    on_fireworks = fireworks[at.days]
    rate = np.zeros((len(at.days), occupied.shape[1]), np.float32)
    counted = np.flatnonzero(fireworks[: len(occupied)])
    past = smooth_cells(occupied[counted].astype(np.float64), history.in_coverage, SMOOTHING_WIDTHS[-1])
    rate[on_fireworks] = exponential_mean(past, FIREWORK_HALF_LIFE)[np.searchsorted(counted, at.before[on_fireworks])]
    yield "occupied_on_past_firework_days", True, at.of_maps(rate)
    last_year = (same_date_last_year(days) - days[:1]).astype(np.int64)[at.days]
    is_known = on_fireworks & (last_year >= 0)
    city = np.where(is_known, occupied.mean(axis=1)[np.maximum(last_year, 0)], 0.0)
    yield "city_last_year_on_firework_day", True, at.of_days(city)
