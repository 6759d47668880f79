"""The entries of days in the table of days, from rows that a run has just read.

Days of mostly unusable rows are held back: the city's file or the landed file is wrong.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.cleaning import (
    BEFORE_START,
    BROKEN_ROW,
    OTHER_EVENT,
    OUTSIDE_BOX,
    REASONS,
    row_reasons,
)
from shotspotter_assets.alerts.days.day_decisions import snapshot_decisions
from shotspotter_assets.alerts.days.day_table import Day, DayRows, DayTable
from shotspotter_assets.alerts.sources.schema import rows_by_origin
from shotspotter_assets.alerts.sources.snapshot import Snapshot, is_doubtful
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.storage.arrays import Names
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.wording import first_of, number_of

MAX_ROW_CHARACTERS: Final = 160
UNDATED: Final = (
    BROKEN_ROW,
    "no_time",
    "future_date",
    "impossible_date",
)  # filed under the first day or the day of their file
REMEDIES: Final = {
    BROKEN_ROW: "quotes and separators in the file",
    "no_time": "columns.time, time_format (how times are written) and naive_times (what a time without a zone means)",
    "future_date": "time_format (day and month may be interchanged) or naive_times",
    "impossible_date": "time_format (day and month may be interchanged)",
    "no_point": "columns.longitude and columns.latitude",
    "swapped_point": "columns.longitude and columns.latitude, which seem to be interchanged",
    OUTSIDE_BOX: "box",
    "too_many": "columns.time and time_format (a whole file may carry one date)",
}
"""Keys of the city's file, or parts of the landed file, to correct, by reason."""


def held_back_days(
    city: City, raw: pa.Table, *, is_box_doubted: bool | None = None
) -> tuple[dict[date, str], dict[date, int]]:
    """Return the reason of each held-back day, and the number of rejected rows of each day in `raw` (`RAW_SCHEMA`).

    A day is held back if a larger share of its rows than `City.max_share_rejected` cannot be used. Rows of other events do
    not count, nor do rows from before the city's start, and undated rows filed under the first day. Rows outside the box
    count only where the box is doubted (`sources.snapshot.is_doubtful`), by default because of these rows alone.
    """
    names = np.array([*REASONS, ""])[row_reasons(raw, city)]
    if is_box_doubted is None:
        is_box_doubted = is_doubtful(int((names == OUTSIDE_BOX).sum()), raw.num_rows)
    dates = dates_of(raw)
    is_of_no_day = np.isin(names, UNDATED) & (dates == np.datetime64(city.start))
    not_counted = (BEFORE_START, OTHER_EVENT) if is_box_doubted else (BEFORE_START, OTHER_EVENT, OUTSIDE_BOX)
    belongs = ~np.isin(names, not_counted) & ~is_of_no_day
    days, day_at = np.unique(dates, return_inverse=True)
    rejected = np.bincount(day_at[names != ""], minlength=len(days))
    of_day = np.bincount(day_at[belongs], minlength=len(days))
    unusable = np.bincount(day_at[belongs & (names != "")], minlength=len(days))
    is_held = unusable > city.max_share_rejected * of_day
    is_quoted = is_held[day_at] & belongs
    why = _why(city, raw.filter(pa.array(is_quoted)), names[is_quoted], int(is_held.sum())) if is_held.any() else ""
    held_back = dict.fromkeys(days[is_held].astype(date).tolist(), why)
    return held_back, dict(zip(days.astype(date).tolist(), rejected.tolist(), strict=True))


def _why(city: City, raw: pa.Table, names: Names, days: int) -> str:
    rejected = Counter(name for name in names.tolist() if name)
    described = " ".join(
        f"{number:,} {reason}: {REASONS[reason]}{_example(raw.filter(pa.array(names == reason)), reason)}. Correct "
        f"{REMEDIES[reason]}."
        for reason, number in rejected.most_common()
    )
    return (
        f"{rejected.total():,} of {number_of(raw.num_rows, 'row')} of {number_of(days, 'day')} in {named_files(raw)} "
        f"cannot be used: {described} "
        f"Names such as box are keys of the city's file; max_share_rejected ({city.max_share_rejected:g}) there allows more."
    )


def named_files(rows: pa.Table) -> str:
    """Name the first files of rows, without folders."""
    names = sorted({PurePosixPath(path).name for path in pc.unique(rows["received_from"]).to_pylist()})
    return first_of(names)


def named_rows(rejected: pa.Table) -> str:
    """Name the first rejected rows by file and line, with the reason."""
    files, lines, reasons = (rejected[name].to_pylist() for name in ("received_from", "received_row", "reason"))
    rows = sorted(zip(files, lines, reasons, strict=True))
    return first_of(
        [f"{PurePosixPath(path).name}, row {row} ({REASONS[why]})" for path, row, why in rows], separator="; "
    )


def _example(rows: pa.Table, reason: str) -> str:
    if reason in {OUTSIDE_BOX, "swapped_point"}:
        extents = (np.quantile(rows[axis].to_numpy(), (0.01, 0.99)) for axis in ("longitude", "latitude"))
        (west, east), (south, north) = extents
        return f"; 98% are within west {west:.3f}, south {south:.3f}, east {east:.3f}, north {north:.3f}"
    first = rows.slice(0, 1).to_pylist()[0]
    text = first["as_received"] or first["time_utc"]
    return f"; the first is row {first['received_row']}: {str(text)[:MAX_ROW_CHARACTERS]}"


def stored_states(
    city: City, snapshot: Snapshot, table: DayTable, rows: pa.Table, days: Sequence[date], last: date
) -> dict[date, Day]:
    """Return the entries of `days` in the table of days; their rows (`RAW_SCHEMA`) have just been read.

    `table` has the days stored so far. A state may depend on other days, up to `last`.
    """
    is_box_doubted = snapshot.is_box_doubted if snapshot.landed else None
    held_back, rejected = held_back_days(city, rows, is_box_doubted=is_box_doubted)
    origins = rows_by_origin(rows, snapshot.addresses)
    received = _received(rows) | _received(snapshot.of_first_source(rows))
    read = {
        day: DayRows(
            rows=sum(number for _, number in origins.get(day, {}).values()),
            received=received.get(day),
            held_back=held_back.get(day, ""),
            origins=origins.get(day, {}),
            rejected=rejected.get(day, 0),
        )
        for day in days
    }
    decisions = snapshot_decisions(city, snapshot, table, last, read)
    settings = settings_hash(city, Asset.GRID_TENSORS)
    return {
        day: Day(
            decisions[day].state,
            decisions[day].why,
            rows=read[day].rows,
            rejected=read[day].rejected,
            settings=settings,
            max_share_rejected=city.max_share_rejected,
            is_box_doubted=snapshot.is_box_doubted,
            received=read[day].received,
            sources={origin: version for origin, (version, _) in origins.get(day, {}).items()},
            is_unusual=decisions[day].is_unusual,
        )
        for day in days
    }


def _received(rows: pa.Table) -> dict[date, datetime]:
    """Return the time at which the first row of each day was received."""
    by_day = rows.group_by("date").aggregate([("received_at", "min")]).to_pylist()
    return {day["date"]: day["received_at_min"] for day in by_day}
