"""Excel workbooks of the landing folder."""

import io
import re
import zipfile
import zlib
from datetime import date, datetime, time
from typing import Any, Final
from xml.etree import ElementTree

import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.limits import MEGABYTE
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.file_readers import (
    Chunks,
    Interval,
    beyond_limit,
    open_archive,
    own_columns,
    refuse_many,
    require_columns,
    unreadable,
)
from shotspotter_assets.sources.protocol import SourceError

MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATION: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORKBOOK: Final = "xl/workbook.xml"
RELATIONS: Final = "xl/_rels/workbook.xml.rels"

CELL: Final = re.compile(rb"""<(?:\w+:)?c\s[^<>]*?\br\s*=\s*["']([A-Za-z]+)(\d+)["'][^<>]*?(?<!/)>""")
"""A cell with something in it, not only a style: column and row."""
ROW: Final = re.compile(rb"""<(?:\w+:)?row\s[^<>]*?\br\s*=\s*["'](\d+)["'][^<>]*?(?<!/)>""")


WITHOUT_PLACE: Final = re.compile(rb"""<(?:\w+:)?(?:c|row)(?=[\s>])(?![^<>]*?\sr\s*=)[^<>]*(?<!/)>""")
"""A cell or row that does not say where it is: at the beginning, or after the one before."""


def read_xlsx(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """One sheet of an Excel workbook, whose first row has the names; all columns as text. Empty rows do not count."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with filesystem.open_input_stream(path) as stream:
            content = io.BytesIO(stream.read())
        if zipfile.is_zipfile(content):
            with open_archive(city, path, content) as archive:
                _refuse_wide_sheet(city, path, archive, source.sheet)
            content.seek(0)
        book = CalamineWorkbook.from_filelike(content)
        if source.sheet is not None and source.sheet not in book.sheet_names:
            raise SourceError(
                f"City {city.name}: {path} has no sheet {source.sheet!r} (source.sheet); it has: "
                f"{', '.join(book.sheet_names)}. Correct source.sheet in the city's file, or the file."
            )
        header, *rows = book.get_sheet_by_name(source.sheet or book.sheet_names[0]).to_python() or [[]]
    except (CalamineError, zipfile.BadZipFile, zlib.error, ElementTree.ParseError, OSError, IndexError) as error:
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


def _refuse_wide_sheet(city: City, path: str, archive: zipfile.ZipFile, sheet: str | None) -> None:
    """Raise if the range of the sheet's cells is too large: its reader has a place for each cell of the range.

    The dimension that a sheet states itself is not looked at, as programs write the largest there is.
    """
    member = _sheet_member(archive, sheet)
    if member is None:
        return
    rows: set[int] = set()
    columns: set[bytes] = set()
    with archive.open(member) as stream:
        rest = b""
        while part := stream.read(MEGABYTE):
            whole, mark, rest = (rest + part).rpartition(b"<")
            rest = mark + rest
            cells = CELL.findall(whole)
            columns.update(letters.upper() for letters, _ in cells)
            if WITHOUT_PLACE.search(whole):
                columns.add(b"A")
                rows.add(1)
            numbers = {int(digits) for digits in {*ROW.findall(whole), *(digits for _, digits in cells)}}
            rows = {row for extent in (rows, numbers) if extent for row in (min(extent), max(extent))}
    if rows and columns:
        numbers = {_column_number(letters) for letters in columns}
        height, width = max(rows) - min(rows) + 1, max(numbers) - min(numbers) + 1
        if height * width > city.limits.max_cells:
            raise beyond_limit(city, path, f"{height:,} rows x {width:,} columns", "max_cells")
        refuse_many(city, path, height, width)


def _sheet_member(archive: zipfile.ZipFile, sheet: str | None) -> str | None:
    """The part of the workbook that has the sheet, the first one if it is not named; None in other kinds of workbook."""
    if not {WORKBOOK, RELATIONS} <= set(archive.namelist()):
        return None
    # Expat refuses entities that multiply, and the process of the readers has limits.
    workbook, relations = (ElementTree.fromstring(archive.read(part)) for part in (WORKBOOK, RELATIONS))  # noqa: S314
    sheets = workbook.iter(f"{{{MAIN}}}sheet")
    chosen = next((found for found in sheets if sheet in (None, found.get("name"))), None)
    if chosen is None:
        return None
    targets = {found.get("Id"): found.get("Target", "") for found in relations}
    target = targets.get(chosen.get(f"{{{RELATION}}}id"), "")
    member = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    return member if member in archive.namelist() else None


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _cell(value: Any) -> str | None:
    """The text of a cell; Excel has no whole numbers, and the time of day is a length of time in some."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return None if value is None or value == "" else str(value)
