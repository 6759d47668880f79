"""The landed files of a city as they were last read: versions, days and kept rows, or why they cannot be used."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, TypeAdapter

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.schema import rows_by_origin
from shotspotter_assets.cities.box import Box
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.storage.catalogue import ARRIVED_ROWS, RAW_ROWS, RECEIVED
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable

CORRECTION: Final = re.compile(r"(?i)(?:^|[-_ ])correction[-_ ](\d{4}-\d{2}-\d{2})$")  # names of corrections of a day
MIN_FAR_ROWS: Final = 3  # fewer rows far outside the box may be junk, such as 0, 0
MIN_FAR_SHARE: Final = 0.5  # minimum share of rows far outside the box that sets a file aside


class LostRowsError(SourceError):
    """The kept rows of a file are lost; it is read again the next time."""


class Places(BaseModel, frozen=True):
    """Numbers of rows of a file by where they lie."""

    points: int = 0  # rows with a point
    outside: int = 0  # rows outside the city's box, those with swapped coordinates excepted
    far: int = 0  # rows of `outside` further from the box than it is wide or high


class FileVersion(NamedTuple):
    """Version of a landed file, and of the settings with which it was read."""

    content: str  # changes whenever the file is written: size and time of a local file, ETag of an object on S3
    limits: str = ""  # hash of the settings that decide whether the file can be used
    meaning: str = ""  # hash of the settings that give its rows their meaning


class ReceivedFile(BaseModel, frozen=True):
    """A landed file."""

    version: FileVersion  # version of the file when it was last read
    received: datetime  # time at which that version was written
    error: str = ""  # reason why this version is not used; empty where it is
    rows_from: FileVersion | None = None  # version whose rows are used: the last one that could be read
    days: dict[date, tuple[str, int]] = {}  # version and number of the rows by day
    places: Places = Places()
    foreign: str = ""  # evidence that the rows are from another place; empty without any

    @property
    def rows(self) -> int:
        """Number of the used rows."""
        return sum(rows for _, rows in self.days.values())

    def is_read_as(self, meaning: str) -> bool:
        """Return True if there are rows, read with the settings of the present meaning."""
        return self.rows_from is not None and self.rows_from.meaning == meaning


Received = Mapping[str, ReceivedFile]  # the landed files of a city by path

_RECEIVED: Final = TypeAdapter(dict[str, ReceivedFile])


def read_received(store: Store, city: str) -> dict[str, ReceivedFile]:
    """Return the landed files of a city as they were last read; none before the first reading."""
    return dict(store.read_index(RECEIVED, city, _RECEIVED.validate_json) or {})


@lru_cache(maxsize=100_000)  # sensors ask for the days of all files every few seconds
def corrected_day(path: str) -> date | None:
    """Return the day that a correction's name holds; None for other files."""
    match = CORRECTION.search(PurePosixPath(path).stem)
    with suppress(ValueError):
        return None if match is None else date.fromisoformat(match[1])
    return None


@lru_cache(maxsize=100_000)
def named_day(path: str, form: str | None) -> date | None:
    """Return the day in the name of a correction, or of a file in the form of the source; raise ValueError without it."""
    day = corrected_day(path)
    return datetime.strptime(PurePosixPath(path).stem, form).date() if day is None and form is not None else day


def is_set_aside(path: str, file: ReceivedFile, site: Site) -> bool:
    """Return True if a file is probably of another place, and nobody has acknowledged it."""
    return bool(file.foreign) and PurePosixPath(path).name not in site.acknowledged_files


def unusable_files(files: Received, site: Site) -> dict[str, str]:
    """Return reasons why files are not used in their present version, by path."""
    why = {path: file.error for path, file in sorted(files.items()) if file.error}
    for path, file in sorted(files.items()):
        if is_set_aside(path, file, site):
            entry = f"`acknowledged: [{{file: {PurePosixPath(path).name}, by: NAME, on: DATE}}]`"
            remedy = f"Replace or remove the file; or, if its rows are right, add {entry} to the city's file."
            set_aside = f"City {site.name}: {path} is set aside: {file.foreign}. {remedy}"
            why[path] = f"{file.error} {set_aside}".strip()
    return why


def places_of(rows: pa.Table, box: Box) -> Places:
    """Count the rows of a file by where they lie."""
    longitude, latitude = (rows[name].to_numpy() for name in ("longitude", "latitude"))
    has_point = ~(np.isnan(longitude) | np.isnan(latitude))
    is_outside = has_point & ~box.holds(longitude, latitude) & ~box.holds(latitude, longitude)
    is_far = is_outside & box.is_far(longitude, latitude)
    return Places(points=int(has_point.sum()), outside=int(is_outside.sum()), far=int(is_far.sum()))


def judge_places(files: Received) -> dict[str, ReceivedFile]:
    """Return the files of a folder with the evidence that some are from another place.

    Most of such a file's rows lie further from the city's box than it is wide or high, where no sensor of the city hears,
    while most rows of another file lie within the box. Without such a file, the box is wrong rather than the rows.
    """
    has_own = any(file.places.points and 2 * file.places.outside <= file.places.points for file in files.values())
    with_evidence = {}
    for path, file in files.items():
        places = file.places
        foreign = ""
        if has_own and places.far >= MIN_FAR_ROWS and places.far > MIN_FAR_SHARE * places.points:
            far = f"{places.far:,} of {places.points:,} rows lie further from the city's box than it is wide or high"
            foreign = f"{far}, so they are probably from another place"
        with_evidence[path] = file.model_copy(update={"foreign": foreign})
    return with_evidence


def by_receipt(files: Received) -> dict[str, ReceivedFile]:
    """Return files in the order in which they were received."""
    return dict(sorted(files.items(), key=lambda item: (item[1].received, item[0])))


def used_files(files: Received, site: Site, meaning: str) -> dict[str, ReceivedFile]:
    """Return the used files by receipt: read with settings of the present `meaning`, and not set aside."""
    is_read = {path: file for path, file in by_receipt(files).items() if file.is_read_as(meaning)}
    return {path: file for path, file in is_read.items() if not is_set_aside(path, file, site)}


def used_days(used: dict[str, ReceivedFile], *, latest: bool = False) -> dict[date, dict[str, tuple[str, int]]]:
    """Return version and number of each day's used rows by path.

    A correction replaces the rows of all other files. Of files with equal rows of a day, the first one stands for all, or
    the last one where the `latest` version of a row counts.
    """
    corrections = {corrected_day(path): path for path in used}
    days: dict[date, dict[str, tuple[str, int]]] = {}
    for path, file in reversed(used.items()) if latest else used.items():
        for day, rows in file.days.items():
            if corrections.get(day, path) == path and rows not in days.setdefault(day, {}).values():
                days[day][path] = rows
    return days


def write_received(store: Store, city: str, before: Received, files: Received) -> None:
    """Apply the differences between two readings; remove rows that no file uses any more."""
    changed = {path: file for path, file in files.items() if before.get(path) != file}
    unused: dict[str, StoredTable] = {}

    def applied(stored: dict[str, ReceivedFile] | None) -> bytes:
        stored = stored or {}
        after = {path: file for path, file in stored.items() if path in files or path not in before} | changed
        used = _rows_files(after)
        unused.clear()
        unused.update({name: rows for name, rows in _rows_files(stored).items() if name not in used})
        return _RECEIVED.dump_json(after)

    store.update(RECEIVED, city, _RECEIVED.validate_json, applied)
    for rows in unused.values():
        store.delete(rows, city)


def write_rows(store: Store, city: str, path: str, version: FileVersion, rows: pa.Table) -> dict[date, tuple[str, int]]:
    """Keep the rows (`RAW_SCHEMA`) of a file; return version and number of rows by day."""
    store.write_table(_rows_file(path, version), rows.rename_columns(ARRIVED_ROWS.schema.names), city)
    return {day: origins[path] for day, origins in rows_by_origin(rows).items()}


def read_rows(store: Store, city: str, path: str, file: ReceivedFile) -> pa.Table:
    """Return the used rows of a file, `RAW_SCHEMA`; raise SourceError if they were replaced or are lost."""
    assert file.rows_from is not None
    try:
        rows = store.read_table(_rows_file(path, file.rows_from), city)
    except (MissingObjectError, CorruptObjectError):
        if read_received(store, city).get(path) == file:
            write_received(store, city, {path: file}, {})
        raise LostRowsError(
            f"City {city}: the kept rows of {path} are lost, and it is read again. Run again."
        ) from None
    return rows.rename_columns(RAW_ROWS.schema.names)


def _rows_files(files: Received) -> dict[str, StoredTable]:
    tables = [_rows_file(path, file.rows_from) for path, file in files.items() if file.rows_from is not None]
    return {table.file: table for table in tables}


def _rows_file(path: str, version: FileVersion) -> StoredTable:
    return ARRIVED_ROWS.named(hash=sha256(path, ":".join(version))[:20])
