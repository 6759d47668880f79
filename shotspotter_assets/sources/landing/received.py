"""The landed files of a city as they were last read: versions, days and kept rows, or why they cannot be used."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.grid import Box
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.schema import rows_by_origin
from shotspotter_assets.storage.catalogue import ARRIVED_ROWS, RAW_ROWS, RECEIVED
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable

CORRECTION: Final = re.compile(r"(?i)(?:^|[-_ ])correction[-_ ](\d{4}-\d{2}-\d{2})$")  # names of corrections of a day
MAX_SHIFT_HOURS: Final = 14
HOURS_OF_TIME: Final = 10_000_000
MIN_SHIFTED_ROWS: Final = 5
MIN_SHIFTED_SHARE: Final = 0.5  # minimum share of rows, whole hours off others', that sets a file aside
MIN_FAR_ROWS: Final = 3  # fewer rows far outside the box may be junk, such as 0, 0
MIN_FAR_SHARE: Final = 0.5  # minimum share of rows far outside the box that sets a file aside


class LostRowsError(SourceError):
    """The kept rows of a file are lost; it is read again the next time."""


class Places(BaseModel):
    """Numbers of rows of a file by where they lie."""

    model_config = ConfigDict(frozen=True)

    points: int = 0  # rows with a point
    outside: int = 0  # rows outside the city's box, those with swapped coordinates excepted
    far: int = 0  # rows of `outside` further from the box than it is wide or high


class ReceivedFile(BaseModel):
    """A landed file."""

    model_config = ConfigDict(frozen=True)

    version: str  # version of the file when it was last read
    received: datetime  # time at which that version was written
    error: str = ""  # reason why this version is not used; empty where it is
    rows_from: str = ""  # version whose rows are used: the last one that could be read. Empty without one
    days: dict[date, tuple[str, int]] = {}  # version and number of the rows by day
    shifted: str = ""  # evidence that the times are in another zone; empty without any
    places: Places = Places()
    foreign: str = ""  # evidence that the rows are of another place; empty without any

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.days.values())


Received = Mapping[str, ReceivedFile]  # the landed files of a city by path

_RECEIVED: Final = TypeAdapter(dict[str, ReceivedFile])


def read_received(store: Store, city: str) -> dict[str, ReceivedFile]:
    """Return the landed files of a city as they were last read; none before the first reading."""
    return dict(store.read_index(RECEIVED, city, _RECEIVED.validate_json) or {})


@lru_cache(maxsize=100_000)  # sensors ask for the days of all files every few seconds
def corrected_day(path: str) -> date | None:
    """Return the day that a correction's name holds; None for other files."""
    found = CORRECTION.search(PurePosixPath(path).stem)
    with suppress(ValueError):
        return None if found is None else date.fromisoformat(found[1])
    return None


@lru_cache(maxsize=100_000)
def named_day(path: str, form: str | None) -> date | None:
    """Return the day in the name of a correction, or of a file in the form of the source; raise ValueError without it."""
    day = corrected_day(path)
    return datetime.strptime(PurePosixPath(path).stem, form).date() if day is None and form is not None else day


def is_set_aside(path: str, file: ReceivedFile, city: City) -> bool:
    """Return True if a file is probably of another zone or place, and nobody has acknowledged it."""
    return bool(file.shifted or file.foreign) and PurePosixPath(path).name not in city.acknowledged_files


def unusable_files(files: Received, city: City) -> dict[str, str]:
    """Return reasons why files are not used in their present version, by path."""
    why = {path: file.error for path, file in sorted(files.items()) if file.error}
    for path, file in sorted(files.items()):
        if is_set_aside(path, file, city):
            entry = f"`acknowledged: [{{file: {PurePosixPath(path).name}, by: NAME, on: DATE}}]`"
            remedy = f"Replace or remove the file; or, if its rows are right, add {entry} to the city's file."
            set_aside = f"City {city.name}: {path} is set aside: {file.shifted or file.foreign}. {remedy}"
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
    """Return the files of a folder with the evidence that some are of another place.

    Most of such a file's rows lie further from the city's box than it is wide or high, where no sensor of the city hears,
    while most rows of another file lie within the box. Without such a file, the box is wrong rather than the rows.
    """
    has_own = any(file.places.points and 2 * file.places.outside <= file.places.points for file in files.values())
    judged = {}
    for path, file in files.items():
        places, foreign = file.places, ""
        if has_own and places.far >= MIN_FAR_ROWS and places.far > MIN_FAR_SHARE * places.points:
            far = f"{places.far:,} of {places.points:,} rows lie further from the city's box than it is wide or high"
            foreign = f"{far}, so they are probably of another place"
        judged[path] = file.model_copy(update={"foreign": foreign})
    return judged


def by_receipt(files: Received) -> dict[str, ReceivedFile]:
    """Return files in the order in which they were received."""
    return dict(sorted(files.items(), key=lambda item: (item[1].received, item[0])))


def used_files(files: Received, city: City, meaning: str) -> dict[str, ReceivedFile]:
    """Return the used files by receipt: read with the present `meaning`, a version's ending, and not set aside."""
    is_read = {path: file for path, file in by_receipt(files).items() if file.rows_from.endswith(meaning)}
    return {path: file for path, file in is_read.items() if not is_set_aside(path, file, city)}


def used_days(used: Received) -> dict[date, dict[str, tuple[str, int]]]:
    """Return version and number of each day's used rows by path.

    A correction replaces the rows of all other files. Of files with equal rows of a day, the first one stands for all.
    """
    corrections = {corrected_day(path): path for path in used}
    days: dict[date, dict[str, tuple[str, int]]] = {}
    for path, file in used.items():
        for day, rows in file.days.items():
            if corrections.get(day, path) == path and rows not in days.setdefault(day, {}).values():
                days[day][path] = rows
    return days


def write_received(store: Store, city: str, before: Received, files: Received) -> None:
    """Apply the differences between two readings; remove rows that no file uses any more."""
    changed = {path: file for path, file in files.items() if before.get(path) != file}
    unused = set[StoredTable]()

    def applied(stored: dict[str, ReceivedFile] | None) -> bytes:
        stored = stored or {}
        after = {path: file for path, file in stored.items() if path in files or path not in before} | changed
        used = {_rows_file(path, file.rows_from).file for path, file in after.items()}
        tables = {_rows_file(path, file.rows_from) for path, file in stored.items() if file.rows_from}
        unused.clear()
        unused.update(table for table in tables if table.file not in used)
        return _RECEIVED.dump_json(after)

    store.update(RECEIVED, city, _RECEIVED.validate_json, applied)
    for rows in unused:
        store.delete(rows, city)


def write_rows(store: Store, city: str, path: str, version: str, rows: pa.Table) -> dict[date, tuple[str, int]]:
    """Keep the rows (`RAW_SCHEMA`) of a file; return version and number of rows by day."""
    store.write_table(_rows_file(path, version), rows.rename_columns(ARRIVED_ROWS.schema.names), city)
    return {day: origins[path] for day, origins in rows_by_origin(rows).items()}


def read_rows(store: Store, city: str, path: str, file: ReceivedFile) -> pa.Table:
    """Return the used rows of a file, `RAW_SCHEMA`; raise SourceError if they were replaced or are lost."""
    try:
        rows = store.read_table(_rows_file(path, file.rows_from), city)
    except (MissingObjectError, CorruptObjectError):
        if read_received(store, city).get(path) == file:
            write_received(store, city, {path: file}, {})
        raise LostRowsError(
            f"City {city}: the kept rows of {path} are lost, and it is read again. Run again."
        ) from None
    return rows.rename_columns(RAW_ROWS.schema.names)


def _rows_file(path: str, version: str) -> StoredTable:
    return ARRIVED_ROWS.named(hash=sha256(path, version)[:20])


def first_holders(files: Received) -> dict[tuple[date, str], str]:
    """Return the file that first held the rows of a day and version; no correction, which repeats what it replaces."""
    uncorrected = [path for path in reversed(by_receipt(files)) if corrected_day(path) is None]
    return {(day, version): path for path in uncorrected for day, (version, _) in files[path].days.items()}


def shift_of(file: ReceivedFile, path: str, holders: Mapping[tuple[date, str], str], shifted: Mapping[str, str]) -> str:
    """Return the evidence of shifted times against a file, or against the first holder of most of its rows."""
    rows_of = Counter[str]()
    for day, (version, number) in file.days.items():
        rows_of[holders.get((day, version), path)] += number
    likely = [holder for holder, rows in rows_of.items() if rows >= MIN_SHIFTED_SHARE * file.rows]
    return next((shifted[holder] for holder in [path, *likely] if holder in shifted), "")


def shifted_files(tables: Mapping[str, pa.Table], files: Received) -> dict[str, str]:
    """Return evidence against files whose rows repeat those of files received before, a whole number of hours off.

    Args:
        tables: Rows by path, each day and version only once (`first_holders`).
        files: The files.
    """
    import pandas as pd

    columns = ["time_utc", "longitude", "latitude", "gunshot_type"]
    frames = [table.select(columns).to_pandas().assign(file=path) for path, table in tables.items() if table.num_rows]
    if len(frames) < 2:
        return {}
    rows = pd.concat(frames, ignore_index=True).dropna(subset=columns[:3])
    seconds = rows["time_utc"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    rows[["longitude", "latitude"]] = rows[["longitude", "latitude"]].round(5)
    keys = [rows["longitude"], rows["latitude"], rows["gunshot_type"].fillna(""), seconds % 3600]
    code = rows.groupby(keys, sort=False).ngroup().to_numpy() * HOURS_OF_TIME + seconds // 3600
    own, names = pd.factorize(rows["file"])
    of_code = pd.DataFrame({"code": code, "file": own}).groupby("code")["file"].agg(["min", "max"])

    def other_file(hours: int) -> npt.NDArray[np.int64]:
        """Return the number of another file that has each row so many hours earlier, -1 for none; shape (rows,)."""
        at = np.minimum(np.searchsorted(of_code.index, code - hours), len(of_code) - 1)
        least, most = (of_code[name].to_numpy()[at] for name in ("min", "max"))
        other = np.where(least != own, least, most)
        return np.where((of_code.index.to_numpy()[at] == code - hours) & (other != own), other, -1)

    is_repeated = other_file(0) >= 0
    suspects: dict[str, tuple[int, str, int]] = {}
    for hours in (*range(-MAX_SHIFT_HOURS, 0), *range(1, MAX_SHIFT_HOURS + 1)):
        other = np.where(is_repeated, -1, other_file(hours))
        pairs, counts = np.unique(np.stack([own, other])[:, other >= 0], axis=1, return_counts=True)
        for (at, other_at), shifted in zip(pairs.T, counts.tolist(), strict=True):
            path = names[at]
            if shifted >= MIN_SHIFTED_ROWS and shifted >= MIN_SHIFTED_SHARE * files[path].rows:
                suspects[path] = max(suspects.get(path, (0, "", 0)), (shifted, names[other_at], hours))
    return {
        path: f"{shifted:,} of {files[path].rows:,} rows repeat rows of {PurePosixPath(other).name} {abs(hours)} hours "
        f"{'later' if hours > 0 else 'earlier'}, so its times are probably in another zone"
        for path, (shifted, other, hours) in suspects.items()
        if other not in suspects or (files[path].received, path) > (files[other].received, other)
    }


def overlapping(files: Received, paths: Collection[str]) -> set[str]:
    """Return `paths` and the files with rows on a day of one of them, or on the day before or after."""
    days = {day.toordinal() + more for path in paths for day in files[path].days for more in (-1, 0, 1)}
    return {path for path, file in files.items() if path in paths or any(day.toordinal() in days for day in file.days)}
