"""What has arrived at a city's source since the last look: the local days with new or changed rows.

What was seen is one small table per city, kept by the caller between looks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.publication import NOT_KNOWN
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.protocol import ChangingSource, SourceError
from shotspotter_assets.storage.fingerprints import sha256

SEEN_SCHEMA: Final = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("file_version", pa.string(), nullable=False),
        pa.field("day", pa.date32()),
        pa.field("day_version", pa.string()),
        pa.field("asked", pa.bool_(), nullable=False),
        pa.field("error", pa.string()),
    ]
)
"""One row per file and local day that it holds: a hash of the day's rows in the file, and whether a run was asked for this
version of the day, which waits until the day is over and all files are looked at.

- A day that has gone from a file has no version until it is asked for.
- A file that cannot be read has one row without a day, with the error. The days that it had before stay. Once it can be read,
  all its days are due: those that were made from its rows are found by what is stored.
- A file that is being written to is treated alike, with `UNREAD` as its own version.
- So is a folder that is missing or empty beside other sources of its city; its name ends with a slash.
- A polled source is one `file`, named after its place among the city's sources.
"""

UNREAD: Final = "unreadable"
WITHOUT_FILES: Final = "without files"

NOT_ASKED: Final = "first look"
"""Version of the days of a polled source before it was ever asked for versions."""

WITHOUT_ROWS: Final = ("", NOT_ASKED, NOT_KNOWN)
"""Versions of days of which no row was seen; a silent day after the newest row is not known yet."""

LOOK_BACK_DAYS: Final = 200
"""Days of a polled source that a look compares. Some publishers load a quarter at a time; most can only tell changed days by
returning their rows, so not all of history is asked for at every look."""

FILES_PER_BATCH: Final = 50
"""Looked at together, side by side: on S3, most of the time of a small one is waiting."""


@dataclass(frozen=True)
class Arrivals:
    """The result of one look.

    Attributes:
        days: days to read (again), each with a version that differs whenever its rows do.
        seen: `SEEN_SCHEMA`, for the next look, which finds the same days again unless they are marked by `as_asked`.
        unreadable: the error of each file, or folder, that was found unreadable in this look and not in the one before.
        unfinished: number of new or changed files left for the next look; no day is named until all are looked at, so
            that many files do not cause many runs over the same days.
        in_transfer: files that are left alone, as their transfer is not over.
    """

    days: Mapping[date, str]
    seen: pa.Table
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unfinished: int = 0
    in_transfer: Sequence[str] = ()


@dataclass(frozen=True)
class Unreadable:
    """A landed file that cannot be read, or a folder without files: in which version, and why."""

    version: str
    error: str

    @property
    def is_folder(self) -> bool:
        return self.version == WITHOUT_FILES


def landing_arrivals(folder: LandingFolder, seen: pa.Table, last: date, enough: Callable[[], bool]) -> Arrivals:
    """Days of new and changed files; unchanged files are listed but not opened.

    Args:
        folder: the landing folder.
        seen: `SEEN_SCHEMA` of the look before.
        last: the last day that is over; rows of later days wait until theirs is.
        enough: asked before each file is opened; once true, the rest is left for the next look.
    """
    versions, waiting = folder.file_versions()
    is_own = pc.starts_with(seen["file"], f"{folder.folder}/")  # a city may have several folders
    others, seen = seen.filter(pc.invert(is_own)), seen.filter(is_own)
    seen_versions = dict(zip(seen["file"].to_pylist(), seen["file_version"].to_pylist(), strict=True))
    changed = sorted(file for file, version in versions.items() if seen_versions.get(file) != version)
    known_days = _days_of_files(seen, [*changed, *waiting])
    # Runs that came while a file could not be read have made its days without it.
    unread = set(_unread_files(seen).to_pylist())
    rows: list[dict[str, Any]] = []
    looked_at: list[str] = []
    for file, result in _looks(folder, changed, enough):
        looked_at.append(file)
        entry = {"file": file, "file_version": versions[file], "day": None, "day_version": None, "asked": False}
        known = known_days.get(file, {})
        if isinstance(result, SourceError):
            rows += [{**entry, "error": str(result)}, *_unread(file, versions[file], known)]
            continue
        for day in sorted({*result, *known}):
            version = result.get(day)
            is_asked = file not in unread and known.get(day) == (version, True)
            rows.append({**entry, "day": day, "day_version": version, "asked": is_asked})
        if not result and not known:
            rows.append(entry)
    for file in waiting:
        rows += _unread(file, UNREAD, known_days.get(file, {}))
    if not versions and not waiting and len(folder.city.all_sources) > 1:
        entry = {"file": f"{folder.folder}/", "file_version": WITHOUT_FILES, "asked": False}
        rows.append({**entry, "error": folder.without_files})
    kept = seen.filter(pc.invert(pc.is_in(seen["file"], pa.array(looked_at, pa.string()))))
    # A file that has gone is looked at again if it comes back; one that is being written to has not gone.
    kept = kept.filter(pc.is_in(kept["file"], pa.array(list(versions), pa.string())))
    table = pa.concat_tables([kept, pa.Table.from_pylist(rows, SEEN_SCHEMA)])
    unfinished = len(changed) - len(looked_at)
    due = _due(table, last) if not unfinished else table.slice(0, 0)
    if folder.source.file_date is None and due.num_rows:
        # No file will come for a day of its own, so a day between the files' days was a day without alerts.
        template = {**due.slice(due.num_rows - 1).to_pylist()[0], "day_version": ""}
        silent_days = _gaps(set(pc.unique(table["day"]).to_pylist()) - {None}, last)
        silent = pa.Table.from_pylist([{**template, "day": day} for day in silent_days], SEEN_SCHEMA)
        table, due = pa.concat_tables([table, silent]), pa.concat_tables([due, silent])
    return Arrivals(
        days=_versions(due),
        seen=pa.concat_tables([others, table]),
        unreadable={
            str(row["file"]): str(row["error"])
            for row in rows
            if row.get("error") and seen_versions.get(row["file"]) != row["file_version"]
        },
        unfinished=unfinished,
        in_transfer=[*waiting, *folder.named_unfinished],
    )


def polled_arrivals(source: ChangingSource, name: str, seen: pa.Table, start: date, last: date) -> Arrivals:
    """Days whose version at a polled source has changed since the last look, or that have gone from it.

    The first look names all days without asking the source; later ones compare the last `LOOK_BACK_DAYS`.

    Args:
        source: the source.
        name: what it is called in `seen`.
        seen: `SEEN_SCHEMA` of the look before.
        start: the city's first day.
        last: the last day that is over.
    """
    is_own = pc.equal(seen["file"], name)
    known = seen.filter(is_own)
    asked = known.filter(known["asked"])
    asked_versions = dict(zip(asked["day"].to_pylist(), asked["day_version"].to_pylist(), strict=True))
    if known.num_rows:
        first = max(start, last - timedelta(days=LOOK_BACK_DAYS))
        changed_days = source.changed_days(first, last)
        newest = max(changed_days, default=start)
        # A day that was seen but not asked for may have gone since, too.
        seen_versions = dict(zip(known["day"].to_pylist(), known["day_version"].to_pylist(), strict=True))
        gone = {
            day: "" if day <= newest or version not in WITHOUT_ROWS else NOT_KNOWN
            for day, version in seen_versions.items()
            if first <= day <= last
        }
        waiting = {day: version for day, version in seen_versions.items() if day < first and day not in asked_versions}
        versions = waiting | gone | changed_days
        changed = [day for day, version in versions.items() if asked_versions.get(day) != version]
        # A day without rows between new ones, or between older ones and them, was a day without alerts.
        with_rows = [day for day, version in asked_versions.items() if version not in WITHOUT_ROWS]
        since = max((day for day in with_rows if changed and day < min(changed)), default=None)
        between = days_between(since or min(changed), max(changed)) if changed else []
        versions = dict.fromkeys((day for day in between if day not in asked_versions), "") | versions
    else:
        # All of history is one run, which asks the source itself.
        versions = dict.fromkeys(days_between(start, last), NOT_ASKED)
    entry = {"file": name, "file_version": "", "error": None}
    rows = [
        {**entry, "day": day, "day_version": version, "asked": asked_versions.get(day) == version}
        for day, version in sorted((asked_versions | versions).items())
    ]
    return Arrivals(
        days={day: version for day, version in sorted(versions.items()) if asked_versions.get(day) != version},
        seen=pa.concat_tables([seen.filter(pc.invert(is_own)), pa.Table.from_pylist(rows, SEEN_SCHEMA)]),
    )


def as_asked(seen: pa.Table, days: Set[date]) -> pa.Table:
    """`Arrivals.seen` once these days have been asked for."""
    asked = pc.fill_null(pc.is_in(seen["day"], pa.array(list(days), pa.date32())), False)
    gone = pc.and_(asked, pc.is_null(seen["day_version"]))
    position = seen.schema.get_field_index("asked")
    marked = seen.set_column(position, SEEN_SCHEMA.field("asked"), pc.or_(seen["asked"], asked))
    return marked.filter(pc.invert(gone))


def unreadable_files(seen: pa.Table) -> dict[str, Unreadable]:
    """The files that cannot be read, by path."""
    unreadable = seen.filter(pc.is_valid(seen["error"])).to_pylist()
    return {row["file"]: Unreadable(row["file_version"], row["error"]) for row in unreadable}


def _looks(
    folder: LandingFolder, files: Sequence[str], enough: Callable[[], bool]
) -> Iterator[tuple[str, dict[date, str] | SourceError]]:
    """Each file with the versions of its days or its error; at least the first one, whatever `enough` returns."""
    at = 0
    while at < len(files) and not (at and enough()):
        batch = files[at : at + (1 if enough() else FILES_PER_BATCH)]
        at += len(batch)
        for file, result in folder.looks(batch):
            yield file, result if isinstance(result, SourceError) else _with_silent_days(result)


def _days_of_files(seen: pa.Table, files: Sequence[str]) -> dict[str, dict[date, tuple[str | None, bool]]]:
    """By file and day: its version, and whether that was asked for."""
    rows = seen.filter(pc.and_(pc.is_in(seen["file"], pa.array(files, pa.string())), pc.is_valid(seen["day"])))
    days: dict[str, dict[date, tuple[str | None, bool]]] = {}
    for file, day, version, asked in zip(
        *(rows[name].to_pylist() for name in ("file", "day", "day_version", "asked")), strict=True
    ):
        days.setdefault(file, {})[day] = (version, asked)
    return days


def _unread_files(seen: pa.Table) -> pa.Array:
    files = seen.filter(pc.or_(pc.is_valid(seen["error"]), pc.equal(seen["file_version"], UNREAD)))["file"]
    return files.combine_chunks()


def _unread(file: str, version: str, known: Mapping[date, tuple[str | None, bool]]) -> Iterator[dict[str, Any]]:
    """Rows of a file that cannot be read now, whose days wait until it can be."""
    entry = {"file": file, "file_version": version, "asked": True}
    for day, (day_version, _) in known.items():
        yield {**entry, "day": day, "day_version": day_version}


def _due(seen: pa.Table, last: date) -> pa.Table:
    """Rows of days that are over and whose version was not asked for."""
    over = pc.fill_null(pc.less_equal(seen["day"], pa.scalar(last, pa.date32())), False)
    return seen.filter(pc.and_(over, pc.invert(seen["asked"])))


def _versions(due: pa.Table) -> dict[date, str]:
    """A hash by day of the versions that its files have of it."""
    versions: dict[date, list[str]] = {}
    for day, file, version in zip(*(due[name].to_pylist() for name in ("day", "file", "day_version")), strict=True):
        versions.setdefault(day, []).append(f"{file}:{version}")
    return {day: sha256("\n".join(sorted(of_files)))[:16] for day, of_files in sorted(versions.items())}


def _gaps(days: Set[date], last: date) -> list[date]:
    """The days that are missing between the first and the last of `days`, to `last`."""
    return [day for day in days_between(min(days), min(max(days), last)) if day not in days] if days else []


def _with_silent_days(versions: Mapping[date, str]) -> dict[date, str]:
    """`versions` with the days between the first and the last that have no row: days without alerts."""
    return {day: versions.get(day, "") for day in days_between(min(versions), max(versions))} if versions else {}
