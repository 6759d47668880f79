"""The next 15, 30 and 60 minutes from any instant, by the stack of minutes on top of that of hours."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.forecaster import FittedHourly
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_hours.stack import FittedHourlyStack
from shotspotter_assets.models.next_minutes.even import MINUTES, EvenForecast, expected_by_hours
from shotspotter_assets.models.next_minutes.incidents import Array, Incidents, seconds_of
from shotspotter_assets.models.next_minutes.stack import FittedMinutesStack, HourForecasts, Issues, fit_stack
from shotspotter_assets.models.probability import clip_probability

FIT_HOURS: Final = 2 * 8766
"""The process is fitted on the last two years: its few numbers need no more."""


def fit_on_hours(
    incidents: Incidents, history: HourlyHistory, fitted: FittedHourlyStack, validation: range
) -> FittedMinutesStack:
    """The stack on top of the forecasts of a stack of hours, from the last two years of the history.

    Args:
        incidents: at least of these years.
        history: to the end of the validation hours.
        fitted: with its `on_train`.
        validation: hours that the weights are learned on.

    Raises:
        HourlyHistoryError: see `fit_minutes`, the city publishes hours only, or the history is as short as the first hours,
            which are not fitted on.
    """
    if history.city.time_precision == "hour":
        raise HourlyHistoryError(
            f"City {history.city.name}: its alerts have an hour but no minute (time_precision: hour), so the next minutes "
            "cannot be forecast. Forecast the next hours."
        )
    first = max(len(history) - FIT_HOURS, WARM_UP_HOURS)
    if first >= len(history):
        raise HourlyHistoryError(
            f"City {history.city.name}: {len(history)} hours, and the next minutes are fitted from hour {WARM_UP_HOURS} on."
        )
    assert fitted.on_train is not None
    validation = range(max(first, validation.start), validation.stop)
    train, both = range(first, validation.start), range(first, len(history))
    return fit_stack(
        incidents,
        history,
        train=HourForecasts(train, expected_by_hours(fitted.on_train, history, np.arange(train.start, train.stop))),
        validation=validation,
        ahead=EvenForecast.of(fitted.on_train, history, np.array(validation)),
        both=HourForecasts(both, expected_by_hours(fitted, history, np.array(both))),
    )


@dataclass(frozen=True)
class MinutesForecast:
    """The next minutes from an instant, each array of the shape (len(MINUTES), cells).

    Attributes:
        probability: of at least one new incident in the cell.
        expected: number of new incidents.
        even: the probability by the hour's forecast alone, spread evenly.
    """

    probability: Array
    expected: Array
    even: Array


def forecast_minutes(
    hours: FittedHourly, minutes: FittedMinutesStack, history: HourlyHistory, incidents: Incidents, now: datetime
) -> MinutesForecast:
    """The next minutes from now.

    Args:
        hours: the forecaster of hours that `minutes` was fitted on top of.
        minutes: the stack.
        history: to now or later; hours from the running one on are not looked at.
        incidents: of the hours before now; later ones are not looked at.
        now: an instant with a zone.
    """
    instant = now.astimezone(UTC).timestamp()
    starts = seconds_of(history.starts)
    running = int(np.searchsorted(starts, instant, "right")) - 1
    even = EvenForecast.of(hours, history, np.array([running]))
    minute = np.array([(instant - starts[running]) / 60])
    issue = Issues(np.array([instant]), np.array([running]), minute)
    triggered = issue.triggered(minutes.process, incidents, history)
    spread = [even.ahead(minute, ahead) for ahead in MINUTES]
    each = [minutes.expected(*of_minutes) for of_minutes in zip(spread, triggered, MINUTES, strict=True)]
    # More minutes hold the fewer ones, though each has weights of its own.
    expected = np.maximum.accumulate(np.concatenate(each))
    probability, alone = (clip_probability(-np.expm1(-one)) for one in (expected, np.concatenate(spread)))
    return MinutesForecast(probability, expected, alone)
