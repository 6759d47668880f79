"""Inputs of a forecast of the next hours: rates of the hours before, by cell, and the calendar of the hours ahead.

Issued at hour t, an index of the hour axis, a forecast is for the hours t to t + h - 1, and uses alerts before t only.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from shotspotter_assets.grid.dates import DAY_HOURS, WEEK_HOURS, YEAR_HOURS
from shotspotter_assets.models import filters
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

MAX_ALERTS_COUNTED: Final = 3  # maximum of one cell and hour, so that no burst dominates a rate
OWN_DAYS: Final = (7, 30, 120, 365, np.inf)  # half-lives of a cell's rates, in days
NEAR_DAYS: Final = (7, 30, 120, np.inf)
NEAR_WIDTHS: Final = (0.8, 2.0)  # standard deviations of the smoothing in space, in cells
RECENT_HOURS: Final = (1, 3, 12, 48)  # half-lives of near repeats, in hours
CITY_DAYS: Final = (0.125, 1, 7, 30)
CITY_PRIOR_HOURS: Final = 3  # hours of the expected level in the city's level of a day or less; in longer levels, a day
MIN_HOURLY_RATE: Final = 1 / YEAR_HOURS  # added to a rate before its logarithm: one alert in a year
PROFILE_HOURS: Final = 1.5  # standard deviation of the smoothing of the hour-of-week profile


def hour_profile(history: HourlyHistory, hours: range) -> Array:
    """Return smoothed occupied cells by hour of week over their mean, without firework days, shape (168,)."""
    clock = history.clock
    ordinary = np.arange(hours.start, hours.stop)
    ordinary = ordinary[~clock.fireworks[ordinary] & history.are_known(ordinary)]
    occupied = history.occupied[ordinary].sum(axis=1)
    week = clock.hour_of_week[ordinary]
    mean = np.bincount(week, occupied, WEEK_HOURS) / np.maximum(np.bincount(week, minlength=WEEK_HOURS), 1)
    smooth = gaussian_filter1d(mean, PROFILE_HOURS, mode="wrap")
    return np.maximum(smooth / smooth.mean(), 1e-3) if smooth.any() else np.ones(WEEK_HOURS)


def ahead(values: npt.NDArray[Any], horizon: int) -> Array:
    """Return the mean of the `horizon` values from each one on, shape (values - horizon + 1,)."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return (total[horizon:] - total[:-horizon]) / horizon


def fireworks_ahead(history: HourlyHistory, horizon: int) -> Booleans:
    """Return True if any of the `horizon` hours from each on is of a firework day, shape (hours - horizon + 1,)."""
    return ahead(history.clock.fireworks, horizon) > 0


class Rows(NamedTuple):
    """(hour, cell) pairs of wanted features: both of shape (rows,), hours relative to the range's start."""

    hour: Integers
    cell: Integers


CELL_FEATURES: Final = (
    *(f"log_rate_{days:g}_days" for days in OWN_DAYS),
    *(f"log_rate_{days:g}_days_within_{width:g}_cells" for width in NEAR_WIDTHS for days in NEAR_DAYS),
    *(f"alerts_{hours}_hours" for hours in RECENT_HOURS),
    *(f"alerts_{hours}_hours_within_{width:g}_cells" for width in NEAR_WIDTHS for hours in RECENT_HOURS),
    *(f"log_city_{days:g}_days" for days in CITY_DAYS),
)


def cell_features(history: HourlyHistory, hours: range, rows: Rows, profile: Array) -> Singles:
    """Return `CELL_FEATURES` of the rows from alerts before each hour, shape (rows, features)."""
    values = np.empty((len(rows.hour), len(CELL_FEATURES)), np.float32, order="F")
    for index, column in enumerate(_cell_columns(history, hours, profile)):
        values[:, index] = column[rows.hour, rows.cell] if column.shape[1] > 1 else column[rows.hour, 0]
    return values


def _cell_columns(history: HourlyHistory, hours: range, profile: Array) -> Iterator[Singles]:
    """Return the columns of `CELL_FEATURES` in their order, each of shape (hours, cells), or (hours, 1) for the city's."""
    alerts = np.minimum(history.alerts[: hours.stop], MAX_ALERTS_COUNTED).astype(np.float32)
    occupied = np.minimum(alerts, 1)
    near = [filters.smoothing_weights(history.in_coverage, width) for width in NEAR_WIDTHS]
    long_sums = {days * DAY_HOURS: filters.decayed_sum(occupied[: hours.start], days * DAY_HOURS) for days in OWN_DAYS}
    near_sums = {days * DAY_HOURS: long_sums[days * DAY_HOURS] for days in NEAR_DAYS}
    for sums, weights in ((long_sums, None), *((near_sums, weights) for weights in near)):
        for rate in _means(occupied, hours, sums, weights, history.is_known):
            yield np.log(rate + np.float32(MIN_HOURLY_RATE))
    recent_sums = {half_life: filters.decayed_sum(alerts[: hours.start], half_life) for half_life in RECENT_HOURS}
    for weights in (None, *near):
        rates = _means(alerts, hours, recent_sums, weights, history.is_known)
        for half_life, rate in zip(recent_sums, rates, strict=True):
            yield rate * np.float32(1 / (1 - filters.decay_of(half_life)))
    yield from _city_levels(history, hours, occupied, profile)


def _city_levels(history: HourlyHistory, hours: range, occupied: Singles, profile: Array) -> Iterator[Singles]:
    """Return the logarithms of the city's levels against what the hour of week lets expect, each of shape (hours, 1).

    A busy evening shows in them before it is over. `occupied` (hours, cells) ends with `hours`.
    """
    city = occupied.mean(axis=1)
    expected = profile[history.clock.hour_of_week[: len(city)]].astype(np.float32)
    known = history.are_known(np.arange(len(city))).astype(np.float32)
    ordinary = known * ~history.clock.fireworks[: len(city)]
    long_run = filters.exponential_mean(city * ordinary, np.inf, history.is_known, hours)
    for days in CITY_DAYS:
        # Within a firework night its own level counts; the level of the weeks after does not depend on it.
        counted = ordinary if days > 1 else known
        recent_city = filters.exponential_mean(city * counted, days * DAY_HOURS, before=hours)
        recent_expected = filters.exponential_mean(expected * counted, days * DAY_HOURS, before=hours)
        prior = np.float32(CITY_PRIOR_HOURS / DAY_HOURS / max(days, 1))
        level = (recent_city + prior * long_run) / ((recent_expected + prior) * np.maximum(long_run, 1e-9))
        yield np.log(level)[:, None]


def _means(
    values: Singles,
    hours: range,
    sums_before: Mapping[Any, Singles],
    weights: csr_array | None,
    is_known: Booleans | None,
) -> Iterator[npt.NDArray[Any]]:
    """Return `exponential_mean` before each of `hours` by half-life of `sums_before`, smoothed in space by `weights`."""
    during: Singles = values[hours.start : hours.stop - 1]
    # Smoothing and filtering commute: the few alerts are smoothed, not the many rates.
    if weights is not None:
        during = filters.weighted_cells(during, weights)
    for half_life, before in sums_before.items():
        state = before if weights is None else weights @ before
        yield filters.running_sums(state, during, half_life) / filters.full_weight(hours, half_life, is_known)[:, None]


def window_features(history: HourlyHistory, hours: range, horizon: int, profile: Array) -> dict[str, Singles]:
    """Return features of the `horizon` hours from each of `hours` on, shape (hours,), by name."""
    clock = history.clock
    here = slice(hours.start, hours.stop)
    phase = 2 * np.pi * (clock.season[here] + horizon / 2 / YEAR_HOURS)
    fireworks = ahead(clock.fireworks, horizon)[here]
    city = history.occupied.mean(axis=1)
    usual = np.maximum(filters.exponential_mean(city.astype(np.float32), np.inf, history.is_known, hours), 1e-9)
    city_ahead = ahead(city, horizon)
    last_year = np.clip(clock.last_year[here], 0, len(city_ahead) - 1)
    is_usable = (fireworks > 0) & (clock.last_year[here] >= 0) & history.are_known(last_year, horizon)
    past = np.where(is_usable, city_ahead[last_year], 0)
    features = {
        "log_profile_ahead": np.log(ahead(profile[clock.hour_of_week], horizon)[here]),
        "hour": clock.hour[here],
        "season_sine": np.sin(phase),
        "season_cosine": np.cos(phase),
        "fireworks_ahead": fireworks,
        "firework_peak_ahead": ahead(clock.firework_peak, horizon)[here],
        "log_last_year_on_fireworks": np.where(is_usable, np.log((past + 0.1 * usual) / usual), 0),
    }
    return {name: values.astype(np.float32) for name, values in features.items()}
