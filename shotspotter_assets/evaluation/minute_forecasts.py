"""Forecasts of a fold's test minutes as a table: the lift table beside the hour's forecast spread evenly."""

from datetime import date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.models.forecaster import FittedHourly
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_hours.lift_table import MINUTES, LiftTable, expected_by_hours, fit_on_hours
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.records import NEXT_MINUTES
from shotspotter_assets.storage.arrays import Array, Booleans, Integers

EVENLY: Final = "hour_spread_evenly"
"""Baseline of the next minutes: the hour's forecast without the lift of recent incidents."""


def minute_forecasts(
    history: HourlyHistory, hours: FittedHourly, incidents: Incidents, cutoff: date, hours_apart: int
) -> pa.Table:
    """Return forecasts of `MINUTES` from full hours of the test window, fitted on the hours before the cutoff.

    `horizon` is in minutes. Forecasts start `hours_apart` hours apart, each day an hour later, so that each hour of the
    day has its share. Raises HourlyHistoryError if incidents or hours do not suffice.
    """
    begins = day_start(cutoff, history.city.zone)
    past = history.until(begins)
    issues = _issues(history, begins, hours_apart)
    lifts = fit_on_hours(incidents.within(-np.inf, begins.timestamp()), past, hours)
    instants = seconds_of(history.starts)[issues]
    observed = _observed(history, incidents, instants)
    periods = np.array(MINUTES)[:, None]
    evenly = expected_by_hours(hours, history, issues)[:, None] * periods / 60
    # A longer period holds the shorter ones, though each has separate lifts.
    lifted = np.maximum.accumulate(evenly * _lift(lifts, history, incidents, instants), axis=1)
    probability = {NEXT_MINUTES: _probability(lifted), EVENLY: _probability(evenly)}
    tables = [
        forecasts_table(
            history.clock.day[issues],
            np.nonzero(history.in_coverage),
            observed[:, period],
            {name: values[:, period] for name, values in probability.items()},
            hours=history.clock.hour[issues],
            horizon=minutes,
        )
        for period, minutes in enumerate(MINUTES)
    ]
    return pa.concat_tables(tables)


def _issues(history: HourlyHistory, begins: datetime, hours_apart: int) -> Integers:
    """Return the known hours from an instant on at which forecasts start."""
    issues = history.issues(range(history.hour_at(begins), len(history)), 1)
    turn = (history.clock.hour[issues] + history.clock.day[issues].astype(np.int64)) % hours_apart
    return issues[turn == 0]


def _probability(expected: Array) -> npt.NDArray[np.float32]:
    """Return the probability of at least one of a Poisson number of incidents, same shape."""
    return clip_probability(-np.expm1(-expected)).astype(np.float32)


def _observed(history: HourlyHistory, incidents: Incidents, instants: Array) -> Booleans:
    """Return True where an incident begins in a cell within each of `MINUTES`, shape (instants, periods, cells)."""
    observed = np.zeros((len(instants), len(MINUTES), int(history.in_coverage.sum())), dtype=bool)
    cell = incidents.covered_cells(history.in_coverage)
    issue = np.searchsorted(instants, incidents.seconds, "left") - 1  # the last one before each incident
    minutes_after = (incidents.seconds - instants[issue]) / 60
    for period, minutes in enumerate(MINUTES):
        is_within: npt.NDArray[np.bool_] = (issue >= 0) & (cell >= 0) & (minutes_after <= minutes)
        observed[issue[is_within], period, cell[is_within]] = True
    return observed


def _lift(lifts: LiftTable, history: HourlyHistory, incidents: Incidents, instants: Array) -> Array:
    """Return the lift of the incidents before each instant, shape (instants, periods, cells)."""
    periods = np.array(MINUTES, np.float64)
    return np.stack([lifts.lift(incidents, history, instant, periods) for instant in instants.tolist()])
