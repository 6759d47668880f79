"""Excel workbooks of the landing folder."""

import io
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.file_readers import Chunks, Interval, own_columns, require_columns, unreadable
from shotspotter_assets.sources.protocol import SourceError


def read_xlsx(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """One sheet of an Excel workbook, whose first row has the names; all columns as text. Empty rows do not count."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with filesystem.open_input_stream(path) as stream:
            book = CalamineWorkbook.from_filelike(io.BytesIO(stream.read()))
        if source.sheet is not None and source.sheet not in book.sheet_names:
            raise SourceError(
                f"City {city.name}: {path} has no sheet {source.sheet!r} (source.sheet); it has: "
                f"{', '.join(book.sheet_names)}. Correct source.sheet in the city's file, or the file."
            )
        header, *rows = book.get_sheet_by_name(source.sheet or book.sheet_names[0]).to_python() or [[]]
    except (CalamineError, OSError, IndexError) as error:
        raise unreadable(city, path, "an Excel workbook (XLSX)", error) from None
    rows = [row for row in rows if any(value != "" for value in row)]
    names = [_cell(value) or "" for value in header]
    require_columns(city, path, source, names)
    positions = {name: names.index(name) for name in own_columns(source)}
    yield (
        pa.table(
            {name: pa.array([_cell(row[column]) for row in rows], pa.string()) for name, column in positions.items()}
        ),
        0,
    )


def _cell(value: Any) -> str | None:
    """The text of a cell; Excel has no whole numbers, and the time of day is a length of time in some."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return None if value is None or value == "" else str(value)
