"""What the readers of file formats share: their signature, and the errors that name the file and the remedy."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import IO, Final

import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.limits import MEGABYTE
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.protocol import SourceError

Interval = tuple[datetime, datetime]
"""Start and end (excluded), in UTC."""

Chunks = Iterator[tuple[pa.Table, int]]
"""Tables with the source's own column names, each with the number of its first row within the file. A text format
adds the column `raw_rows.BROKEN` for lines that do not parse: their text, null for sound lines."""

MIN_SUSPECT_BYTES: Final = 16 * MEGABYTE
"""A part of an archive that is no larger may be compressed by any ratio."""

FileReader = Callable[[fs.FileSystem, str, City, LandingSource, Interval | None], Chunks]
"""Reads one file: (filesystem, path, city, source, interval whose rows are wanted or None for all) -> chunks."""


def own_columns(source: LandingSource) -> list[str]:
    """The source's own names, each once."""
    return list(dict.fromkeys(source.columns.named().values()))


def require_columns(city: City, path: str, source: LandingSource, present: Iterable[str]) -> None:
    """Raise unless each column that the city's file names is there, and once."""
    present = list(present)
    named = source.columns.named()
    missing = [f"{theirs} (source.columns.{ours})" for ours, theirs in named.items() if theirs not in present]
    if missing:
        raise missing_columns(city, path, missing, present)
    repeated = [theirs for theirs in named.values() if present.count(theirs) > 1]
    if repeated:
        raise SourceError(
            f"City {city.name}: {path} has more than one column {', '.join(repeated)}. Rename or remove one."
        )


def missing_columns(city: City, path: str, missing: Iterable[str], present: Iterable[str]) -> SourceError:
    """The error of a file without some of the columns that the city's file names."""
    return SourceError(
        f"City {city.name}: {path} has no column {', '.join(missing)}; it has: {', '.join(sorted(present))}. "
        "Correct source.columns in the city's file, or the file."
    )


def unreadable(city: City, path: str, expected: str, error: Exception) -> SourceError:
    """The error of a file whose content is not what its ending says.

    Raises:
        MemoryError: it was one, which says nothing of the content.
    """
    if isinstance(error, MemoryError):
        raise error
    return _unread(city, path, f" as {expected}", str(error) or type(error).__name__)


def broken(city: City, path: str, error: Exception) -> SourceError:
    """The error of a file of which a library made something that no reader expects."""
    return _unread(city, path, "", f"{type(error).__name__}: {error}")


def beyond_limit(city: City, path: str, declared: str, limit: str) -> SourceError:
    """The error of a file that says itself that it is larger than the city's limit of this name."""
    return SourceError(
        f"City {city.name}: {path} declares {declared}; the limit is {getattr(city.limits, limit):,}. Raise limits.{limit} in "
        "the city's file, or split the file."
    )


def refuse_large_file(city: City, path: str, size: int) -> None:
    """Raise if a file has more bytes than the city's limit."""
    if size > city.limits.expanded_bytes():
        raise beyond_limit(city, path, f"{size / MEGABYTE:,.0f} MB", "max_expanded_mb")


def refuse_many(city: City, path: str, rows: int, columns: int) -> None:
    """Raise if a table has more rows or columns than the city's limits."""
    declared = f"{rows:,} rows x {columns:,} columns"
    if rows > city.limits.max_rows:
        raise beyond_limit(city, path, declared, "max_rows")
    if columns > city.limits.max_columns:
        raise beyond_limit(city, path, declared, "max_columns")


def open_archive(city: City, path: str, content: IO[bytes]) -> zipfile.ZipFile:
    """A zip archive whose parts declare no more than the city's limits; what they are read to is never more than that.

    Raises:
        SourceError: a part declares more.
        zipfile.BadZipFile: it is no zip archive.
    """
    archive = zipfile.ZipFile(content)
    parts = archive.infolist()
    expanded = sum(part.file_size for part in parts)
    if expanded > city.limits.expanded_bytes():
        raise beyond_limit(city, path, f"{expanded / MEGABYTE:,.0f} MB in its parts", "max_expanded_mb")
    for part in parts:
        ratio = part.file_size / max(part.compress_size, 1)
        if part.file_size > MIN_SUSPECT_BYTES and ratio > city.limits.max_ratio:
            declared = f"{part.file_size / MEGABYTE:,.0f} MB in its part {part.filename!r}, {ratio:,.0f} times its compressed size"
            raise beyond_limit(city, path, declared, "max_ratio")
    return archive


def _unread(city: City, path: str, expected: str, reason: str) -> SourceError:
    return SourceError(
        f"City {city.name}: {path} cannot be read{expected} ({reason.splitlines()[0]}). "
        "If its transfer is not over, wait and run again; else replace the file or move it out of the landing folder."
    )
