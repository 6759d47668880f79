"""The calendar of a city: weekdays, the year, public holidays, firework days, and the clock at each hour."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import wall_clock

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168
_DAYS_SINCE_MONDAY: Final = 3
"""1 January 1970, day 0, was a Thursday."""


def weekdays(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the weekday of each day, an index of `WEEKDAYS`; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) % 7


def weeks(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the number of each day's week, Monday to Sunday, from the week of 1 January 1970 on; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) // 7


def hours_of_day(wall: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the hour, 0 to 23, of each wall-clock time; same shape."""
    return (wall - wall.astype("datetime64[D]")).astype("timedelta64[h]").astype(np.int64)


def hours_of_week(wall: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the hour of the week, 0 (Monday 0:00) to 167, of each wall-clock time; same shape."""
    return weekdays(wall) * DAY_HOURS + hours_of_day(wall)


YEAR_DAYS: Final = 365.2425
"""Mean length of a Gregorian year."""


def days_of_year(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the days since 1 January of each day's year; same shape."""
    days = days.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def month_days(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return each day's month * 100 + day of the month, 101 to 1231; same shape."""
    months, day_of_month = _months(days)
    return (months.astype(np.int64) % 12 + 1) * 100 + day_of_month.astype(np.int64) + 1


def same_date_last_year(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Return the day with that month and day one year earlier, 1 March for 29 February; same shape."""
    months, day_of_month = _months(days)
    first_of_month: npt.NDArray[np.datetime64] = (months - np.timedelta64(12, "M")).astype("datetime64[D]")
    return first_of_month + day_of_month


def _months(days: npt.NDArray[np.datetime64]) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.timedelta64]]:
    months = days.astype("datetime64[M]")
    return months, days.astype("datetime64[D]") - months.astype("datetime64[D]")


FIREWORK_DAYS: Final = ((7, 3), (7, 4), (7, 5), (12, 31), (1, 1))
"""(month, day of the month)."""


def is_holiday_fireworks(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Flag local days in `FIREWORK_DAYS`; same shape."""
    return np.isin(month_days(days), [month * 100 + day for month, day in FIREWORK_DAYS])


def public_holidays(country: str, days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Return unsorted public holidays (datetime64[D]) of the years of `days` and of their neighbours.

    `country` may have a subdivision, as `US-DC` (`City.holidays`).
    """
    import holidays

    name, _, subdivision = country.partition("-")
    own = {year + 1970 for year in np.unique(days.astype("datetime64[Y]").astype(np.int64)).tolist()}
    years = {year + shift for year in own for shift in (-1, 0, 1)}
    return np.array(list(holidays.country_holidays(name, subdiv=subdivision or None, years=years)), "datetime64[D]")


YEAR_HOURS: Final = YEAR_DAYS * DAY_HOURS
FIREWORK_PEAK_HALF_LIFE_HOURS: Final = 3


@dataclass(frozen=True)
class HourlyClock:
    """The city's clock at hours; every array has shape (hours,).

    Attributes:
        season: share of the year gone by, 0 to 1.
        fireworks: True if the local day is one of `FIREWORK_DAYS`.
        firework_peak: 2^(-d / 3) with d the hours to the nearer of midnight after 4 July and of New Year; 0 on other days.
        last_year: index of the hour as many hours after midnight of the date last year; negative before the first hour.
    """

    day: npt.NDArray[np.datetime64]
    hour: npt.NDArray[np.int64]
    hour_of_week: npt.NDArray[np.int64]
    season: npt.NDArray[np.float64]
    fireworks: npt.NDArray[np.bool_]
    firework_peak: npt.NDArray[np.float64]
    last_year: npt.NDArray[np.int64]

    @classmethod
    def of_hours(cls, starts: npt.NDArray[np.datetime64], zone: ZoneInfo) -> "HourlyClock":
        """Return the clock at contiguous hours, given the instants (UTC) at which they begin."""
        wall = wall_clock(starts, zone)
        day, hour = wall.astype("datetime64[D]"), hours_of_day(wall)
        fireworks = is_holiday_fireworks(day)
        since_new_year = days_of_year(day) * DAY_HOURS + hour
        year = day.astype("datetime64[Y]")
        next_year, july_5 = (
            (year + np.timedelta64(1, "Y")).astype("datetime64[D]"),
            (year.astype("datetime64[M]") + np.timedelta64(6, "M")).astype("datetime64[D]") + np.timedelta64(4, "D"),
        )
        to_new_year, since_july_5 = ((day - other).astype(np.int64) * DAY_HOURS + hour for other in (next_year, july_5))
        distance = np.min([since_new_year, -to_new_year, np.abs(since_july_5)], axis=0)
        return cls(
            day=day,
            hour=hour,
            hour_of_week=weekdays(day) * DAY_HOURS + hour,
            season=since_new_year / YEAR_HOURS,
            fireworks=fireworks,
            firework_peak=np.where(fireworks, 2.0 ** (-distance / FIREWORK_PEAK_HALF_LIFE_HOURS), 0.0),
            # The shift by whole days keeps the local hour, except on days on which only one of both years changes its clock.
            last_year=np.arange(len(hour)) - (day - same_date_last_year(day)).astype(np.int64) * DAY_HOURS,
        )
