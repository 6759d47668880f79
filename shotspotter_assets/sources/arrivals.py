"""What has arrived at a city's source since it was last looked at: the local days with new or changed rows.

What was seen is one small table per city, kept by the caller between looks.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.sources.landing import LandingFolder
from shotspotter_assets.sources.protocol import ChangingSource, SourceError

SEEN_SCHEMA: Final = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("file_version", pa.string(), nullable=False),
        pa.field("day", pa.date32()),
        pa.field("day_version", pa.string()),
        pa.field("error", pa.string()),
    ]
)
"""One row per file and local day that it holds: a hash of the day's rows in the file, null while the day is not over
and so not asked for yet. A file that cannot be read has one row, without a day, with the error. A polled source is one
`file` named after its place among the city's sources."""


LOOK_BACK_DAYS: Final = 200
"""Some publishers load a quarter at a time; most live sources can only say which days have changed by handing over their
rows, so not all of history is asked for at every look."""


NOT_ASKED: Final = "first look"


@dataclass(frozen=True)
class Arrivals:
    """The result of one look.

    Attributes:
        days: days to read (again), each with a version that differs whenever its rows do.
        seen: `SEEN_SCHEMA`, to be handed to the next look.
        unreadable: what is wrong with each file that was found unreadable in this look.
        unfinished: number of new or changed files left for the next look.
    """

    days: Mapping[date, str]
    seen: pa.Table
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unfinished: int = 0


def landing_arrivals(folder: LandingFolder, seen: pa.Table, last: date, enough: Callable[[], bool]) -> Arrivals:
    """Days of new and changed files; unchanged files are listed but not opened.

    Args:
        folder: the landing folder.
        seen: `SEEN_SCHEMA` of the look before.
        last: the last day that is over; rows of later days wait until theirs is.
        enough: asked before each file is opened; once true, the rest is left for the next look.
    """
    versions = folder.file_versions()
    own = pc.starts_with(seen["file"], f"{folder.folder}/")  # a city may have several folders
    others, seen = seen.filter(pc.invert(own)), seen.filter(own)
    before = dict(zip(seen["file"].to_pylist(), seen["file_version"].to_pylist(), strict=True))
    changed = sorted(file for file, version in versions.items() if before.get(file) != version)
    rows: list[dict[str, Any]] = []
    asked: dict[date, list[str]] = {}
    looked_at: list[str] = []
    for file in changed:
        if looked_at and enough():
            break
        looked_at.append(file)
        old = seen.filter(pc.equal(seen["file"], file)) if file in before else seen.slice(0, 0)
        entry = {"file": file, "file_version": versions[file], "day": None, "day_version": None, "error": None}
        try:
            now = _with_silent_days(folder.day_versions(file))
        except SourceError as error:
            rows.append({**entry, "error": str(error)})
            continue
        was = dict(zip(old["day"].to_pylist(), old["day_version"].to_pylist(), strict=True))
        was.pop(None, None)
        rows += [{**entry, "day": day, "day_version": version if day <= last else None} for day, version in now.items()]
        if not now:
            rows.append(entry)
        for day in {*now, *was}:
            if day <= last and now.get(day) != was.get(day):
                asked.setdefault(day, []).append(f"{file}:{now.get(day)}")
    kept = seen.filter(pc.invert(pc.is_in(seen["file"], pa.array(looked_at, pa.string()))))
    # A file that has gone is looked at again if it comes back.
    kept = kept.filter(pc.is_in(kept["file"], pa.array(list(versions), pa.string())))
    kept, waited = _days_that_ended(kept, last)
    if folder.source.file_date is None and rows:
        known = {row["day"] for row in rows} | set(kept["day"].to_pylist())
        for day in _gaps(known - {None}, last):
            # No file will come for a day of its own, so a day between the files' days was a day without alerts.
            rows.append({**rows[-1], "day": day, "day_version": "", "error": None})
            asked.setdefault(day, []).append("silent")
    for day, file, version in waited:
        asked.setdefault(day, []).append(f"{file}:{version}")
    return Arrivals(
        days={day: _hash(parts) for day, parts in sorted(asked.items())},
        seen=pa.concat_tables([others, kept, pa.Table.from_pylist(rows, SEEN_SCHEMA)]),
        unreadable={str(row["file"]): str(row["error"]) for row in rows if row["error"]},
        unfinished=len(changed) - len(looked_at),
    )


def polled_arrivals(source: ChangingSource, name: str, seen: pa.Table, start: date, last: date) -> Arrivals:
    """Days whose version at a polled source is another than when it was last looked at, or that have gone from it.

    The first look asks for all days without asking the source; later ones are at the last `LOOK_BACK_DAYS`.

    Args:
        source: the source.
        name: what it is called in `seen`.
        seen: `SEEN_SCHEMA` of the look before.
        start: the city's first day.
        last: the last day that is over.
    """
    own = pc.equal(seen["file"], name)
    before = seen.filter(own)
    was = dict(zip(before["day"].to_pylist(), before["day_version"].to_pylist(), strict=True))
    if was:
        first = max(start, last - timedelta(days=LOOK_BACK_DAYS))
        now = dict.fromkeys((day for day in was if first <= day <= last), "") | source.changed_days(first, last)
        changed = [day for day, version in now.items() if was.get(day) != version]
        # A day without rows between new ones was a day without alerts.
        silent = days_between(min(changed), max(changed)) if changed else []
        now = dict.fromkeys((day for day in silent if day not in was), "") | now
    else:
        # All of history is one run, which asks the source itself.
        now = dict.fromkeys(days_between(start, last), NOT_ASKED)
    entry = {"file": name, "file_version": "", "error": None}
    rows = [{**entry, "day": day, "day_version": version} for day, version in sorted((was | now).items())]
    return Arrivals(
        days={day: version for day, version in sorted(now.items()) if was.get(day) != version},
        seen=pa.concat_tables([seen.filter(pc.invert(own)), pa.Table.from_pylist(rows, SEEN_SCHEMA)]),
    )


def unreadable_files(seen: pa.Table) -> dict[str, dict[str, str]]:
    """The `version` in which each file could not be read and the `error`, by path."""
    bad = seen.filter(pc.is_valid(seen["error"])).to_pylist()
    return {row["file"]: {"version": row["file_version"], "error": row["error"]} for row in bad}


def _days_that_ended(seen: pa.Table, last: date) -> tuple[pa.Table, list[tuple[date, str, str]]]:
    """The table with the versions of days that have ended since, and those (day, file, version)."""
    waiting = pc.and_(pc.is_null(seen["day_version"]), pc.less_equal(seen["day"], pa.scalar(last, pa.date32())))
    waiting = pc.fill_null(waiting, False)
    filled = pc.if_else(waiting, seen["file_version"], seen["day_version"])
    ended = seen.filter(waiting)
    at = seen.schema.get_field_index("day_version")
    pairs = zip(ended["day"].to_pylist(), ended["file"].to_pylist(), ended["file_version"].to_pylist(), strict=True)
    return seen.set_column(at, SEEN_SCHEMA.field("day_version"), filled), list(pairs)


def _gaps(days: Set[date], last: date) -> list[date]:
    """The days that are missing between the first and the last of `days`, to `last`."""
    return [day for day in days_between(min(days), min(max(days), last)) if day not in days] if days else []


def _with_silent_days(versions: Mapping[date, str]) -> dict[date, str]:
    """A day between the first and the last one of a file, of which it has no row, was a day without alerts."""
    return {day: versions.get(day, "") for day in days_between(min(versions), max(versions))} if versions else {}


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
