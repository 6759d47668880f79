"""The rows of one landed file, filed under local days."""

from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.landing.formats import FORMATS, refuse_large_file, refuse_many_rows
from shotspotter_assets.sources.landing.text_formats import WrongContentError
from shotspotter_assets.sources.raw_rows import to_raw


class LandedFile(NamedTuple):
    """One file of the landing folder, and the local days of its rows."""

    path: str
    """As the rows name it (`received_from`)."""
    modified: datetime
    named_day: date | None
    """The day in the file's name, where the city's file says that names have one (`file_date`)."""
    filing_day: date
    """The day of rows without a usable date: the day in the name, kept within the city's days, else the first day."""
    plausible_days: tuple[date, date]
    """First and last local day that a row's own time may name; other rows are filed under `filing_day`."""


def read_rows(content: Path, file: LandedFile, city: City, source: LandingSource, days: tuple[date, date]) -> pa.Table:
    """The rows of a file that are filed under the days (first and last), as `RAW_SCHEMA`.

    Args:
        content: local path with the content of the file.

    Raises:
        SourceError: the file cannot be read, cannot be understood, or exceeds the city's limits.
    """
    kind = FORMATS[PurePosixPath(file.path).suffix.lower()]
    try:
        refuse_large_file(content.stat().st_size, city.limits)
        table = kind.read(content, source)
        refuse_many_rows(table.num_rows, city.limits.max_rows)
    except WrongContentError as error:
        text = str(error)
        raise SourceError(f"City {city.name}: {file.path}{'' if text.startswith('has ') else ':'} {text}") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a library makes of a foreign file
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise SourceError(
            f"City {city.name}: {file.path} cannot be read as {kind.name} ({reason}). If its transfer is not over, wait and "
            "run again; else replace the file or move it out of the landing folder."
        ) from None
    rows = to_raw(table, 0, city, source, file.path, file.modified, file.filing_day, file.plausible_days)
    first, last = (pa.scalar(day) for day in days)
    return rows.filter((pa.compute.field("date") >= first) & (pa.compute.field("date") <= last))
