"""Landed files as tables with the source's own column names; each format is a function and a row of `FORMATS`."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from shotspotter_assets.alerts.sources.raw_rows import BROKEN, LINE, table_of_rows
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings, Row
from shotspotter_assets.cities.box import WGS84
from shotspotter_assets.storage.arrays import Integers

BLANK: Final = "__blank__"  # flag of lines without any value
BLOCK_BYTES: Final = 64 * 2**20  # maximum of a line; Arrow's default of 1 MB refuses files with one long line
HEAD_BYTES: Final = 64 * 2**10  # maximum of the header line
OTHER_TYPES: Final = (pa.types.is_nested, pa.types.is_binary, pa.types.is_fixed_size_binary)
REQUIRED: Final = ("time", "time_of_day", "longitude", "latitude")  # columns of at least one row of JSON


def read_csv(path: Path, source: LandingSettings) -> pa.Table:
    """Read a CSV file with a header line, with comma, semicolon, tab or bar, in UTF-8 or Windows-1252, as text.

    Lines without any value do not count.
    """
    whole = path.read_bytes()
    content = whole.lstrip(b"\r\n")
    encoding = "utf-8"
    try:
        content.decode()
    except UnicodeDecodeError:
        encoding = "cp1252"
    head = content[:HEAD_BYTES].decode(encoding, "ignore").removeprefix("\ufeff")
    headers = {mark: next(csv.reader(io.StringIO(head, newline=""), delimiter=mark), []) for mark in ",;\t|"}
    delimiter = max(headers, key=lambda mark: len(headers[mark]))
    broken: dict[int, str] = {}

    def keep(row: arrow_csv.InvalidRow) -> str:
        broken[row.number] = row.text
        return "skip"

    texts = dict.fromkeys(headers[delimiter], pa.string())
    table = arrow_csv.read_csv(
        pa.BufferReader(content),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep
        ),
        convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=True),
    )
    _require_columns(source, table.column_names)
    columns = _own_columns(source, table.column_names)
    _refuse_swallowed_lines(pa.chunked_array([pa.array(broken.values(), pa.string())]), delimiter, 0)
    breaks = np.zeros(table.num_rows, dtype=np.int64)
    is_blank = np.ones(table.num_rows, dtype=bool)
    for name in table.column_names:
        breaks += pc.count_substring(table[name], "\n").fill_null(0).to_numpy()
        is_blank &= table[name].is_null().to_numpy()
        # Addresses and notes may have line breaks; a swallowed line has as many separators as any line.
        _refuse_swallowed_lines(table[name], delimiter, 0 if name in columns else table.num_columns - 1)
    fitting = table.select(columns).append_column(BROKEN, pa.nulls(table.num_rows, pa.string()))
    first_line = 2 + whole[: len(whole) - len(content)].count(b"\n") + "".join(table.column_names).count("\n")
    return _in_order_of_file(fitting.append_column(BLANK, pa.array(is_blank)), broken, breaks, first_line)


def _in_order_of_file(fitting: pa.Table, broken: Mapping[int, str], breaks: Integers, first_line: int) -> pa.Table:
    """Return rows in order with the lines on which they begin (`LINE`), without blank ones.

    Args:
        fitting: Rows that fit the header.
        broken: Texts of rows that do not, by their number among all rows; that of the header is 1.
        breaks: Line breaks within each fitting row.
        first_line: Line of the first row after the header.
    """
    texts = pa.table({BROKEN: pa.array(broken.values(), pa.string())})
    rows = pa.concat_tables([fitting, texts], promote_options="default")
    broken_at = np.array(list(broken), dtype=np.int64) - 2
    order = np.argsort(np.concatenate([np.delete(np.arange(rows.num_rows), broken_at), broken_at]))
    breaks = np.concatenate([breaks, [text.count("\n") for text in broken.values()]])[order].astype(np.int64)
    lines = first_line + np.arange(len(order)) + np.cumsum(breaks) - breaks
    rows = (rows.take(order) if broken else rows).append_column(LINE, pa.array(lines))
    return rows.filter(pc.invert(rows[BLANK].fill_null(False))).drop_columns(BLANK)


def _refuse_swallowed_lines(column: pa.ChunkedArray, delimiter: str, separators_per_line: int) -> None:
    """Raise ValueError if an unclosed quote has made the lines after it part of one field."""
    breaks = pc.count_substring(column, "\n")
    enough = pc.greater_equal(pc.count_substring(column, delimiter), pc.multiply(breaks, separators_per_line))
    swallowed = column.filter(pc.and_(pc.greater(breaks, 0), enough))
    if len(swallowed):
        begins = f"{swallowed[0].as_py()[:80]!r}"
        raise ValueError(f"a quote is not closed; the lines after it are taken for one field, which begins {begins}")


def read_json_lines(path: Path, source: LandingSettings) -> pa.Table:
    """Read a file with one JSON object per line; blank lines do not count."""
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    texts = {number: line for number, line in enumerate(lines, 1) if line.strip()}
    rows = _json_table([_json_object(line) for line in texts.values()], source)
    return rows.append_column(LINE, pa.array(texts.keys(), pa.int64()))


def _json_object(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else {BROKEN: line}


def read_geojson(path: Path, source: LandingSettings) -> pa.Table:
    """Read a GeoJSON FeatureCollection; point geometries give coordinates that properties lack."""
    features = json.loads(path.read_bytes().decode("utf-8-sig"))["features"]
    rows: list[Row] = [dict(feature["properties"] or {}) for feature in features]
    for row, feature in zip(rows, features, strict=True):
        geometry = feature.get("geometry") or {}
        point = geometry["coordinates"] if geometry.get("type") == "Point" else ()
        for name, coordinate in zip((source.columns.longitude, source.columns.latitude), point, strict=False):
            if name is not None and row.get(name) is None:
                row[name] = coordinate
    return _json_table(rows, source)


def _json_table(rows: Sequence[Row], source: LandingSettings) -> pa.Table:
    present = dict.fromkeys(key for row in rows for key in row if key != BROKEN)
    columns = _own_columns(source, list(present))
    table = table_of_rows(rows, [*columns, BROKEN])
    absent = {name for name in columns if table[name].null_count == table.num_rows} - present.keys()
    if present:
        _require(source, [name for name in REQUIRED if source.columns.named().get(name) in absent], present)
    return table


def read_parquet(path: Path, source: LandingSettings) -> pa.Table:
    """Read the columns of a Parquet file that the city's file names: text, numbers or times."""
    schema = pq.read_schema(path)
    _require_columns(source, schema.names)
    columns = _own_columns(source, [field.name for field in schema if not _is_other(field.type)])
    for field in map(schema.field, columns):
        if _is_other(field.type):
            raise ValueError(f"the column {field.name} is of the type {field.type}, not text, number or time")
    return pq.ParquetFile(path).read(columns=columns)


def _is_other(kind: pa.DataType) -> bool:
    return any(is_of_kind(kind) for is_of_kind in OTHER_TYPES)


def read_xlsx(path: Path, source: LandingSettings) -> pa.Table:
    """Read one sheet of an Excel workbook, whose first row has the names, as text without empty rows."""
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(str(path))
    if source.sheet is not None and source.sheet not in book.sheet_names:
        raise ValueError(f"it has no sheet {source.sheet!r} (source.sheet); it has: {', '.join(book.sheet_names)}")
    sheet = book.get_sheet_by_name(source.sheet or book.sheet_names[0])
    if sheet.start is None:
        raise ValueError("it is empty")
    header, *rows = sheet.to_python()
    names = [_cell(value) or "" for value in header]
    _require_columns(source, names)
    filled = {number: row for number, row in enumerate(rows, sheet.start[0] + 2) if any(value != "" for value in row)}
    positions = {name: names.index(name) for name in _own_columns(source, names)}
    cells = {
        name: pa.array([_cell(row[position]) for row in filled.values()], pa.string())
        for name, position in positions.items()
    }
    return pa.table(cells | {LINE: pa.array(filled.keys(), pa.int64())})


def _cell(value: Any) -> str | None:
    """Return the text of a cell; Excel has no whole numbers, and some times of day are a length of time."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return None if value is None or value == "" else str(value)


def read_shapefile(path: Path, source: LandingSettings) -> pa.Table:
    """Read the one shapefile of a zip archive; points, in the source's `crs` or WGS84, give coordinates that columns lack."""
    import pyogrio

    with zipfile.ZipFile(path) as archive:
        layers = [name for name in archive.namelist() if name.lower().endswith(".shp") and "__MACOSX" not in name]
    if len(layers) != 1:
        raise ValueError(f"it holds {len(layers)} .shp files")
    shapes = pyogrio.read_dataframe(f"/vsizip/{{{path.absolute()}}}/{layers[0]}")
    geometry = shapes.geometry if shapes.crs is None else shapes.geometry.to_crs(source.crs or WGS84)
    points = geometry.where(geometry.geom_type == "Point")
    places = {source.columns.longitude: points.x, source.columns.latitude: points.y}
    shapes = shapes.drop(columns=geometry.name)
    for name, degrees in places.items():
        if name is not None and name not in shapes.columns:
            shapes[name] = degrees
    _require_columns(source, list(shapes.columns))
    return pa.Table.from_pandas(shapes[_own_columns(source, list(shapes.columns))], preserve_index=False)


def _own_columns(source: LandingSettings, present: Sequence[str]) -> list[str]:
    """Return the columns that the city's file names; if it names none, those that the file has once."""
    named = dict.fromkeys(source.columns.named().values())
    return list(named) or [name for name in present if name and present.count(name) == 1]


def _require_columns(source: LandingSettings, present: Sequence[str]) -> None:
    named = source.columns.named()
    _require(source, [ours for ours, theirs in named.items() if theirs not in present], present)
    repeated = [theirs for theirs in named.values() if present.count(theirs) > 1]
    if repeated:
        raise ValueError(f"it has more than one column {', '.join(repeated)}")


def _require(source: LandingSettings, missing: Sequence[str], present: Collection[str]) -> None:
    if missing:
        named = source.columns.named()
        texts = [f"{named[ours]} (source.columns.{ours})" for ours in missing]
        raise ValueError(f"it has no column {', '.join(texts)}; it has: {', '.join(sorted(present))}")


FORMATS: Final[dict[str, tuple[Callable[[Path, LandingSettings], pa.Table], str]]] = {
    ".parquet": (read_parquet, "a Parquet file"),
    **dict.fromkeys((".csv", ".tsv", ".txt"), (read_csv, "a CSV file with a header line")),
    **dict.fromkeys((".jsonl", ".ndjson"), (read_json_lines, "a file of JSON lines in UTF-8")),
    ".geojson": (read_geojson, "a GeoJSON FeatureCollection"),
    ".xlsx": (read_xlsx, "an Excel workbook (XLSX)"),
    ".zip": (read_shapefile, "a zip archive with one shapefile (.shp, .shx, .dbf, .prj)"),
}
"""Readers, which raise their library's errors, and names of formats by file ending."""
