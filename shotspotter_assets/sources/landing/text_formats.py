"""Text files as vendors write them: CSV with any separator and encoding, JSON lines, GeoJSON. All columns are text.

Lines that cannot be parsed are kept: the column `raw_rows.BROKEN` has their text and is null for good lines.
"""

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

import jmespath
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.raw_rows import BROKEN

BLOCK_BYTES: Final = 64 * 2**20
"""A line must fit into one block; Arrow's default of 1 MB refuses files with one long line."""

HEAD_BYTES: Final = 64 * 2**10
"""The header line must fit into this."""

DELIMITERS: Final = ",;\t|"

REQUIRED: Final = ("time", "time_of_day", "longitude", "latitude")
"""Columns that at least one row of JSON must have; publishers leave out the others where they are empty."""

WGS84: Final = ("CRS84", "EPSG::4326", "EPSG:4326")
"""Endings of the names of WGS84, the only system of GeoJSON (RFC 7946); older files may name another one."""

Row = dict[str, Any]


class WrongContentError(ValueError):
    """The file can be parsed, but its content cannot be used; the message says why, and the remedy."""


def read_csv(path: Path, source: LandingSource) -> pa.Table:
    """A CSV file with a header line, separated by comma, semicolon, tab or bar.

    The encoding is UTF-16 where the file begins with its mark, as in Excel's Unicode text. Otherwise it is UTF-8 if the
    whole file is valid UTF-8, and Latin-1 if not.
    """
    content = path.read_bytes()
    table, broken, delimiter = _parse(content, _encoding(content))
    require_columns(source, table.column_names)
    columns = own_columns(source)
    for name in table.column_names:
        # Addresses and notes may have line breaks; a swallowed line has as many separators as any line.
        separators = 0 if name in columns else table.num_columns - 1
        _refuse_swallowed_lines(table[name], delimiter, separators)
    lines = pa.chunked_array([pa.array(broken, pa.string())])
    _refuse_swallowed_lines(lines, delimiter, 0)
    parsed = table.select(columns).append_column(BROKEN, pa.nulls(table.num_rows, pa.string()))
    return pa.concat_tables([parsed, pa.table({BROKEN: lines})], promote_options="default")


def _encoding(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        content.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _parse(content: bytes, encoding: str) -> tuple[pa.Table, list[str], str]:
    """(good lines as text, broken lines, delimiter)."""
    broken: list[str] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    head = codecs.getincrementaldecoder(encoding)().decode(content[:HEAD_BYTES]).removeprefix("\ufeff")
    delimiter, names = _header(head)
    table = arrow_csv.read_csv(
        pa.BufferReader(content),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        ),
    )
    return table, broken, delimiter


def _header(head: str) -> tuple[str, Sequence[str]]:
    """The delimiter that gives the most columns, and their names."""
    names = {mark: next(csv.reader(io.StringIO(head, newline=""), delimiter=mark), []) for mark in DELIMITERS}
    delimiter = max(names, key=lambda mark: len(names[mark]))
    return delimiter, names[delimiter]


def _refuse_swallowed_lines(column: pa.ChunkedArray, delimiter: str, separators_per_line: int) -> None:
    """Raise where an unclosed quote has made the lines after it part of one field, which would lose them."""
    breaks = pc.count_substring(column, "\n")
    enough = pc.greater_equal(pc.count_substring(column, delimiter), pc.multiply(breaks, separators_per_line))
    swallowed = pc.fill_null(pc.and_(pc.greater(breaks, 0), enough), False)
    if pc.any(swallowed).as_py():
        start = column[pc.index(swallowed, True).as_py()].as_py()[:80]
        raise WrongContentError(
            f"a quote is not closed, and the lines after it are taken for one field, which begins {start!r}. Correct the line."
        )


def read_json_lines(path: Path, source: LandingSource) -> pa.Table:
    """A file with one JSON object per line; blank lines do not count."""
    rows: list[Row] = []
    for line in path.read_bytes().decode("utf-8-sig").split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        rows.append(row if isinstance(row, dict) else {BROKEN: line})
    return _table_of_rows(source, rows)


def read_geojson(path: Path, source: LandingSource) -> pa.Table:
    """A GeoJSON FeatureCollection in WGS84; a point geometry gives longitude and latitude where properties do not."""
    content = json.loads(path.read_bytes())
    system = ((content.get("crs") or {}).get("properties") or {}).get("name")
    rows = [_with_point(feature, source) for feature in content["features"]]
    if system is not None and not str(system).endswith(WGS84):
        raise WrongContentError(
            f"has points of {system}, not longitudes and latitudes (CRS84). Export it again in WGS84, or as a zipped "
            "shapefile with its .prj."
        )
    return _table_of_rows(source, rows)


def _with_point(feature: Row, source: LandingSource) -> Row:
    """A feature's properties; where they lack longitude and latitude, the feature's point has them."""
    row = dict(feature["properties"] or {})
    geometry = feature.get("geometry") or {}
    if geometry.get("type") == "Point" and len(geometry.get("coordinates") or ()) >= 2:
        names = source.columns.longitude, source.columns.latitude
        for name, coordinate in zip(names, geometry["coordinates"], strict=False):  # there may be a height
            if row.get(name) is None:
                row[name] = coordinate
    return row


def _table_of_rows(source: LandingSource, rows: Sequence[Row]) -> pa.Table:
    """Text columns; a column may be absent from a row, but one of `REQUIRED` not from all of them."""
    present = set().union(*rows) - {BROKEN}
    finders = {name: _finder(name, present) for name in own_columns(source)}
    table = pa.table(
        {name: pa.array([_as_text(find(row)) for row in rows], pa.string()) for name, find in finders.items()}
    )
    missing = [
        f"{theirs} (source.columns.{ours})"
        for ours, theirs in source.columns.named().items()
        if ours in REQUIRED and theirs not in present and table[theirs].null_count == table.num_rows
    ]
    if missing and present:
        raise _missing_columns(missing, present)
    return table.append_column(BROKEN, pa.array([row.get(BROKEN) for row in rows], pa.string()))


def _finder(name: str, present: Collection[str]) -> Callable[[Row], Any]:
    """Looks up a key of the rows, or a JMESPath expression if no row has such a key."""
    if name not in present:
        try:
            return jmespath.compile(name).search
        except jmespath.exceptions.JMESPathError:
            pass  # a name with blanks, which these rows do not have
    return lambda row: row.get(name)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()


def own_columns(source: LandingSource) -> list[str]:
    """The source's own column names, each once."""
    return list(dict.fromkeys(source.columns.named().values()))


def require_columns(source: LandingSource, present: Sequence[str]) -> None:
    """Raise unless each column that the city's file names is there, and only once."""
    named = source.columns.named()
    missing = [f"{theirs} (source.columns.{ours})" for ours, theirs in named.items() if theirs not in present]
    if missing:
        raise _missing_columns(missing, present)
    repeated = [theirs for theirs in named.values() if present.count(theirs) > 1]
    if repeated:
        raise WrongContentError(f"has more than one column {', '.join(repeated)}. Rename or remove one.")


def _missing_columns(missing: Sequence[str], present: Collection[str]) -> WrongContentError:
    return WrongContentError(
        f"has no column {', '.join(missing)}; it has: {', '.join(sorted(present))}. Correct source.columns in the city's "
        "file, or the file."
    )
