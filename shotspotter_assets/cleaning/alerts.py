"""The cleaning of raw alerts, any number of days at once: usable rows, rejected rows with the reason, and their account."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_starts, days_between, rows_of_days
from shotspotter_assets.calendar.year import month_days
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, Box, City
from shotspotter_assets.cleaning import landed_twice
from shotspotter_assets.cleaning.columns import CLEANED_COLUMNS
from shotspotter_assets.cleaning.day_settings import SETTINGS, TYPES, cleaned_settings, types_by_day
from shotspotter_assets.cleaning.incidents import incident_numbers
from shotspotter_assets.cleaning.spellings import are_unlisted, type_codes, unknown_spellings
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.arrow_schema import arrow_schema

CLEANED_SCHEMA: Final = arrow_schema(
    CLEANED_COLUMNS, required=set(CLEANED_COLUMNS) - {"source_id", "gunshot_type", "rounds"}
)

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

LANDED_TWICE: Final = "landed_twice"

REASONS: Final = {
    "no_time": "the time is missing or unreadable, or has no zone",
    "impossible_date": "the date is before the city's start, in the future, or not near the date of its daily file",
    "no_point": "longitude or latitude is missing or not a number",
    "swapped_point": "longitude and latitude are swapped: the other way round, the point lies within the city's box",
    "outside_box": "the point lies outside the city's box",
    "other_event": "the type is none of the city's event_types and no known gunshot type",
    LANDED_TWICE: "nearly all rows of a file repeat rows of other files, at the same points and all times shifted by as much",
}

MAX_ALERTS_A_DAY: Final = 99_999
"""`user_id` has five digits for the alert's place within its day."""

CONTENT: Final = ("date", "time_utc", "longitude", "latitude", "source_id", "gunshot_type", "rounds")
"""What the publisher states of an alert: rows equal in all of it are exact duplicates."""

ONE_DAY: Final = timedelta(days=1)
DAYS_BEFORE: Final = 1 + landed_twice.DAYS_BEFORE
"""Days before a day that it is cleaned with: an incident may begin on the day before, whose rows may be of another file's."""

USABLE: Final = -1
NOT_ASKED_FOR: Final = -2
"""What a row has in place of a reason: it can be used, or is of a day that is not asked for."""


class TooManyAlertsError(ValueError):
    """A day has more alerts than `user_id` can number."""


@dataclass(frozen=True)
class Account:
    """Where the rows received of a day, or of several, went; `received = cleaned + rejected + duplicates`.

    `incidents` are those that began then.
    """

    received: int
    cleaned: int
    duplicates: int
    untyped: int
    incidents: int
    rejected: dict[str, int] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.received + other.received,
            self.cleaned + other.cleaned,
            self.duplicates + other.duplicates,
            self.untyped + other.untyped,
            self.incidents + other.incidents,
            dict(Counter(self.rejected) + Counter(other.rejected)),
            dict(Counter(self.unknown_types) + Counter(other.unknown_types)),
        )


NO_ROWS: Final = Account(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class CleanedDay:
    """One day's alerts (`CLEANED_SCHEMA`, by time), rejected rows (`REJECTED_SCHEMA`) and account."""

    alerts: pa.Table
    rejected: pa.Table
    account: Account


def clean_alerts(raw: pa.Table, days: list[date], city: City) -> dict[date, CleanedDay]:
    """Clean the rows filed under `days`; each of them gets an entry, also without rows.

    A day's result is the same whatever other days are cleaned with it, as long as `raw` has the `DAYS_BEFORE`. Police
    events (`City.event_types`) are an incident each.

    Args:
        raw: `RAW_SCHEMA`, in any order; of other days than `days`, only the days before them are looked at.

    Raises:
        TooManyAlertsError: a day has more than `MAX_ALERTS_A_DAY` alerts.
    """
    if not days:
        return {}
    days = sorted(days)
    axis = _DayAxis.of(days, city)
    day = raw["date"].cast(pa.int32()).to_numpy() - axis.first
    reason = _reasons(raw, day, axis, city)
    order, repeats = _in_order(raw, np.flatnonzero(reason == USABLE))
    again = _landed_twice(raw, order[~repeats], day, city)
    if again.any():
        # With a row go its exact duplicates, which follow it.
        left_out = again[np.cumsum(~repeats) - 1]
        reason[order[left_out]] = _code(LANDED_TWICE)
        order, repeats = order[~left_out], repeats[~left_out]
    usable_by_day = np.bincount(day[order], minlength=axis.days)
    order = order[~repeats]
    day_of_alert = day[order]
    alerts, spellings = _tidy(raw, order, day_of_alert, axis, city)
    stops = np.cumsum(np.bincount(day_of_alert, minlength=axis.days))
    begun = pc.equal(alerts["incident_id"], alerts["user_id"]).to_numpy()
    untyped = alerts["gunshot_type"].is_null().to_numpy()
    incidents_by_day, untyped_by_day = (
        np.bincount(day_of_alert[chosen], minlength=axis.days) for chosen in (begun, untyped)
    )
    unknown = unknown_spellings(spellings, alerts["gunshot_type"], city)
    rejected_by_day = rows_of_days(_rejected(raw, reason), days)
    types = types_by_day(raw["gunshot_type"], day, axis.days, city)
    cleaned = {}
    for wanted, at in zip(days, axis.positions, strict=True):
        size = int(stops[at] - (stops[at - 1] if at else 0))
        rows = slice(int(stops[at]) - size, int(stops[at]))
        rejected = rejected_by_day[wanted]
        account = Account(
            received=int(usable_by_day[at]) + rejected.num_rows,
            cleaned=size,
            duplicates=int(usable_by_day[at]) - size,
            untyped=int(untyped_by_day[at]),
            incidents=int(incidents_by_day[at]),
            rejected=dict(Counter(rejected["reason"].to_pylist())) if rejected.num_rows else {},
            unknown_types=unknown_spellings(spellings[rows], alerts["gunshot_type"][rows], city) if unknown else {},
        )
        of_day = alerts[rows].replace_schema_metadata({**alerts.schema.metadata, TYPES: types[at]})
        cleaned[wanted] = CleanedDay(of_day, rejected, account)
    return cleaned


def location_ids(
    longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64], box: Box
) -> npt.NDArray[np.uint32]:
    """Points as uint32: 16-bit fixed point within the box, latitude in the high 16 bits; shape (points,).

    A step is 1/65535 of the box's side, a quarter of a metre in a box of 16 km.
    """
    high = np.rint((latitude - box.south) / (box.north - box.south) * 65535).astype(np.uint32)
    low = np.rint((longitude - box.west) / (box.east - box.west) * 65535).astype(np.uint32)
    return (high << np.uint32(16)) | low


class _DayAxis(NamedTuple):
    """The civil days that are looked at: those to clean, and the `DAYS_BEFORE` each, numbered from `first`."""

    first: int
    """Days since 1970 of the first."""
    days: int
    """How many there are from the first to the last, the ones between them included."""
    looked_at: npt.NDArray[np.bool_]
    """Whether each is to be cleaned or one of the `DAYS_BEFORE` one, shape (days,)."""
    positions: list[int]
    """Which of them are to be cleaned."""
    starts: npt.NDArray[np.int64]
    """Microseconds since 1970 at which each begins, and the last ends, shape (days + 1,)."""

    @classmethod
    def of(cls, days: list[date], city: City) -> "_DayAxis":
        every_day = days_between(days[0] - DAYS_BEFORE * ONE_DAY, days[-1])
        positions = [(day - every_day[0]).days for day in days]
        looked_at = np.zeros(len(every_day), dtype=bool)
        for before in range(DAYS_BEFORE + 1):
            looked_at[np.array(positions) - before] = True
        starts = day_starts([*every_day, days[-1] + ONE_DAY], city.zone).astype(np.int64)
        return cls((every_day[0] - date(1970, 1, 1)).days, len(every_day), looked_at, positions, starts)

    def dates(self) -> npt.NDArray[np.datetime64]:
        return np.arange(self.first, self.first + self.days).astype("datetime64[D]")


def _reasons(raw: pa.Table, day: npt.NDArray[np.int32], axis: _DayAxis, city: City) -> npt.NDArray[np.int8]:
    """For each row the place in `REASONS` of the first that applies, `USABLE`, or `NOT_ASKED_FOR`; shape (rows,)."""
    box = city.box
    longitude, latitude = (raw[name].to_numpy() for name in ("longitude", "latitude"))
    time = _microseconds(raw)
    looked_at = (day >= 0) & (day < axis.days)
    day = np.where(looked_at, day, 0)
    looked_at &= axis.looked_at[day]
    inside = _within(longitude, box.west, box.east) & _within(latitude, box.south, box.north)
    reason = np.full(raw.num_rows, USABLE, dtype=np.int8)
    outside = np.flatnonzero(~inside)
    swapped = _within(latitude[outside], box.west, box.east) & _within(longitude[outside], box.south, box.north)
    # The first of the reasons is given last.
    if city.event_types:
        reason[are_unlisted(raw["gunshot_type"], city).to_numpy(zero_copy_only=False)] = _code("other_event")
    reason[outside] = _code("outside_box")
    reason[outside[swapped]] = _code("swapped_point")
    reason[_nulls(raw["longitude"]) | _nulls(raw["latitude"])] = _code("no_point")
    reason[(time < axis.starts[day]) | (time >= axis.starts[day + 1])] = _code("impossible_date")
    reason[_nulls(raw["time_utc"])] = _code("no_time")
    reason[~looked_at] = NOT_ASKED_FOR
    return reason


def _in_order(raw: pa.Table, usable: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Row numbers of the usable rows by `CONTENT`, and which of them repeat the row before; both of shape (rows,).

    The date follows from the time, so only rows of one instant need to be compared in all columns.
    """
    time = _microseconds(raw)[usable]
    if (time[1:] < time[:-1]).any():
        by_time = np.argsort(time, kind="stable")
        usable, time = usable[by_time], time[by_time]
    same = time[1:] == time[:-1]
    tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
    repeats = np.zeros(len(usable), dtype=bool)
    if len(tied):
        rows = raw.select([*CONTENT, "received_from", "received_row"]).take(pa.array(usable[tied]))
        by_content = pc.sort_indices(rows, [(name, "ascending") for name in rows.column_names])
        usable[tied] = usable[tied][by_content.to_numpy()]
        repeats[tied] = _repeats_the_row_before(rows.take(by_content))
    return usable, repeats


def _landed_twice(
    raw: pa.Table, order: npt.NDArray[np.int64], day: npt.NDArray[np.int32], city: City
) -> npt.NDArray[np.bool_]:
    """Which of the rows numbered in `order` repeat the alerts of another file, see `landed_twice`; shape (rows,)."""
    if pc.count_distinct(raw["received_from"]).as_py() < 2 or len(order) == 0:
        return np.zeros(len(order), dtype=bool)
    rows = raw.select(["longitude", "latitude", "gunshot_type", "received_from", "received_at"]).take(pa.array(order))
    files = pc.dictionary_encode(rows["received_from"].combine_chunks())
    rank = pc.rank(files.dictionary).to_numpy().astype(np.int64)
    return landed_twice.landed_twice(
        landed_twice.Rows(
            day[order].astype(np.int64),
            _microseconds(raw)[order],
            rows["longitude"].to_numpy(),
            rows["latitude"].to_numpy(),
            type_codes(rows["gunshot_type"], city).fill_null(landed_twice.UNKNOWN).to_numpy(),
            rank[files.indices.to_numpy()],
            rows["received_at"].cast(pa.int64()).fill_null(0).to_numpy(),
        )
    )


def _rejected(raw: pa.Table, reason: npt.NDArray[np.int8]) -> pa.Table:
    """`REJECTED_SCHEMA` with the `date`, by date and place in the source."""
    at = np.flatnonzero(reason >= 0)
    names = pa.array(list(REASONS), pa.string()).take(pa.array(reason[at]))
    order = [(name, "ascending") for name in ("date", "received_from", "received_row")]
    rows = raw.take(pa.array(at)).append_column(REJECTED_SCHEMA.field("reason"), names).sort_by(order)
    return rows.rename_columns({"gunshot_type": AS_SPELLED}).cast(
        pa.schema([RAW_SCHEMA.field("date"), *REJECTED_SCHEMA])
    )


def _code(reason: str) -> int:
    return list(REASONS).index(reason)


def _within(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.bool_]:
    return (values >= low) & (values <= high)


def _nulls(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return column.is_null().to_numpy() if column.null_count else np.zeros(len(column), dtype=bool)


def _microseconds(raw: pa.Table) -> npt.NDArray[np.int64]:
    """Times as microseconds since 1970, 0 for null, shape (rows,)."""
    return raw["time_utc"].cast(pa.int64()).fill_null(0).to_numpy()


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


def _tidy(
    raw: pa.Table, order: npt.NDArray[np.int64], day: npt.NDArray[np.int32], axis: _DayAxis, city: City
) -> tuple[pa.Table, pa.ChunkedArray]:
    """`CLEANED_SCHEMA` of the rows numbered in `order`, which are by day and time, and their types as spelled."""
    in_place = len(order) == raw.num_rows and bool((order == np.arange(len(order))).all())
    kept = raw.select(["source_id", "time_utc", "longitude", "latitude", "gunshot_type", "rounds"])
    kept = (kept if in_place else kept.take(pa.array(order))).combine_chunks()
    sizes = np.bincount(day, minlength=axis.days)
    dates = axis.dates()
    if sizes.max() > MAX_ALERTS_A_DAY:
        raise TooManyAlertsError(
            f"City {city.name}, {dates[sizes.argmax()]}: {sizes.max():,} alerts on one day; at most {MAX_ALERTS_A_DAY:,} can "
            "be numbered. Check the source: a whole file may carry one date."
        )
    first_ids = _yyyymmdd(dates) * 100_000 - (np.cumsum(sizes) - sizes)
    user_id = first_ids[day] + np.arange(len(day))
    longitude, latitude = kept["longitude"].to_numpy(), kept["latitude"].to_numpy()
    codes = type_codes(kept["gunshot_type"], city)
    gunshot = pc.less(codes, FIRST_EVENT_CODE).fill_null(True).to_numpy()
    incident_id = user_id.copy()
    shots = np.flatnonzero(gunshot)
    seconds = _microseconds(kept)[shots] / 1e6
    middle = (city.box.south + city.box.north) / 2
    first = incident_numbers(day[shots], seconds, longitude[shots], latitude[shots], middle)
    incident_id[shots] = user_id[shots[first]]
    columns = {
        "user_id": user_id,
        "source_id": kept["source_id"],
        "time_utc": kept["time_utc"],
        "longitude": kept["longitude"],
        "latitude": kept["latitude"],
        "location_id": location_ids(longitude, latitude, city.box),
        "gunshot_type": codes,
        "rounds": kept["rounds"],
        "incident_id": incident_id,
        "is_holiday_fireworks": is_holiday_fireworks(dates)[day] & gunshot,
    }
    schema = CLEANED_SCHEMA.with_metadata({"time_precision": city.time_precision, SETTINGS: cleaned_settings(city)})
    return pa.table(columns).cast(schema), kept["gunshot_type"]


def _yyyymmdd(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    return (days.astype("datetime64[Y]").astype(np.int64) + 1970) * 10_000 + month_days(days)
