"""Clean raw alerts: usable rows, rejected rows with the reason, and the account of both."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.incidents import incident_numbers
from shotspotter_assets.alerts.sources.schema import FIRST_POSSIBLE_DAY, PLACE_DECIMALS, RAW_SCHEMA
from shotspotter_assets.alerts.spellings import are_unlisted, type_codes, unknown_spellings
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import Plane
from shotspotter_assets.grid.dates import dates_of, is_holiday_fireworks, local_dates, rows_by_day, rows_of_days
from shotspotter_assets.grid.tensors import is_gunshot
from shotspotter_assets.storage.arrays import Array, Booleans, Integers
from shotspotter_assets.storage.catalogue import CLEANED, REJECTED

AS_SPELLED: Final = "gunshot_type_as_received"
BROKEN_ROW: Final = "broken_row"
BEFORE_START: Final = "before_start"
OUTSIDE_BOX: Final = "outside_box"
OTHER_EVENT: Final = "other_event"

REASONS: Final = {
    BROKEN_ROW: "the row does not fit the header: it has fewer or more fields, or is no JSON object",
    "no_time": "the time is missing or unreadable, or has no zone",
    BEFORE_START: "the date is before the city's start; such rows are left out and are no defect",
    "future_date": "the date is in the future of its arrival",
    "impossible_date": "the date is before 1990, or not near the date of its daily file",
    "no_point": "longitude or latitude is missing or not a number",
    "swapped_point": "longitude and latitude are swapped: the other way round, the point lies within the city's box",
    OUTSIDE_BOX: "the point lies outside the city's box",
    OTHER_EVENT: "the type is none of the city's event_types and resembles no gunshot type; such rows are ignored, no defect",
    "too_many": "the day has more rows than can be numbered (99,999)",
}
"""Reasons and their meaning; a row has the first one that applies."""
MAX_ALERTS_A_DAY: Final = 99_999  # limit of the five digits of `user_id` for the place within the day
CONTENT: Final = ("date", "time_utc", "longitude", "latitude", "source_id", "gunshot_type", "rounds")
"""Columns that the publisher states; equal rows are equal in all of them."""
DAYS_BEFORE: Final = 1  # stored days that a day's cleaning reads: an incident may begin before midnight
IDENTITY: Final = ("date", "received_from", "received_row")  # order of a source's rows of equal content
RECOUNTED: Final = (*CONTENT, "received_from", "received_row", "is_separate", "received_at")
USABLE: Final = -1


@dataclass(frozen=True)
class Account:
    """Number of rows by outcome: `received = cleaned + rejected + duplicates`. `incidents` counts those that began."""

    received: int = 0
    cleaned: int = 0
    duplicates: int = 0
    equal_rows: int = 0  # cleaned rows that equal another one, as separate events
    untyped: int = 0
    incidents: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)
    other_events: dict[str, int] = field(default_factory=dict)  # ignored rows by spelling


@dataclass(frozen=True)
class CleanedDay:
    """One day's alerts (`CLEANED`, by time), rejected rows (`REJECTED`) and account."""

    alerts: pa.Table
    rejected: pa.Table
    account: Account


def clean_alerts(raw: pa.Table, days: list[date], city: City) -> dict[date, CleanedDay]:
    """Clean the rows of `raw` (`RAW_SCHEMA`) filed under `days`, which all have an entry; incidents reach back a day."""
    days = sorted(days)
    read = sorted({*days, *(day - timedelta(days=DAYS_BEFORE) for day in days)})
    raw = raw.filter(pa.array(np.isin(dates_of(raw), np.array(read, dtype="datetime64[D]"))))
    reasons = row_reasons(raw, city)
    usable = _in_order(raw.filter(pa.array(reasons == USABLE)))
    tidy = _tidy(usable.filter(pa.array(~duplicate_rows(usable))), city)
    alerts = rows_of_days(tidy, days)
    equal = rows_by_day(dates_of(tidy)[equal_rows(tidy)], days)
    begun = rows_by_day(dates_of(tidy)[_flags(pc.equal(tidy["incident_id"], tidy["user_id"]))], days)
    rejected = rows_of_days(_rejected(raw, reasons), days)
    return {
        day: CleanedDay(
            alerts[day].drop_columns([AS_SPELLED]),
            rejected[day],
            _account(number, alerts[day], rejected[day], equal[day], begun[day], city),
        )
        for day, number in rows_by_day(dates_of(usable), days).items()
    }


def _account(usable: int, alerts: pa.Table, rejected: pa.Table, equal: int, incidents: int, city: City) -> Account:
    """Account for a day's rows: so many usable ones, its alerts with their spellings, and its rejected rows.

    `equal` alerts equal another one, and `incidents` began on the day.
    """
    codes = alerts["gunshot_type"]
    reasons = rejected["reason"].to_pylist()
    others = [name for name, why in zip(rejected[AS_SPELLED].to_pylist(), reasons, strict=True) if why == OTHER_EVENT]
    return Account(
        received=usable + rejected.num_rows,
        cleaned=alerts.num_rows,
        duplicates=usable - alerts.num_rows,
        equal_rows=equal,
        untyped=codes.null_count,
        incidents=incidents,
        rejected=dict(Counter(reasons)),
        unknown_types=unknown_spellings(alerts[AS_SPELLED], codes, city) if codes.null_count else {},
        other_events=dict(Counter(others)),
    )


def location_ids(longitude: Array, latitude: Array) -> npt.NDArray[np.uint64]:
    """Encode points in 1e-7 degrees: latitude + 90 in the high 32 bits, longitude + 180 in the low ones."""
    north = np.rint(latitude * 1e7).astype(np.int64) + 900_000_000
    east = np.rint(longitude * 1e7).astype(np.int64) + 1_800_000_000
    return ((north << 32) | east).astype(np.uint64)


def duplicate_rows(rows: pa.Table) -> Booleans:
    """Flag usable rows, in order, that repeat an alert of their day.

    Of rows with the same `source_id`, whatever else they state, the one received last counts. Other equal rows of a file
    are separate events where `is_separate` is true. Of rows in two files, second, type and point to five decimals decide if
    one has no id, and as many count as the file with most of them has: those with an id first, then files by name. Files of
    one landing folder are merged before (`merge_files`), so their names do not matter.
    """
    frame = rows.select(list(RECOUNTED)).to_pandas()
    by_receipt = frame.sort_values(["received_at", "received_from", "received_row"], kind="stable")
    replaced = by_receipt["source_id"].notna() & by_receipt.duplicated(["date", "source_id"], keep="last")
    repeated = frame.duplicated([*CONTENT, "received_from"]).to_numpy() & ~_flags(rows["is_separate"])
    repeated = replaced.sort_index().to_numpy() | (repeated & frame["source_id"].isna().to_numpy())
    if pc.count_distinct(rows["received_from"]).as_py() > 1:
        repeated[~repeated] = _in_earlier_file(frame[~repeated])
    return repeated


def equal_rows(alerts: pa.Table) -> Booleans:
    """Flag alerts, with their `date`, that have no id and equal an earlier one of their day."""
    flags = _flags(pc.is_null(alerts["source_id"]))
    flags[flags] = alerts.select(list(CONTENT)).filter(pa.array(flags)).to_pandas().duplicated().to_numpy()
    return flags


def unaccounted_rows(raw: pa.Table, alerts: pa.Table, rejected: pa.Table) -> dict[date, int]:
    """Return received minus cleaned, rejected and duplicate rows of the days on which they differ, recounted."""
    is_left_out = pc.is_in(_identity(raw), _identity(rejected).combine_chunks())
    usable = _in_order(raw.filter(pc.invert(is_left_out)))
    difference: Counter[date] = Counter(raw["date"].to_pylist())
    for dates in (alerts["date"], rejected["date"], usable["date"].filter(pa.array(duplicate_rows(usable)))):
        difference.subtract(dates.to_pylist())
    return {day: rows for day, rows in sorted(difference.items()) if rows}


def _identity(rows: pa.Table) -> pa.ChunkedArray:
    """Return the columns of `IDENTITY` of each row as one text."""
    return pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in IDENTITY), "|")


def row_reasons(raw: pa.Table, city: City) -> Integers:
    """Return the index in `REASONS` of each row's reason, or `USABLE`; shape (rows,)."""
    longitude, latitude = (raw[name].to_numpy() for name in ("longitude", "latitude"))
    local = local_dates(raw["time_utc"], city.zone)
    is_possible = pc.greater_equal(local, pa.scalar(FIRST_POSSIBLE_DAY))
    misfiled = pc.not_equal(local, raw["date"])
    is_inside = city.box.holds(longitude, latitude)
    # A broken row has the text of a whole line, and not its values as a JSON object.
    is_broken = _flags(pc.and_(pc.is_null(raw["time_utc"]), pc.is_valid(raw["as_received"])))
    is_broken[is_broken] = [not _is_object(text) for text in raw["as_received"].filter(pa.array(is_broken)).to_pylist()]
    applies = {
        BROKEN_ROW: is_broken,
        "no_time": _flags(pc.is_null(local)),
        BEFORE_START: _flags(pc.and_(pc.less(local, pa.scalar(city.start)), is_possible)),
        "future_date": _flags(pc.and_(misfiled, pc.greater(local, local_dates(raw["received_at"], city.zone)))),
        "impossible_date": _flags(misfiled),
        "no_point": np.isnan(longitude) | np.isnan(latitude),
        "swapped_point": ~is_inside & city.box.holds(latitude, longitude),
        OUTSIDE_BOX: ~is_inside,
        OTHER_EVENT: _flags(are_unlisted(raw["gunshot_type"], city)) & bool(city.event_types),
    }
    names = list(REASONS)
    reasons = np.select([applies[name] for name in names[:-1]], range(len(names) - 1), USABLE)
    _, day_at = np.unique(dates_of(raw), return_inverse=True)
    is_usable = reasons == USABLE
    too_many = np.bincount(day_at[is_usable], minlength=len(day_at)) > MAX_ALERTS_A_DAY
    reasons[is_usable & too_many[day_at]] = names.index("too_many")
    return reasons


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _rejected(raw: pa.Table, reasons: Integers) -> pa.Table:
    positions = np.flatnonzero(reasons != USABLE)
    names = pa.array(list(REASONS), pa.string()).take(pa.array(reasons[positions]))
    rows = raw.take(pa.array(positions)).append_column(REJECTED.schema.field("reason"), names)
    rows = rows.sort_by([(name, "ascending") for name in IDENTITY]).rename_columns({"gunshot_type": AS_SPELLED})
    return rows.cast(pa.schema([RAW_SCHEMA.field("date"), *REJECTED.schema]))


def _in_order(usable: pa.Table) -> pa.Table:
    # Without the local date, which follows from the time.
    return usable.sort_by([(name, "ascending") for name in RECOUNTED[1:]])


def _in_earlier_file(rows: pd.DataFrame) -> Booleans:
    """Flag rows of an alert without an id that an earlier file has, as `duplicate_rows` describes; shape (rows,)."""
    rows = rows.assign(is_without_id=rows["source_id"].isna())
    rows = rows.sort_values(["is_without_id", "received_from"], kind="stable")
    has_id = ~rows["is_without_id"]
    file = rows["received_from"].astype("category").cat.codes
    second = rows["time_utc"].dt.floor("s")
    east, north = ((rows[name] * 10**PLACE_DECIMALS).round() for name in ("longitude", "latitude"))
    place = rows.groupby([second, east, north, "gunshot_type"], dropna=False, sort=False).ngroup()
    # Ids are counted in all files together: it does not matter which file has which.
    number = rows.groupby([file.mask(has_id, -1), place], sort=False).cumcount()
    earlier = pd.DataFrame({"file": file, "has_id": has_id})
    of_place = earlier.groupby([place, number], dropna=False, sort=False).transform("first")
    repeats = ~(has_id & of_place["has_id"]) & (file != of_place["file"])
    return repeats.sort_index().to_numpy()


def _tidy(rows: pa.Table, city: City) -> pa.Table:
    """Return usable rows in order, without duplicates, as `CLEANED` with the local date and the spelling received."""
    dates = dates_of(rows)
    user_id = _user_ids(rows)
    degrees = np.column_stack([rows["longitude"].to_numpy(), rows["latitude"].to_numpy()])
    codes = type_codes(rows["gunshot_type"], city)
    gunshot = is_gunshot(codes)
    # Other events are an incident each.
    incident_id = user_id.copy()
    seconds = rows["time_utc"].cast(pa.int64()).to_numpy()[gunshot] / 1e6
    metres = Plane.of(city.box).metres(degrees[gunshot])
    first = incident_numbers(dates[gunshot].astype(np.int64), seconds, metres)
    incident_id[gunshot] = user_id[gunshot][first]
    columns = dict(zip(rows.column_names, rows.columns, strict=True)) | {
        AS_SPELLED: rows["gunshot_type"],
        "user_id": user_id,
        "location_id": location_ids(degrees[:, 0], degrees[:, 1]),
        "gunshot_type": codes,
        "incident_id": incident_id,
        "is_holiday_fireworks": is_holiday_fireworks(dates) & gunshot,
    }
    metadata = {"time_precision": city.time_precision}
    schema = pa.schema([RAW_SCHEMA.field("date"), pa.field(AS_SPELLED, pa.string()), *CLEANED.schema], metadata)
    return pa.table(columns).select(schema.names).cast(schema)


def _user_ids(rows: pa.Table) -> Integers:
    """Return a number for each row in order: its local date and its place within the day."""
    dates = dates_of(rows)
    _, first_of_day, day_number = np.unique(dates, return_index=True, return_inverse=True)
    place = np.arange(len(dates)) - first_of_day[day_number]
    return pc.strftime(rows["date"], "%Y%m%d").cast(pa.int64()).to_numpy() * 100_000 + place


def _flags(column: pa.ChunkedArray) -> Booleans:
    return column.fill_null(False).to_numpy(zero_copy_only=False)
