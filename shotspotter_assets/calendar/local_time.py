"""Local civil days and the wall clock of a city, with days of 23 and 25 hours.

Functions import array libraries themselves: the definitions need the dates alone and have to load fast.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa


def days_between(first: date, last: date) -> list[date]:
    """Return all days from `first` to `last`, both included; none if `last` is before `first`."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def contiguous(days: Iterable[date]) -> list[list[date]]:
    """Return days in sorted stretches without a gap."""
    stretches: list[list[date]] = []
    for day in sorted(days):
        if stretches and stretches[-1][-1] == day - timedelta(days=1):
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


def day_axis(first: date, days: int) -> "npt.NDArray[np.datetime64]":
    """Return contiguous local days from `first` on, shape (days,)."""
    import numpy as np

    return np.datetime64(first, "D") + np.arange(days).astype("timedelta64[D]")


def now() -> datetime:
    """Return the present instant (UTC)."""
    return datetime.now(UTC)


def today(zone: ZoneInfo) -> date:
    """Return the present local civil day."""
    return now().astimezone(zone).date()


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which the local civil day begins."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def day_starts(days: Sequence[date], zone: ZoneInfo) -> "npt.NDArray[np.datetime64]":
    """Return `day_start` of many days, as datetime64[us] in UTC, shape (days,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    midnights = pa.array(days, pa.date32()).cast(pa.timestamp("us"))
    instants = pc.assume_timezone(midnights, zone.key, ambiguous="earliest", nonexistent="latest")
    return instants.cast(pa.timestamp("us", "UTC")).to_numpy(zero_copy_only=False).astype("datetime64[us]")


def hours_of_days(days: Sequence[date], zone: ZoneInfo) -> "npt.NDArray[np.int64]":
    """Return the number of hours that begin within each of contiguous local civil days, shape (days,).

    Daylight saving makes days of 23 and 25 hours, and a short last hour in zones that change by half an hour.
    """
    import numpy as np

    starts = day_starts([*days, *[day + timedelta(days=1) for day in days[-1:]]], zone)
    seconds = np.diff(starts).astype("timedelta64[s]").astype(np.int64)
    return -(-seconds // 3600)


def hour_starts(first_day: date, hours: int, zone: ZoneInfo) -> "npt.NDArray[np.datetime64]":
    """Return instants (datetime64[s], UTC) at which hours begin, from a local day's midnight on, shape (hours,)."""
    import numpy as np

    midnight = np.datetime64(day_start(first_day, zone).replace(tzinfo=None), "s")
    return midnight + np.arange(hours).astype("timedelta64[h]")


def wall_clock(
    instants: "npt.NDArray[np.datetime64] | pa.ChunkedArray", zone: ZoneInfo
) -> "npt.NDArray[np.datetime64]":
    """Return wall-clock times of the city at instants (UTC, not null), as datetime64[us]; same shape."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(instants, np.ndarray):
        instants = pa.array(instants.astype("datetime64[us]"), pa.timestamp("us", "UTC"))
    return pc.local_timestamp(instants.cast(pa.timestamp("us", zone.key))).to_numpy()


def local_dates(time_utc: "pa.ChunkedArray | pa.Array", zone: ZoneInfo) -> "pa.ChunkedArray | pa.Array":
    """Return the local civil day (date32) of each instant; null stays null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.local_timestamp(time_utc.cast(pa.timestamp("us", zone.key))).cast(pa.date32())


def wall_clock_to_utc(wall: "pd.Series[pd.Timestamp]", zone: ZoneInfo) -> "pd.Series[pd.Timestamp]":
    """Return instants (UTC) of a city's wall-clock times.

    Times in the repeated autumn hour are daylight time; times in the hour that spring skips are moved one hour forward.
    """
    import numpy as np
    import pandas as pd

    first = np.ones(len(wall), dtype=bool)
    return wall.dt.tz_localize(zone, ambiguous=first, nonexistent=pd.Timedelta(hours=1)).dt.tz_convert("UTC")


def dates_of(table: "pa.Table") -> "npt.NDArray[np.datetime64]":
    """Return the local `date` of each row, as datetime64[D]."""
    return table["date"].to_numpy().astype("datetime64[D]")


def rows_by_day(dates: "npt.NDArray[np.datetime64]", days: Sequence[date]) -> dict[date, int]:
    """Count the rows of each of sorted days, given the day of each row."""
    import numpy as np

    wanted = np.array(days, dtype="datetime64[D]")
    at = np.searchsorted(wanted, dates)
    is_wanted = np.r_[wanted, np.datetime64("NaT", "D")][at] == dates
    return dict(zip(days, np.bincount(at[is_wanted], minlength=len(days)).tolist(), strict=True))


def rows_of_days(table: "pa.Table", days: Sequence[date]) -> "dict[date, pa.Table]":
    """Return the rows of each of sorted `days` in a table sorted by `date`, without that column."""
    import numpy as np

    numbers, wanted = dates_of(table), np.array(days, dtype="datetime64[D]")
    starts, stops = np.searchsorted(numbers, wanted, "left"), np.searchsorted(numbers, wanted, "right")
    rows = table.drop_columns(["date"]).combine_chunks()
    return {day: rows.slice(start, stop - start) for day, start, stop in zip(days, starts, stops, strict=True)}
