"""One reader per file format of the landing folder: bytes to a table of the columns that the city's file names."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv, fs

from shotspotter_assets.cities.model import City
from shotspotter_assets.cities.sources import LandingSource
from shotspotter_assets.sources.protocol import SourceError

Interval = tuple[datetime, datetime]
"""First instant and first instant after, in UTC."""

Chunks = Iterator[tuple[pa.Table, int]]
"""Tables with the source's own column names, each with the number of its first row within the file. A text format
adds the column `BROKEN` for lines that do not parse: their text, null for sound lines."""

Reader = Callable[[fs.FileSystem, str, City, Interval | None], Chunks]

BROKEN = "__broken_line__"

CSV_BLOCK_BYTES = 64 * 2**20
"""A line must fit into one block; the default of 1 MB refuses files with one long line."""


def read_parquet(filesystem: fs.FileSystem, path: str, city: City, interval: Interval | None) -> Chunks:
    """Row groups of a Parquet file, without those whose statistics rule out the interval."""
    columns = list(_columns(city).values())
    try:
        with filesystem.open_input_file(path) as handle:
            file = pq.ParquetFile(handle, pre_buffer=True)
            _require_columns(city, path, file.schema_arrow.names)
            # Statistics are of leaf columns, which differ in number from the file's columns where one is nested.
            leaves = [file.schema.column(at).path for at in range(len(file.schema))]
            time_at = leaves.index(_columns(city)["time"])
            first_row = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if interval is None or _may_overlap(
                    file.metadata.row_group(group).column(time_at).statistics, interval
                ):
                    yield file.read_row_group(group, columns=columns), first_row
                first_row += rows
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(city, path, "a Parquet file", error) from None


def read_csv(filesystem: fs.FileSystem, path: str, city: City, _interval: Interval | None) -> Chunks:
    """A CSV file with a header line, all columns as text."""
    broken: list[csv.InvalidRow] = []

    def keep(row: csv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    text = {column: pa.string() for column in _columns(city).values()}
    try:
        with filesystem.open_input_stream(path) as stream:
            table = csv.read_csv(
                stream,
                # Row numbers of broken lines are only known when one thread reads.
                read_options=csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
                parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
                convert_options=csv.ConvertOptions(column_types=text, strings_can_be_null=True),
            )
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(city, path, "a CSV file with a header line", error) from None
    _require_columns(city, path, table.column_names)
    table = table.select(list(text)).append_column(BROKEN, pa.nulls(table.num_rows, pa.string()))
    lines = pa.table({column: pa.nulls(len(broken), pa.string()) for column in text})
    lines = lines.append_column(BROKEN, pa.array([row.text for row in broken], pa.string()))
    for part, first_row in ((table, 0), (lines, table.num_rows)):
        _refuse_swallowed_lines(city, path, part)
        yield part, first_row


def read_json_lines(filesystem: fs.FileSystem, path: str, city: City, _interval: Interval | None) -> Chunks:
    """A file with one JSON object per line; blank lines do not count."""
    rows: list[dict[str, Any]] = []
    try:
        with filesystem.open_input_stream(path) as stream:
            lines = [line for line in stream.read().decode("utf-8-sig").split("\n") if line.strip()]
    except (UnicodeDecodeError, OSError) as error:
        raise _unreadable(city, path, "a file of JSON lines in UTF-8", error) from None
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        rows.append(row if isinstance(row, dict) else {BROKEN: line})
    yield _as_table(city, path, rows), 0


def read_geojson(filesystem: fs.FileSystem, path: str, city: City, _interval: Interval | None) -> Chunks:
    """A GeoJSON FeatureCollection; a point geometry gives longitude and latitude where the properties do not."""
    columns = _columns(city)
    try:
        with filesystem.open_input_stream(path) as stream:
            features = json.loads(stream.read())["features"]
        rows = [_with_point(feature, columns) for feature in features]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise _unreadable(city, path, "a GeoJSON FeatureCollection", error) from None
    yield _as_table(city, path, rows), 0


READERS: dict[str, Reader] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".geojson": read_geojson,
}
"""The reader of each ending."""


def _columns(city: City) -> dict[str, str]:
    assert isinstance(city.source, LandingSource)
    return city.source.columns.named()


def _with_point(feature: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """A feature's properties; where they do not give longitude and latitude, its point does."""
    row = dict(feature["properties"] or {})
    geometry = feature.get("geometry") or {}
    if geometry.get("type") == "Point" and len(geometry.get("coordinates") or ()) >= 2:
        for at, name in enumerate((columns["longitude"], columns["latitude"])):
            if row.get(name) is None:
                row[name] = geometry["coordinates"][at]
    return row


def _refuse_swallowed_lines(city: City, path: str, table: pa.Table) -> None:
    """An unmatched quote makes the lines that follow part of one field or broken line, and so lost."""
    for name in table.column_names:
        swallowed = pc.fill_null(pc.match_substring(table[name], "\n"), False)
        if pc.any(swallowed).as_py():
            start = table[name][pc.index(swallowed, True).as_py()].as_py()[:80]
            raise SourceError(
                f"City {city.name}: {path}: a quote is not closed, and the lines after it are taken for one field, which "
                f"begins {start!r}. Correct the line."
            )


def _as_table(city: City, path: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Text columns of JSON rows; a key may be absent from a row, but not from all of them."""
    sound = [row for row in rows if BROKEN not in row]
    if sound:
        _require_columns(city, path, set().union(*sound))
    names = [*_columns(city).values(), BROKEN]
    return pa.table({name: pa.array([_as_text(row.get(name)) for row in rows], pa.string()) for name in names})


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()


def _require_columns(city: City, path: str, present: Any) -> None:
    present = list(present)
    missing = [f"{theirs} (source.columns.{ours})" for ours, theirs in _columns(city).items() if theirs not in present]
    if missing:
        raise SourceError(
            f"City {city.name}: {path} has no column {', '.join(missing)}; it has: {', '.join(sorted(present))}. "
            "Correct source.columns in the city's file, or the file."
        )
    repeated = [theirs for theirs in _columns(city).values() if present.count(theirs) > 1]
    if repeated:
        raise SourceError(
            f"City {city.name}: {path} has more than one column {', '.join(repeated)}. Rename or remove one."
        )


def _may_overlap(statistics: pq.Statistics | None, interval: Interval) -> bool:
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, datetime):
        return True
    bounds = [
        moment if moment.tzinfo else moment.replace(tzinfo=interval[0].tzinfo)
        for moment in (statistics.min, statistics.max)
    ]
    return bool(bounds[0] < interval[1] and bounds[1] >= interval[0])


def _unreadable(city: City, path: str, expected: str, error: Exception) -> SourceError:
    return SourceError(
        f"City {city.name}: {path} cannot be read as {expected} ({str(error).splitlines()[0]}). "
        "If its transfer is not over, wait and run again; else replace the file or move it out of the landing folder."
    )
