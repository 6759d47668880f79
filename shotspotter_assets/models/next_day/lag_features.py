"""Lag features of the covered cells for two baselines: plain rates of the days before, recency and calendar.

Row t of every feature uses days up to `lead` days before t only, and what the calendar knows of day t.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import is_holiday_fireworks, same_date_last_year
from shotspotter_assets.models.filters import Array, Booleans, Integers, Values, exponential_mean, smooth_cells
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import (
    MAX_DAYS_REMEMBERED,
    Inputs,
    inputs_from_columns,
    last_day,
    last_occupied,
    weekday_and_season,
)

HALF_LIVES: Final = (7, 14, 30, 90, 365, np.inf)
"""Half-lives of the exponentially weighted rates, in days."""
SMOOTHING_WIDTHS: Final = (0.0, 0.7, 1.5)
"""Standard deviations of the smoothing in space, in cells."""
CITY_HALF_LIVES: Final = (7, 30)
FIREWORK_HALF_LIFE: Final = 5
"""In firework days, about a year's: their level drifts as their alerts are classified differently."""
MAX_ALERTS_COUNTED: Final = 3
"""Alerts of one cell and day above this are not counted, so that no firework day dominates a rate."""


def lag_features(history: History, days: Sequence[int] | Integers) -> Inputs:
    """The lag features of some days, to `History.next_day` at most, made once for both baselines."""
    wanted = np.asarray(days, dtype=np.int64)
    cells = int(history.in_coverage.sum())
    return history.cached(
        "lag_features", wanted, lambda: inputs_from_columns(_columns(history, wanted), len(wanted), cells)
    )


def _columns(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    days, before = history.days_to_forecast(), history.known_before(wanted)
    alerts = np.minimum(history.alerts[:, history.in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    yield from _rates("occupied", occupied, SMOOTHING_WIDTHS, history, before)
    # Smoothed counts hold what smoothed occupancy holds; they cost boosting a third of its time for nothing.
    yield from _rates("alerts", alerts, SMOOTHING_WIDTHS[:1], history, before)
    yield "alerts_yesterday", last_day(alerts, before)
    since = wanted[:, None] - last_occupied(alerts)[before]
    yield "log_days_since_last_alert", np.log(np.minimum(since, MAX_DAYS_REMEMBERED))
    # A firework day says nothing about the rate of the ordinary days after it.
    ordinary = ~is_holiday_fireworks(days[: len(occupied)])
    for half_life in CITY_HALF_LIVES:
        yield f"city_{half_life}_days", exponential_mean(occupied.mean(axis=1), half_life, ordinary, before)[:, None]
    yield from _firework_rates(occupied, history, wanted, before)
    yield from weekday_and_season(days[wanted])
    yield "is_firework_day", is_holiday_fireworks(days[wanted]).astype(np.float64)[:, None]


def _rates(
    what: str, daily: Values, widths: Sequence[float], history: History, before: Integers
) -> Iterator[tuple[str, Array]]:
    for half_life in HALF_LIVES:
        rate = exponential_mean(daily, half_life, before=before)
        past = "all_history" if np.isinf(half_life) else f"{half_life}_days"
        for width in widths:
            place = f"{what}_within_{width:g}_cells" if width else what
            yield f"{place}_{past}", smooth_cells(rate, history.in_coverage, width)


def _firework_rates(
    occupied: Booleans, history: History, wanted: Integers, before: Integers
) -> Iterator[tuple[str, Array]]:
    """Rates of past firework days, on firework days; 0 on all others."""
    days = history.days_to_forecast()
    fireworks = is_holiday_fireworks(days)
    on_fireworks = fireworks[wanted]
    rate = np.zeros((len(wanted), occupied.shape[1]), np.float32)
    counted = np.flatnonzero(fireworks[: len(occupied)])
    past = smooth_cells(occupied[counted].astype(np.float64), history.in_coverage, SMOOTHING_WIDTHS[-1])
    rate[on_fireworks] = exponential_mean(past, FIREWORK_HALF_LIFE)[np.searchsorted(counted, before[on_fireworks])]
    yield "occupied_on_past_firework_days", rate
    last_year = (same_date_last_year(days) - days[:1]).astype(np.int64)[wanted]
    is_known = on_fireworks & (last_year >= 0)
    city = np.where(is_known, occupied.mean(axis=1)[np.maximum(last_year, 0)], 0.0)
    yield "city_last_year_on_firework_day", city[:, None]


def is_rate(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether each feature is a rate per day, not negative and skewed, shape (features,)."""
    return np.array(
        [name.startswith(("occupied_", "alerts_", "city_")) and name != "alerts_yesterday" for name in names]
    )
