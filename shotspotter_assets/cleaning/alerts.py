"""Cleans raw alerts of any number of days at once: usable rows, rejected rows with the reason, and the account of both."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.local_time import local_dates, rows_of_days
from shotspotter_assets.cities.model import Box, City
from shotspotter_assets.cleaning.fireworks import is_holiday_fireworks
from shotspotter_assets.cleaning.gunshot_types import gunshot_type_codes, unknown_spellings
from shotspotter_assets.cleaning.incidents import incident_numbers
from shotspotter_assets.sources.schema import RAW_SCHEMA

CLEANED_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.int64(), nullable=False),
        pa.field("source_id", pa.string()),
        pa.field("time_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("longitude", pa.float64(), nullable=False),
        pa.field("latitude", pa.float64(), nullable=False),
        pa.field("location_id", pa.uint32(), nullable=False),
        pa.field("gunshot_type", pa.int8()),
        pa.field("rounds", pa.int32()),
        pa.field("incident_id", pa.int64(), nullable=False),
        pa.field("is_holiday_fireworks", pa.bool_(), nullable=False),
    ]
)
"""`user_id` is yyyymmdd * 100000 plus the alert's place in its local day; `incident_id` is the `user_id` of the
incident's first alert; `location_id` see `location_ids`."""

AS_SPELLED: Final = "gunshot_type_as_received"

REJECTED_SCHEMA = pa.schema(
    [
        *(
            column if column.name != "gunshot_type" else column.with_name(AS_SPELLED)
            for column in RAW_SCHEMA
            if column.name != "date"
        ),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""A rejected row as it was received, and why it cannot be used: one of `REASONS`. Columns that `CLEANED_SCHEMA` has
too are of the same type there, so that readers that open the whole folder can."""

REASONS: Final = {
    "no_time": "the time is missing or unreadable, or has no zone",
    "impossible_date": "the date is before the city's start, in the future, or not near the date of its daily file",
    "no_point": "longitude or latitude is missing or not a number",
    "swapped_point": "longitude and latitude are swapped: the other way round, the point lies within the city's box",
    "outside_box": "the point lies outside the city's box",
}

LARGEST_DAY: Final = 99_999
"""`user_id` has five digits for the alert's place within its day."""

CONTENT: Final = ("date", "time_utc", "longitude", "latitude", "source_id", "gunshot_type", "rounds")
"""What the publisher says of an alert: rows equal in all of it are exact duplicates."""


class TooManyAlertsError(ValueError):
    """A day has more alerts than `user_id` can number."""


@dataclass(frozen=True)
class DayAccount:
    """Where the received rows of one day went; `received = cleaned + rejected + duplicates`."""

    received: int
    cleaned: int
    duplicates: int
    untyped: int
    incidents: int
    rejected: dict[str, int] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CleanedDay:
    """One day's alerts (`CLEANED_SCHEMA`, by time), rejected rows (`REJECTED_SCHEMA`) and account."""

    alerts: pa.Table
    rejected: pa.Table
    account: DayAccount


def clean_alerts(raw: pa.Table, days: list[date], city: City) -> dict[date, CleanedDay]:
    """Clean the rows filed under `days`; each of them gets an entry, also without rows.

    Args:
        raw: `RAW_SCHEMA`, in any order; rows of other days are not looked at.

    Raises:
        TooManyAlertsError: a day has more than `LARGEST_DAY` alerts.
    """
    days = sorted(days)
    raw = raw.filter(pc.is_in(raw["date"], pa.array(days, pa.date32())))
    reason = _reasons(raw, city)
    usable = raw.filter(pc.is_null(reason)).sort_by(
        [(name, "ascending") for name in (*CONTENT, "received_from", "received_row")]
    )
    kept = usable.filter(pa.array(~_repeats_the_row_before(usable)))
    alerts = _tidy(kept, city)
    rejected = (
        raw.append_column(REJECTED_SCHEMA.field("reason"), reason)
        .filter(pc.is_valid(reason))
        .sort_by([("date", "ascending"), ("received_from", "ascending"), ("received_row", "ascending")])
        .rename_columns({"gunshot_type": AS_SPELLED})
    )
    with_date = pa.table({"date": kept["date"], **{name: alerts[name] for name in alerts.column_names}})
    usable_of, alerts_of, spellings_of, rejected_of = (
        rows_of_days(table, days)
        for table in (
            usable.select(["date", "received_row"]),
            with_date,
            kept.select(["date", "gunshot_type"]),
            rejected,
        )
    )
    return {day: _cleaned_day(usable_of[day], alerts_of[day], spellings_of[day], rejected_of[day]) for day in days}


def location_ids(
    longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64], box: Box
) -> npt.NDArray[np.uint32]:
    """Points as uint32: 16-bit fixed point within the box, latitude in the high 16 bits; shape (points,).

    A step is 1/65535 of the box's side, a quarter of a metre in a box of 16 km.
    """
    high = np.rint((latitude - box.south) / (box.north - box.south) * 65535).astype(np.uint32)
    low = np.rint((longitude - box.west) / (box.east - box.west) * 65535).astype(np.uint32)
    return (high << np.uint32(16)) | low


def location_points(
    location_id: npt.NDArray[np.uint32], box: Box
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(longitude, latitude) of `location_ids`, to within half a step."""
    high, low = location_id >> np.uint32(16), location_id & np.uint32(0xFFFF)
    return box.west + low / 65535 * (box.east - box.west), box.south + high / 65535 * (box.north - box.south)


def _reasons(raw: pa.Table, city: City) -> pa.ChunkedArray:
    """The first of `REASONS` that applies to each row, null for a usable one."""
    box = city.box
    longitude, latitude = raw["longitude"], raw["latitude"]
    days = local_dates(raw["time_utc"], city.zone)
    swapped = _within(latitude, box.west, box.east, longitude, box.south, box.north)
    inside = _within(longitude, box.west, box.east, latitude, box.south, box.north)
    applies = {
        "no_time": pc.is_null(raw["time_utc"]),
        "impossible_date": pc.not_equal(days, raw["date"]),
        "no_point": pc.or_(pc.is_null(longitude), pc.is_null(latitude)),
        "swapped_point": pc.and_(swapped, pc.invert(inside)),
        "outside_box": pc.invert(inside),
    }
    conditions = pc.make_struct(*(pc.fill_null(condition, False) for condition in applies.values()))
    return pc.case_when(conditions, *(pa.scalar(reason) for reason in applies))


def _within(
    x: pa.ChunkedArray, west: float, east: float, y: pa.ChunkedArray, south: float, north: float
) -> pa.ChunkedArray:
    return pc.and_(
        pc.and_(pc.greater_equal(x, west), pc.less_equal(x, east)),
        pc.and_(pc.greater_equal(y, south), pc.less_equal(y, north)),
    )


def _cleaned_day(usable: pa.Table, alerts: pa.Table, spellings: pa.Table, rejected: pa.Table) -> CleanedDay:
    account = DayAccount(
        received=usable.num_rows + rejected.num_rows,
        cleaned=alerts.num_rows,
        duplicates=usable.num_rows - alerts.num_rows,
        untyped=alerts["gunshot_type"].null_count,
        incidents=pc.count_distinct(alerts["incident_id"]).as_py(),
        rejected=dict(Counter(rejected["reason"].to_pylist())),
        unknown_types=unknown_spellings(spellings["gunshot_type"], alerts["gunshot_type"]),
    )
    return CleanedDay(alerts.cast(CLEANED_SCHEMA), rejected.cast(REJECTED_SCHEMA), account)


def _repeats_the_row_before(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether a row of a sorted table equals the row before it in all of `CONTENT` (nulls are equal), shape (rows,)."""
    repeats = np.zeros(table.num_rows, dtype=bool)
    if table.num_rows > 1:
        same = np.ones(table.num_rows - 1, dtype=bool)
        for name in CONTENT:
            codes = pc.dictionary_encode(table[name].combine_chunks(), null_encoding="encode").indices.to_numpy()
            same &= codes[1:] == codes[:-1]
        repeats[1:] = same
    return repeats


def _tidy(kept: pa.Table, city: City) -> pa.Table:
    """`CLEANED_SCHEMA` of usable rows sorted by day and time."""
    longitude, latitude = kept["longitude"].to_numpy(), kept["latitude"].to_numpy()
    days = kept["date"].to_numpy()
    day_numbers = days.astype(np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(day_numbers) != 0]) if len(days) else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(days)])
    if sizes.size and sizes.max() > LARGEST_DAY:
        day = days[starts[sizes.argmax()]]
        raise TooManyAlertsError(
            f"City {city.name}, {day}: {sizes.max():,} alerts on one day; at most {LARGEST_DAY:,} can be numbered. "
            "Check the source: a whole file may carry one date."
        )
    user_id = _yyyymmdd(days) * 100_000 + np.arange(len(days)) - np.repeat(starts, sizes)
    middle = (city.box.south + city.box.north) / 2
    seconds = kept["time_utc"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    columns = {
        "user_id": user_id,
        "source_id": kept["source_id"],
        "time_utc": kept["time_utc"],
        "longitude": kept["longitude"],
        "latitude": kept["latitude"],
        "location_id": location_ids(longitude, latitude, city.box),
        "gunshot_type": gunshot_type_codes(kept["gunshot_type"]),
        "rounds": kept["rounds"],
        "incident_id": user_id[incident_numbers(day_numbers, seconds, longitude, latitude, middle)],
        "is_holiday_fireworks": is_holiday_fireworks(days),
    }
    return pa.table(columns).cast(CLEANED_SCHEMA)


def _yyyymmdd(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    months = days.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    day_of_month = (days.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return (year + 1970) * 10_000 + (month + 1) * 100 + day_of_month + 1
