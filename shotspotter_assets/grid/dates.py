"""Calendar and wall clock of a city in arrays of days (datetime64[D]) and instants (UTC)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers

if TYPE_CHECKING:
    import pandas as pd


WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168
_DAYS_SINCE_MONDAY: Final = 3  # 1 January 1970, day 0, was a Thursday


def weekdays(days: Days) -> Integers:
    """Return the weekday of each day, an index of `WEEKDAYS`; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) % 7


def weeks(days: Days) -> Integers:
    """Return the number of each day's week, Monday to Sunday, since the week of 1 January 1970; same shape."""
    return (days.astype("datetime64[D]").astype(np.int64) + _DAYS_SINCE_MONDAY) // 7


def hours_of_day(wall: Days) -> Integers:
    """Return the hour, 0 to 23, of each wall-clock time; same shape."""
    return (wall - wall.astype("datetime64[D]")).astype("timedelta64[h]").astype(np.int64)


def hours_of_week(wall: Days) -> Integers:
    """Return the hour of the week, 0 (Monday 0:00) to 167, of each wall-clock time; same shape."""
    return weekdays(wall) * DAY_HOURS + hours_of_day(wall)


YEAR_DAYS: Final = 365.2425  # mean length of a Gregorian year


def days_of_year(days: Days) -> Integers:
    """Return the days since 1 January of each day's year; same shape."""
    days = days.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def month_days(days: Days) -> Integers:
    """Return each day's month * 100 + day of the month, 101 to 1231; same shape."""
    months, day_of_month = _months(days)
    return (months.astype(np.int64) % 12 + 1) * 100 + day_of_month.astype(np.int64) + 1


def same_date_last_year(days: Days) -> Days:
    """Return the day with that month and day one year earlier, 1 March for 29 February; same shape."""
    months, day_of_month = _months(days)
    first_of_month: Days = (months - np.timedelta64(12, "M")).astype("datetime64[D]")
    return first_of_month + day_of_month


def _months(days: Days) -> tuple[Days, npt.NDArray[np.timedelta64]]:
    months = days.astype("datetime64[M]")
    return months, days.astype("datetime64[D]") - months.astype("datetime64[D]")


FIREWORK_DAYS: Final = ((7, 3), (7, 4), (7, 5), (12, 31), (1, 1))  # (month, day of the month)


def is_holiday_fireworks(days: Days) -> Booleans:
    """Flag local days in `FIREWORK_DAYS`; same shape."""
    return np.isin(month_days(days), [month * 100 + day for month, day in FIREWORK_DAYS])


def public_holidays(country: str, days: Days) -> Days:
    """Return unsorted public holidays of a country or subdivision (`City.holidays`) in the years around `days`."""
    import holidays

    name, _, subdivision = country.partition("-")
    since_1970 = np.unique(days.astype("datetime64[Y]").astype(np.int64)).tolist()
    years = {1970 + year + shift for year in since_1970 for shift in (-1, 0, 1)}
    return np.array(list(holidays.country_holidays(name, subdiv=subdivision or None, years=years)), "datetime64[D]")


def day_axis(first: date, days: int) -> Days:
    """Return contiguous local days from `first` on, shape (days,)."""
    return np.datetime64(first, "D") + np.arange(days).astype("timedelta64[D]")


def day_starts(days: Sequence[date], zone: ZoneInfo) -> Days:
    """Return the instants (datetime64[us], UTC) at which local days begin, shape (days,)."""
    midnights = pa.array(days, pa.date32()).cast(pa.timestamp("us"))
    instants = pc.assume_timezone(midnights, zone.key, ambiguous="earliest", nonexistent="latest")
    return instants.cast(pa.timestamp("us", "UTC")).to_numpy(zero_copy_only=False).astype("datetime64[us]")


def hours_of_days(days: Sequence[date], zone: ZoneInfo) -> Integers:
    """Return the number of hours, usually 23 to 25, that begin within each of contiguous local days, shape (days,)."""
    starts = day_starts([*days, *[day + timedelta(days=1) for day in days[-1:]]], zone)
    seconds = np.diff(starts).astype("timedelta64[s]").astype(np.int64)
    return -(-seconds // 3600)


def hour_starts(first_day: date, hours: int, zone: ZoneInfo) -> Days:
    """Return the instants (datetime64[s], UTC) at which hours begin, from a local day's midnight on, shape (hours,)."""
    midnight = np.datetime64(day_start(first_day, zone).replace(tzinfo=None), "s")
    return midnight + np.arange(hours).astype("timedelta64[h]")


def wall_clock(instants: Days | pa.ChunkedArray, zone: ZoneInfo) -> Days:
    """Return wall-clock times of the city at instants (UTC, not null), as datetime64[us]; same shape."""
    if isinstance(instants, np.ndarray):
        instants = pa.array(instants.astype("datetime64[us]"), pa.timestamp("us", "UTC"))
    return pc.local_timestamp(instants.cast(pa.timestamp("us", zone.key))).to_numpy()


def local_dates(time_utc: pa.ChunkedArray | pa.Array, zone: ZoneInfo) -> pa.ChunkedArray | pa.Array:
    """Return the local civil day (date32) of each instant; null stays null."""
    return pc.local_timestamp(time_utc.cast(pa.timestamp("us", zone.key))).cast(pa.date32())


def wall_clock_to_utc(wall: "pd.Series[pd.Timestamp]", zone: ZoneInfo) -> "pd.Series[pd.Timestamp]":
    """Return instants (UTC) of wall-clock times: daylight time if repeated, one hour later if skipped in spring."""
    first = np.ones(len(wall), dtype=bool)
    return wall.dt.tz_localize(zone, ambiguous=first, nonexistent=timedelta(hours=1)).dt.tz_convert("UTC")


def dates_of(table: pa.Table) -> Days:
    """Return the local `date` of each row."""
    return table["date"].to_numpy().astype("datetime64[D]")


def rows_by_day(dates: Days, days: Sequence[date]) -> dict[date, int]:
    """Return the number of rows of each of `days`, given the day of each row."""
    counts = Counter(dates.tolist())
    return {day: counts[day] for day in days}


def rows_of_days(table: pa.Table, days: Sequence[date]) -> dict[date, pa.Table]:
    """Return the rows of each of sorted days in a table sorted by `date`, without that column."""
    dates = dates_of(table)
    wanted = np.array(days, dtype="datetime64[D]")
    starts = np.searchsorted(dates, wanted, "left")
    stops = np.searchsorted(dates, wanted, "right")
    rows = table.drop_columns(["date"]).combine_chunks()
    return {day: rows.slice(start, stop - start) for day, start, stop in zip(days, starts, stops, strict=True)}


YEAR_HOURS: Final = YEAR_DAYS * DAY_HOURS
FIREWORK_PEAK_HALF_LIFE_HOURS: Final = 3


@dataclass(frozen=True)
class HourlyClock:
    """The city's clock at hours, each array of shape (hours,)."""

    day: Days
    hour: Integers
    hour_of_week: Integers
    season: Array  # elapsed share of the year, 0 to 1
    fireworks: Booleans  # True on `FIREWORK_DAYS`
    firework_peak: Array  # 2^(-d / 3), d hours from the nearer midnight of New Year or after 4 July; else 0
    last_year: Integers  # index of the hour as long after midnight of the date last year; may be negative

    @classmethod
    def of_hours(cls, starts: Days, zone: ZoneInfo, *, has_fireworks: bool = True) -> "HourlyClock":
        """Return the clock at contiguous hours, given the instants (UTC) at which they begin."""
        wall = wall_clock(starts, zone)
        day = wall.astype("datetime64[D]")
        hour = hours_of_day(wall)
        fireworks = is_holiday_fireworks(wall) & has_fireworks
        year = day.astype("datetime64[Y]")
        july = (year.astype("datetime64[M]") + np.timedelta64(6, "M")).astype("datetime64[D]")
        new_years = (year.astype("datetime64[D]"), (year + np.timedelta64(1, "Y")).astype("datetime64[D]"))
        midnights = (*new_years, july + np.timedelta64(4, "D"))
        since_new_year, *others = ((day - midnight).astype(np.int64) * DAY_HOURS + hour for midnight in midnights)
        distance = np.min(np.abs([since_new_year, *others]), axis=0)
        return cls(
            day=day,
            hour=hour,
            hour_of_week=hours_of_week(wall),
            season=since_new_year / YEAR_HOURS,
            fireworks=fireworks,
            firework_peak=np.where(fireworks, 2.0 ** (-distance / FIREWORK_PEAK_HALF_LIFE_HOURS), 0.0),
            # A shift by whole days keeps the local hour, except where only one of both years changes its clock.
            last_year=np.arange(len(hour)) - (day - same_date_last_year(day)).astype(np.int64) * DAY_HOURS,
        )
