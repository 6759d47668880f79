"""What the readers of file formats share: their signature, and the errors that name the file and the remedy."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.protocol import SourceError

Interval = tuple[datetime, datetime]
"""Start and end (excluded), in UTC."""

Chunks = Iterator[tuple[pa.Table, int]]
"""Tables with the source's own column names, each with the number of its first row within the file. A text format
adds the column `raw_rows.BROKEN` for lines that do not parse: their text, null for sound lines."""

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
    """The error of a file whose content is not what its ending says."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return SourceError(
        f"City {city.name}: {path} cannot be read as {expected} ({reason}). "
        "If its transfer is not over, wait and run again; else replace the file or move it out of the landing folder."
    )
