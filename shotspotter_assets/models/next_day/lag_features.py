"""Lag features of the two baselines with a model; simpler than `daily_inputs`."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.calendar.dates import is_holiday_fireworks, same_date_last_year
from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import (
    MAX_DAYS_REMEMBERED,
    Inputs,
    cached_inputs,
    days_since_last_alert,
    last_day,
    weekday_and_season,
)

HALF_LIVES: Final = (7, 14, 30, 90, 365, np.inf)  # half-lives of the exponentially weighted rates, in days
WIDTHS: Final = (0.0, 0.7, 1.5)  # standard deviations of the smoothing in space, in cells
CITY_HALF_LIVES: Final = (7, 30)
FIREWORK_HALF_LIFE: Final = 5
"""Half-life in firework days, about a year's: their level drifts as their alerts are classified differently."""
MAX_ALERTS_COUNTED: Final = 3  # of one cell and day, so that no firework day dominates a rate
MIN_RATE: Final = 1 / 365  # added to a rate before its logarithm: one alert in a year


def lag_features(history: History, days: Sequence[int] | Integers) -> Inputs:
    """Return the lag features of some days, to `History.next_day` at most, made once for both baselines."""
    return cached_inputs("lag_features", history, days, _columns)


def _columns(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    in_coverage, before, kept = history.in_coverage, history.known_before(wanted), history.is_known
    days = history.days_to_forecast()
    alerts = np.minimum(history.alerts[:, in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    for half_life, width in product(HALF_LIVES, WIDTHS):
        rate = smooth_cells(exponential_mean(occupied, half_life, kept, before), in_coverage, width)
        yield f"log_occupied_{half_life:g}_days_{width:g}_cells", _log(rate)
    for half_life in HALF_LIVES:
        yield f"log_alerts_{half_life:g}_days", _log(exponential_mean(alerts, half_life, kept, before))
    yield "alerts_yesterday", last_day(alerts, before)
    since = days_since_last_alert(history, alerts, wanted)
    yield "log_days_since_last_alert", np.log(np.minimum(since, MAX_DAYS_REMEMBERED))
    # A firework day says nothing about the rate of the ordinary days after it.
    fireworks, city = is_holiday_fireworks(days), occupied.mean(axis=1)
    known = np.ones(len(occupied), dtype=bool) if kept is None else kept
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(city, half_life, known & ~fireworks[: len(occupied)], before)[:, None]
        yield f"log_city_{half_life}_days", _log(rate)
    # On firework days alone: the rates of past ones, and the city's on the same date of last year.
    on_fireworks, counted = fireworks[wanted], np.flatnonzero(known & fireworks[: len(occupied)])
    past = exponential_mean(
        smooth_cells(occupied[counted].astype(np.float64), in_coverage, WIDTHS[-1]), FIREWORK_HALF_LIFE
    )
    rate = past[np.searchsorted(counted, before)] * on_fireworks[:, None]
    yield "log_occupied_on_past_firework_days", _log(rate)
    last_year = (same_date_last_year(days) - days[:1]).astype(np.int64)[wanted]
    of_last_year = np.where(on_fireworks & (last_year >= 0), city[np.maximum(last_year, 0)], 0.0)
    yield "log_city_last_year_on_firework_day", _log(of_last_year[:, None])
    yield from weekday_and_season(days[wanted])
    yield "is_firework_day", on_fireworks.astype(np.float64)[:, None]


def _log(rate: Array) -> Array:
    return np.asarray(np.log(rate + MIN_RATE))
