"""Forecasts of the next 15, 30 and 60 minutes from any instant: the hour's forecast, times the lift of recent incidents."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.lift_table import LiftTable, fit_lifts
from shotspotter_assets.models.probability import clip_probability

MINUTES: Final = (15, 30, 60)  # lengths of the forecast periods, at most an hour
FIT_HOURS: Final = 2 * 8766  # hours of the fit, the last two years: the table's few numbers need no more
HOURS_AT_ONCE: Final = 2_000  # hours that are forecast together, which bounds the memory of their inputs


class MinutesForecast(NamedTuple):
    """The next minutes from an instant, each array of the shape (len(MINUTES), cells)."""

    probability: Array  # of at least one new incident in the cell
    expected: Array  # number of new incidents
    even: Array  # probability by the hour's forecast alone, spread evenly over its minutes


def fit_on_hours(incidents: Incidents, history: HourlyHistory, fitted: FittedHourly) -> LiftTable:
    """Return the lifts of the last two years of a history over the forecasts of hours.

    Raises HourlyHistoryError if the city publishes no minutes, or incidents or hours are too few.
    """
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
    for at in range(0, len(issues), HOURS_AT_ONCE):
        part = slice(at, at + HOURS_AT_ONCE)
        expected[part] = -np.log1p(-fitted.predict(history, issues[part], horizon))
    return expected


def spread_evenly(one_hour: Array, two_hours: Array, minute: Array, minutes: float) -> Array:
    """Return expected incidents within some minutes (up to 60) of each issue, spread evenly, shape (issues, cells).

    `one_hour` and `two_hours` are expected, (issues, cells), from the beginning of the hour of each issue, which is at
    `minute`, 0 to 60, past it.
    """
    in_hour = np.minimum(minutes, 60 - minute)[:, None] / 60
    return one_hour * in_hour + np.maximum(two_hours - one_hour, 0) * (minutes / 60 - in_hour)


def forecast_minutes(
    hours: FittedHourly, lifts: LiftTable, history: HourlyHistory, incidents: Incidents, now: datetime
) -> MinutesForecast:
    """Return the next minutes from now, an instant with a zone; incidents and hours from then on are not used."""
    instant, starts = now.astimezone(UTC).timestamp(), seconds_of(history.starts)
    running = int(np.searchsorted(starts, instant, "right")) - 1
    minute = np.array([(instant - starts[running]) / 60])
    one, two = (expected_by_hours(hours, history, np.array([running]), horizon) for horizon in (1, 2))
    even = np.concatenate([spread_evenly(one, two, minute, ahead) for ahead in MINUTES])
    # A longer period holds the shorter ones, though each has separate lifts.
    lifted = even * lifts.lift(incidents, history, instant, np.array(MINUTES, np.float64))
    expected = np.maximum.accumulate(lifted)
    probability, alone = (clip_probability(-np.expm1(-one)) for one in (expected, even))
    return MinutesForecast(probability, expected, alone)
