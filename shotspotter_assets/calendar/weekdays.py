"""Weekdays and hours of the week, counted from Monday."""

from typing import Final

import numpy as np
import numpy.typing as npt

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168
_DAYS_SINCE_MONDAY: Final = 3
"""On day 0 of the calendar, 1 January 1970, which was a Thursday."""


def weekdays(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Weekday of each day, an index of `WEEKDAYS`; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) % 7


def weeks(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Number of the week, Monday to Sunday, of each day, from the week of 1 January 1970 on; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) // 7


def hours_of_day(wall: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Hour, 0 to 23, of each time on the wall clock; same shape."""
    return (wall - wall.astype("datetime64[D]")).astype("timedelta64[h]").astype(np.int64)


def hours_of_week(wall: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Hour of the week, 0 (Monday 0:00) to 167, of each time on the wall clock; same shape."""
    return weekdays(wall) * DAY_HOURS + hours_of_day(wall)
