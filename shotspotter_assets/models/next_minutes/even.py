"""The hour's forecast, spread evenly over its minutes: what forecasts of minutes build on, and have to beat."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.forecaster import FittedHourly
from shotspotter_assets.models.next_minutes.incidents import Array

MINUTES: Final = (15, 30, 60)
"""Minutes ahead that are forecast; at most an hour."""
HOURS_AT_ONCE: Final = 2_000
"""That the hour's forecast is made of together, which bounds the memory that its inputs take."""


def expected_by_hours(
    fitted: FittedHourly, history: HourlyHistory, issues: npt.NDArray[np.int64], horizon: int = 1
) -> Array:
    """Expected incidents within the hours ahead of each issue, which know the alerts before it, shape (issues, cells)."""
    expected = np.empty((len(issues), int(history.in_coverage.sum())))
    for at in range(0, len(issues), HOURS_AT_ONCE):
        part = slice(at, at + HOURS_AT_ONCE)
        expected[part] = -np.log1p(-fitted.predict(history, issues[part], horizon))
    return expected


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
        """From the forecasts of one and of two hours."""
        one, two = (expected_by_hours(fitted, history, issues, horizon) for horizon in (1, 2))
        return cls(one, np.maximum(two - one, 0))

    def at(self, chosen: npt.NDArray[np.int64]) -> "EvenForecast":
        """Of some of the issues, by their numbers, which may be repeated."""
        return EvenForecast(self.this[chosen], self.following[chosen])

    def ahead(self, minute: Array, minutes: float) -> Array:
        """Of some minutes, at most 60, from so many minutes past each issue on.

        Args:
            minute: 0 to 60, shape (issues,).
            minutes: of the period.
        """
        in_hour = np.minimum(minutes, 60 - minute)[:, None] / 60
        return self.this * in_hour + self.following * (minutes / 60 - in_hour)
