"""What forecasts of the next hours are made from: the hours ahead, and rates of the past by recursive filters.

An hour is named by its index on the hour axis. Issued at hour t, a forecast is for the hours t to t + h - 1, and uses
alerts of hours before t only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter
from scipy.sparse import csr_array

from shotspotter_assets.calendar.hourly_clock import YEAR_HOURS
from shotspotter_assets.calendar.weekdays import DAY_HOURS, WEEK_HOURS
from shotspotter_assets.models.hourly_history import HourlyHistory

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.int64]

HORIZONS: Final = (1, 2, 4, 6, 12)
"""Hours ahead that are forecast; at most a day."""
MAX_ALERTS_COUNTED: Final = 3
"""Alerts of one cell and hour above this are not counted: one burst must not dominate a rate."""
OWN_DAYS: Final = (7, 30, 120, 365, np.inf)
"""Half-lives of a cell's rates, in days."""
NEAR_DAYS: Final = (7, 30, 120, np.inf)
NEAR_WIDTHS: Final = (0.8, 2.0)
"""Standard deviations of the smoothing in space, in cells."""
RECENT_HOURS: Final = (1, 3, 12, 48)
"""Half-lives of near repeats, in hours."""
CITY_DAYS: Final = (0.125, 1, 7, 30)
NIGHT_HOURS: Final = (21, 22, 23, 0, 1, 2)
"""Local hours whose share of a cell's alerts says what kind of place it is."""
NIGHT_PSEUDO_ALERTS: Final = 20.0
PROFILE_WIDTHS: Final = (0.5, 1.0, 1.5, 2.0)
"""Standard deviations of the smoothing of the hour-of-week profile, in hours."""


def ahead(values: npt.NDArray[Any], horizon: int) -> Array:
    """Mean of the `horizon` values from each one on, shape (values - horizon + 1,)."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return (total[horizon:] - total[:-horizon]) / horizon


def recursive_mean(values: Singles, hours: range, half_life: float) -> Singles:
    """Exponentially weighted mean of the hours before each of `hours`, shape (len(hours), ...).

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s), a = 2^(-1 / half_life); an infinite half-life
    gives the mean of all hours before. The state at the first hour is one weighted sum, so that a forecast from one
    hour costs one pass and no filter over all hours.
    """
    state = _state(values[: hours.start], half_life)
    return _recursive_mean(state, values[hours.start : hours.stop - 1], hours, half_life)


def _state(before: Singles, half_life: float) -> Singles:
    """Sum over the hours before of a^(hours gone by) x, shape (...)."""
    # What is forty half-lives old weighs less than single precision can tell.
    before = before[-int(min(len(before), 40 * half_life)) or None :]
    weights = (2.0 ** (-1.0 / half_life)) ** np.arange(len(before) - 1, -1, -1, dtype=np.float64)
    return (weights.astype(np.float32) @ before).astype(np.float32)


def _recursive_mean(state: Singles, during: Singles, hours: range, half_life: float) -> Singles:
    decay = 2.0 ** (-1.0 / half_life)
    coefficients = np.array([1.0], np.float32), np.array([1.0, -decay], np.float32)
    sums = np.empty((len(hours), *during.shape[1:]), np.float32)
    sums[0] = state
    sums[1:] = lfilter(*coefficients, during, axis=0, zi=np.float32(decay) * state[None])[0]
    steps = np.arange(hours.start, hours.stop)
    weight = steps if np.isinf(half_life) else (1 - decay**steps) / (1 - decay)
    sums /= np.maximum(weight, 1).astype(np.float32).reshape(-1, *[1] * (during.ndim - 1))
    return sums


def smoother(covered: Booleans, width: float) -> Singles:
    """Gaussian weights of all covered cells (columns) in the mean around each (rows), shape (cells, cells)."""
    row, column = np.nonzero(covered)
    squared = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    weight = np.exp(-squared / (2 * width**2))
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def hour_profile(history: HourlyHistory, hours: range, width: float) -> Array:
    """Occupied cells by hour of week over their mean, without firework days, shape (168,).

    Smoothed around the week by a Gaussian of `width` hours; flat where nothing has happened.
    """
    clock = history.clock
    at = np.arange(hours.start, hours.stop)
    at = at[~clock.fireworks[at]]
    occupied = (history.alerts[at] > 0).sum(axis=1)
    week = clock.hour_of_week[at]
    mean = np.bincount(week, occupied, WEEK_HOURS) / np.maximum(np.bincount(week, minlength=WEEK_HOURS), 1)
    smooth = gaussian_filter1d(mean, width, mode="wrap")
    return np.maximum(smooth / smooth.mean(), 1e-3) if smooth.any() else np.ones(WEEK_HOURS)


@dataclass(frozen=True)
class Rows:
    """Which (hour, cell) pairs features are wanted of: both of shape (rows,), hours relative to the range's start."""

    hour: Indexes
    cell: Indexes


CELL_FEATURES: Final = (
    *(f"log_rate_{days:g}_days" for days in OWN_DAYS),
    *(f"log_rate_{days:g}_days_within_{NEAR_WIDTHS[0]:g}_cells" for days in NEAR_DAYS),
    *(f"log_rate_{days:g}_days_within_{NEAR_WIDTHS[1]:g}_cells" for days in NEAR_DAYS),
    *(f"alerts_{hours}_hours" for hours in RECENT_HOURS),
    *(f"alerts_{hours}_hours_within_{NEAR_WIDTHS[0]:g}_cells" for hours in RECENT_HOURS),
    *(f"alerts_{hours}_hours_within_{NEAR_WIDTHS[1]:g}_cells" for hours in RECENT_HOURS),
    "night_share",
    *(f"log_city_{days:g}_days" for days in CITY_DAYS),
)


def cell_features(history: HourlyHistory, hours: range, rows: Rows, profile: Array) -> Singles:
    """`CELL_FEATURES` of the rows: what alerts before each hour say, shape (rows, features)."""
    columns = _cell_columns(history, hours, profile)
    values = np.empty((len(rows.hour), len(CELL_FEATURES)), np.float32, order="F")
    for at, column in enumerate(columns):
        values[:, at] = column[rows.hour, rows.cell] if column.shape[1] > 1 else column[rows.hour, 0]
    return values


def _cell_columns(history: HourlyHistory, hours: range, profile: Array) -> Iterator[Singles]:
    """Shape (hours, cells) or (hours, 1) each."""
    clock = history.clock
    alerts = np.minimum(history.alerts[: hours.stop], MAX_ALERTS_COUNTED).astype(np.float32)
    occupied = np.minimum(alerts, 1)
    before = {days * DAY_HOURS: _state(occupied[: hours.start], days * DAY_HOURS) for days in OWN_DAYS}
    latest: dict[float, Singles] = {half_life: _state(alerts[: hours.start], half_life) for half_life in RECENT_HOURS}
    whole = next(_means(occupied, hours, {np.inf: before[np.inf]}))
    yield from (_log_rate(rate) for rate in _means(occupied, hours, before))
    near = [smoother(history.covered, width) for width in NEAR_WIDTHS]
    smoothed = {days * DAY_HOURS: before[days * DAY_HOURS] for days in NEAR_DAYS}
    for weights in near:
        yield from (_log_rate(rate) for rate in _means(occupied, hours, smoothed, weights))
    for around in (None, *near):
        for half_life, rate in zip(latest, _means(alerts, hours, latest, around), strict=True):
            yield rate * np.float32(1 / (1 - 2.0 ** (-1 / half_life)))
    night = np.isin(clock.hour[: len(alerts)], NIGHT_HOURS).astype(np.float32)[:, None]
    steps = np.maximum(np.arange(hours.start, hours.stop), 1).astype(np.float32)[:, None]
    at_night, at_all = recursive_mean(occupied * night, hours, np.inf) * steps, whole * steps
    city_share = at_night.sum(axis=1, keepdims=True) / np.maximum(at_all.sum(axis=1, keepdims=True), 1)
    yield (at_night + NIGHT_PSEUDO_ALERTS * city_share) / (at_all + NIGHT_PSEUDO_ALERTS)
    # The city's level against what the hour of week lets expect, so that a busy evening shows before it is over.
    city = occupied.mean(axis=1)
    expected = profile[clock.hour_of_week[: len(alerts)]].astype(np.float32)
    ordinary = (~clock.fireworks[: len(alerts)]).astype(np.float32)
    long_run = recursive_mean(city * ordinary, hours, np.inf)
    for days in CITY_DAYS:
        # Within a firework night its own level counts; it says nothing about the level of the weeks after.
        counted = ordinary if days > 1 else np.ones_like(ordinary)
        seen = recursive_mean(city * counted, hours, days * DAY_HOURS)
        foreseen = recursive_mean(expected * counted, hours, days * DAY_HOURS)
        prior = np.float32(3 / DAY_HOURS / max(days, 1))
        yield np.log((seen + prior * long_run) / ((foreseen + prior) * np.maximum(long_run, 1e-9)))[:, None]


def _means(
    values: Singles, hours: range, before: Mapping[float, Singles], weights: Singles | None = None
) -> Iterator[Singles]:
    """`recursive_mean` for each half-life of `before` (its `_state` at the first hour), smoothed in space by `weights`.

    Smoothing and filtering commute: the few alerts are smoothed, not the many rates.
    """
    during: Singles = values[hours.start : hours.stop - 1]
    if weights is not None:
        during = np.asarray(csr_array(during) @ weights.T)
    for half_life, state in before.items():
        yield _recursive_mean(state if weights is None else weights @ state, during, hours, half_life)


def _log_rate(hourly: Singles) -> Singles:
    """One alert in a year is the smallest rate that says anything."""
    return np.log(hourly + np.float32(1 / YEAR_HOURS))


WINDOW_FEATURES: Final = (
    "log_profile_ahead",
    "hour",
    "season_sine",
    "season_cosine",
    "fireworks_ahead",
    "firework_peak_ahead",
    "log_last_year_on_fireworks",
)


def window_features(history: HourlyHistory, hours: range, horizon: int, profile: Array) -> Singles:
    """`WINDOW_FEATURES` of the `horizon` hours from each of `hours` on: what the calendar says, shape (hours, features)."""
    clock, here = history.clock, slice(hours.start, hours.stop)
    phase = 2 * np.pi * (clock.season[here] + horizon / 2 / YEAR_HOURS)
    fireworks = ahead(clock.fireworks, horizon)[here]
    occupied = (history.alerts > 0).mean(axis=1)
    usual = np.maximum(recursive_mean(occupied.astype(np.float32), hours, np.inf), 1e-9)
    last_year = clock.last_year[here]
    totals = ahead(occupied, horizon)
    known = (fireworks > 0) & (last_year >= 0)
    past = np.where(known, totals[np.clip(last_year, 0, len(totals) - 1)], 0)
    return np.stack(
        [
            np.log(ahead(profile[clock.hour_of_week], horizon)[here]),
            clock.hour[here],
            np.sin(phase),
            np.cos(phase),
            fireworks,
            ahead(clock.firework_peak, horizon)[here],
            np.where(known, np.log((past + 0.1 * usual) / usual), 0),
        ],
        axis=1,
    ).astype(np.float32)
