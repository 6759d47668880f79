"""The next 15, 30 and 60 minutes from any instant: the hour's forecast spread evenly, and what recent incidents trigger."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.forecaster import FittedHourly
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_minutes.incidents import Array, Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import FittedMinutes, fit_minutes
from shotspotter_assets.models.probability import clip_probability

MINUTES: Final = (15, 30, 60)
"""Minutes ahead that are forecast; at most an hour."""
FIT_HOURS: Final = 2 * 8766
"""The process is fitted on the last two years: its few numbers need no more."""
HOURS_AT_ONCE: Final = 2_000
"""That the hour's forecast is made of together, which bounds the memory that its inputs take."""


@dataclass(frozen=True)
class EvenForecast:
    """Expected incidents by forecasts of hours, spread evenly; each is of the shape (issues, cells).

    Attributes:
        this: of the hour that begins at the issue.
        following: of the hour after it, from the same issue.
    """

    this: Array
    following: Array

    @classmethod
    def of(cls, fitted: FittedHourly, history: HourlyHistory, issues: npt.NDArray[np.int64]) -> "EvenForecast":
        """From the forecasts of one and of two hours, which know the alerts of the hours before each issue."""
        parts = [issues[at : at + HOURS_AT_ONCE] for at in range(0, len(issues), HOURS_AT_ONCE)]
        one, two = (
            np.concatenate([-np.log1p(-fitted.predict(history, part, horizon)) for part in parts]) for horizon in (1, 2)
        )
        return cls(one, np.maximum(two - one, 0))

    def ahead(self, minute: Array, minutes: float) -> Array:
        """Of some minutes, at most 60, from so many minutes past each issue on.

        Args:
            minute: 0 to 60, shape (issues,).
            minutes: of the period.
        """
        in_hour = np.minimum(minutes, 60 - minute)[:, None] / 60
        return self.this * in_hour + self.following * (minutes / 60 - in_hour)


def fit_on_hours(incidents: Incidents, history: HourlyHistory, fitted: FittedHourly) -> FittedMinutes:
    """The process on top of the forecasts of a fitted forecaster of hours, from the last two years of the history.

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
    hours = range(first, len(history))
    return fit_minutes(incidents, history, hours, EvenForecast.of(fitted, history, np.arange(first, len(history))).this)


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
    hours: FittedHourly, minutes: FittedMinutes, history: HourlyHistory, incidents: Incidents, now: datetime
) -> MinutesForecast:
    """The next minutes from now.

    Args:
        hours: the forecaster of hours that `minutes` was fitted on top of.
        minutes: the process.
        history: to now or later; hours from the running one on are not looked at.
        incidents: of the hours before now; later ones are not looked at.
        now: an instant with a zone.
    """
    instant = now.astimezone(UTC).timestamp()
    starts = seconds_of(history.starts)
    running = int(np.searchsorted(starts, instant, "right")) - 1
    even = EvenForecast.of(hours, history, np.array([running]))
    minute = np.array([(instant - starts[running]) / 60])
    spread = np.concatenate([even.ahead(minute, ahead) for ahead in MINUTES])
    expected = minutes.expected(spread, minutes.triggered(incidents, history, instant, np.array(MINUTES, np.float64)))
    return MinutesForecast(clip_probability(-np.expm1(-expected)), expected, clip_probability(-np.expm1(-spread)))
