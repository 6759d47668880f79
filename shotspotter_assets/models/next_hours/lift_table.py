"""The next minutes from any instant: the hour's forecast times the lift of recent incidents.

The intensity of a covered cell is that of the hour's forecast, times the largest lift of the incidents of the last hours: one
factor for each (age, distance) of an incident, shrunk towards 1. The lift of a bin is (pairs + PRIOR) / (expected pairs +
PRIOR): the posterior mean under a gamma prior with mean 1 (Gelman et al. 2013, Bayesian Data Analysis, section 2.6). A pair is
an incident and a later one in the bin; the hour's forecast gives their expected number. Incidents are the parents, not
alerts, whose duplicates would count as contagion.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shotspotter_assets.grid.cells import Plane, cell_middles
from shotspotter_assets.models.forecaster import Choices, FittedHourly, StoredModel, clip_probability
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.incident_points import FIT_HOURS, Incidents, seconds_of
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.storage.arrays import Array, Booleans, Integers

AGES_MINUTES: Final = (0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0)  # edges; most repetitions are in the first minute
DISTANCES_METRES: Final = (0.0, 300.0, 800.0, 2_000.0, np.inf)  # edges, from an incident to the middle of a cell
PRIOR_PAIRS: Final = 2.0  # strength of the prior, in expected pairs; more hides how close repetitions are
MIN_INCIDENTS: Final = 50  # minimum of incidents to fit on
MINUTES: Final = (15, 30, 60)  # lengths of the forecast periods, at most an hour
HOURS_AT_ONCE: Final = 2_000  # hours that are forecast together, which bounds the memory of their inputs


@dataclass(frozen=True)
class LiftTable(StoredModel):
    """The fitted table; `lifts` are factors of the hour's forecast, shape (ages, distances)."""

    lifts: tuple[tuple[float, ...], ...]
    incidents: int  # number of incidents of the fit

    def lift(self, incidents: Incidents, history: HourlyHistory, instant: float, minutes: Array) -> Array:
        """Return each cell's mean lift within some minutes (periods,) from an instant in seconds, shape (periods, cells)."""
        recent = incidents.within(instant - 60 * AGES_MINUTES[-1], np.nextafter(instant, np.inf))
        lift = np.ones((len(minutes), int(history.in_coverage.sum())))
        if not len(recent):
            return lift
        ring = _rings(recent.metres, _middles(history))
        table = np.array(self.lifts)
        age = (instant - recent.seconds) / 60
        for period, length in enumerate(minutes):
            # Share of the period at each age of each incident; the rest lies beyond the last age.
            share = _within_ages(age, age + length) / length
            mean = share @ table + (1 - share.sum(axis=1))[:, None]
            of_cells = np.take_along_axis(mean, ring, axis=1)
            strongest = np.abs(np.log(of_cells)).argmax(axis=0)
            lift[period] = of_cells[strongest, np.arange(of_cells.shape[1])]
        return lift

    @property
    def chosen(self) -> Choices:
        """The lifts, for the record."""
        return {"incidents": self.incidents, "lifts": [list(row) for row in self.lifts]}


def fit_lifts(incidents: Incidents, history: HourlyHistory, hours: range, even: npt.NDArray[np.floating]) -> LiftTable:
    """Return the lifts of the incidents within `hours`. Raises HourlyHistoryError for too few incidents.

    `even` are expected incidents by the forecast of each of `hours`, shape (hours, cells). Parents are incidents of
    ordinary hours, also outside of the coverage; their children must lie in a covered cell.
    """
    # Unknown hours and firework days would count as contagion.
    is_ordinary = ~history.clock.fireworks
    is_ordinary[: len(history)] &= history.are_known(np.arange(len(history)))
    starts = seconds_of(history.starts)
    incidents = incidents.within(starts[hours.start], starts[hours.stop])
    cell = incidents.covered_cells(history.in_coverage)
    hour = np.searchsorted(starts, incidents.seconds, "right") - 1
    middles = _middles(history)
    number = int((is_ordinary[hour] & (cell >= 0)).sum())
    if number < MIN_INCIDENTS:
        raise HourlyHistoryError(
            f"City {history.city.name}: {number} incidents from {history.starts[hours.start]} on, outside firework days, "
            f"and {MIN_INCIDENTS} are needed for a forecast of the next minutes."
        )
    level = number / even[is_ordinary[hours.start : hours.stop]].sum()
    pairs = np.zeros((len(AGES_MINUTES) - 1, len(DISTANCES_METRES) - 1))
    expected = np.zeros(pairs.shape)
    for parent in np.flatnonzero(is_ordinary[hour]).tolist():
        ring = _rings(incidents.metres[parent : parent + 1], middles)[0]
        reached = _reached_hours(hour[parent], hours.stop, is_ordinary)
        expected += _expected_pairs(
            starts[reached.start : reached.stop] - incidents.seconds[parent],
            level,
            even[reached.start - hours.start : reached.stop - hours.start],
            ring,
        )
        first = np.searchsorted(incidents.seconds, incidents.seconds[parent], "right")
        stop = np.searchsorted(incidents.seconds, incidents.seconds[parent] + 60 * AGES_MINUTES[-1])
        children = np.arange(first, stop)
        children = children[(cell[children] >= 0) & (hour[children] < reached.stop)]
        age = (incidents.seconds[children] - incidents.seconds[parent]) / 60
        np.add.at(pairs, (np.searchsorted(AGES_MINUTES, age, "right") - 1, ring[cell[children]]), 1)
    lifts = (pairs + PRIOR_PAIRS) / (expected + PRIOR_PAIRS)  # posterior means
    return LiftTable(tuple(map(tuple, lifts.tolist())), number)


def _reached_hours(first: int, stop: int, is_ordinary: Booleans) -> range:
    """Return the hours before `stop` that the ages of an incident in hour `first` reach, to the first unusual one."""
    last = min(first + int(AGES_MINUTES[-1] // 60) + 1, stop)
    return range(first, next((hour for hour in range(first, last) if not is_ordinary[hour]), last))


def _expected_pairs(begins: Array, level: float, even: npt.NDArray[np.floating], ring: Integers) -> Array:
    """Return the expected incidents after one in its bins, shape (ages, distances).

    The hours begin `begins` seconds after it, (hours,), and expect `level` times `even`, (hours, cells); `ring` is the bin
    of distances of each cell.
    """
    first_age = begins / 60
    minutes = _within_ages(np.maximum(first_age, 0), first_age + 60)
    by_ring = [np.bincount(ring, of_hour, len(DISTANCES_METRES) - 1) for of_hour in even]
    return level * minutes.T @ np.stack(by_ring) / 60


def _within_ages(first: Array, last: Array) -> Array:
    """Return minutes of the spans between two ages that lie in each of the bins of ages, shape (spans, ages)."""
    edges = np.array(AGES_MINUTES)
    overlap = np.minimum(last[:, None], edges[1:]) - np.maximum(first[:, None], edges[:-1])
    return np.maximum(overlap, 0)


def _middles(history: HourlyHistory) -> Array:
    """Return the middles of the covered cells in metres of the city's plane, shape (cells, 2)."""
    degrees = np.column_stack(cell_middles(history.city, *np.nonzero(history.in_coverage)))
    return Plane.of(history.city.box).metres(degrees)


def _rings(points: Array, middles: Array) -> Integers:
    """Return the bin of distances from each point to each middle, both in metres (n, 2), shape (points, middles)."""
    metres = np.hypot(*(points[:, None] - middles).transpose(2, 0, 1))
    return np.asarray(np.searchsorted(DISTANCES_METRES, metres, "right") - 1, np.int64)


class MinutesForecast(NamedTuple):
    """The next minutes from an instant, each array of the shape (len(MINUTES), cells)."""

    probability: Array  # probability of at least one new incident in the cell
    expected: Array  # number of new incidents
    even: Array  # probability by the hour's forecast alone, spread evenly over its minutes


def fit_on_hours(incidents: Incidents, history: HourlyHistory, fitted: FittedHourly) -> LiftTable:
    """Return the lifts of the last two years over forecasts of hours; raise HourlyHistoryError for too few data."""
    if history.city.time_precision == "hour":
        raise HourlyHistoryError(
            f"City {history.city.name}: its alerts have an hour but no minute (time_precision: hour), so the next minutes "
            "cannot be forecast. Forecast the next hours."
        )
    hours = range(max(len(history) - FIT_HOURS, WARM_UP_HOURS), len(history))
    if not hours:
        raise HourlyHistoryError(
            f"City {history.city.name}: {len(history)} hours, and the next minutes are fitted from hour {WARM_UP_HOURS} on."
        )
    return fit_lifts(incidents, history, hours, expected_by_hours(fitted, history, np.array(hours)))


def expected_by_hours(fitted: FittedHourly, history: HourlyHistory, issues: Integers, horizon: int = 1) -> Array:
    """Return expected incidents in the hours ahead of each issue, from alerts before it, shape (issues, cells)."""
    expected = np.empty((len(issues), int(history.in_coverage.sum())))
    for first in range(0, len(issues), HOURS_AT_ONCE):
        part = slice(first, first + HOURS_AT_ONCE)
        expected[part] = -np.log1p(-fitted.predict(history, issues[part], horizon))
    return expected


def spread_evenly(one_hour: Array, two_hours: Array, minute: Array, minutes: float) -> Array:
    """Return expected incidents, (issues, cells), within `minutes` (to 60) from `minute` past the hour, spread evenly."""
    in_hour = np.minimum(minutes, 60 - minute)[:, None] / 60
    return one_hour * in_hour + np.maximum(two_hours - one_hour, 0) * (minutes / 60 - in_hour)


def forecast_minutes(
    hours: FittedHourly, lifts: LiftTable, history: HourlyHistory, incidents: Incidents, now: datetime
) -> MinutesForecast:
    """Return the next minutes from now, an instant with a zone; incidents and hours from then on are not used."""
    instant = now.astimezone(UTC).timestamp()
    starts = seconds_of(history.starts)
    running = int(np.searchsorted(starts, instant, "right")) - 1
    minute = np.array([(instant - starts[running]) / 60])
    one_hour, two_hours = (expected_by_hours(hours, history, np.array([running]), horizon) for horizon in (1, 2))
    even = np.concatenate([spread_evenly(one_hour, two_hours, minute, minutes) for minutes in MINUTES])
    # A longer period holds the shorter ones, though each has separate lifts.
    lifted = even * lifts.lift(incidents, history, instant, np.array(MINUTES, np.float64))
    expected = np.maximum.accumulate(lifted)
    return MinutesForecast(clip_probability(-np.expm1(-expected)), expected, clip_probability(-np.expm1(-even)))
