"""The clock of a city at each of many hours: hour, weekday, season, fireworks and the same hour a year before."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.calendar.weekdays import DAY_HOURS, hours_of_day, weekdays
from shotspotter_assets.calendar.year import YEAR_DAYS, days_of_year, same_date_last_year

YEAR_HOURS: Final = YEAR_DAYS * DAY_HOURS
FIREWORK_PEAK_HALF_LIFE_HOURS: Final = 3


@dataclass(frozen=True)
class HourlyClock:
    """The city's clock at hours; every array has shape (hours,).

    Attributes:
        day: local day.
        hour: local hour of day.
        hour_of_week: 0 is Monday 0:00.
        season: share of the year gone by, 0 to 1.
        fireworks: whether the local day is one of `firework_days.FIREWORK_DAYS`.
        firework_peak: 2^(-d / 3) with d the hours to the nearer of midnight after 4 July and of New Year, on firework
            days; else 0.
        last_year: index of the hour that is as many hours after midnight of the same date last year; negative before
            the first hour.
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
        """The clock at contiguous hours, given the instants (UTC) at which they begin."""
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
            # The shift by whole days keeps the local hour, but for days on which only one of both years changes its clock.
            last_year=np.arange(len(hour)) - (day - same_date_last_year(day)).astype(np.int64) * DAY_HOURS,
        )
