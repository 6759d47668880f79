"""CSV files of the landing folder, as vendors write them: separators, encodings, broken lines, unmatched quotes."""

import codecs
import csv
import io
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.file_readers import (
    Chunks,
    Interval,
    own_columns,
    refuse_many,
    require_columns,
    unreadable,
)
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.raw_rows import BROKEN

BLOCK_BYTES = 64 * 2**20
"""A line must fit into one block; the default of 1 MB refuses files with one long line."""

HEAD_BYTES = 64 * 2**10
"""The header line must fit into this."""

DELIMITERS: Final = ",;\t|"


def read_csv(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """A CSV file with a header line, all columns as text; separated by comma, semicolon, tab or bar.

    The encoding is UTF-16 where the file begins with its mark, as Excel's Unicode text does, else UTF-8 if the whole
    file is valid UTF-8, else Latin-1.
    """
    try:
        with filesystem.open_input_stream(path) as stream:
            head = stream.read(HEAD_BYTES)
        refuse_many(city, path, 0, 1 + max(head.partition(b"\n")[0].count(mark) for mark in DELIMITERS.encode()))
        table, broken, delimiter = _parse_in_its_encoding(filesystem, path, head)
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        raise unreadable(city, path, "a CSV file with a header line", error) from None
    refuse_many(city, path, table.num_rows + len(broken), table.num_columns)
    require_columns(city, path, source, table.column_names)
    columns = own_columns(source)
    for name in table.column_names:
        # Addresses and notes may well have line breaks; a swallowed line has as many separators as a line has.
        separators = 0 if name in columns else table.num_columns - 1
        _refuse_swallowed_lines(city, path, table[name], delimiter, separators)
    lines = pa.chunked_array([pa.array(broken, pa.string())])
    _refuse_swallowed_lines(city, path, lines, delimiter, 0)
    yield table.select(columns).append_column(BROKEN, pa.nulls(table.num_rows, pa.string())), 0
    if broken:
        absent = pa.table({column: pa.nulls(len(broken), pa.string()) for column in columns})
        yield absent.append_column(BROKEN, lines), table.num_rows


def _parse_in_its_encoding(filesystem: fs.FileSystem, path: str, head: bytes) -> tuple[pa.Table, list[str], str]:
    """The sound lines as text, the others, and the delimiter."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return _parse(filesystem, path, head, "utf-16")
    try:
        return _parse(filesystem, path, head, "utf-8")
    except (pa.ArrowInvalid, UnicodeError) as error:
        try:
            return _parse(filesystem, path, head, "latin-1")
        except pa.ArrowInvalid:
            raise error from None


def _parse(filesystem: fs.FileSystem, path: str, head: bytes, encoding: str) -> tuple[pa.Table, list[str], str]:
    broken: list[str] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    delimiter, names = _header(codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff"))
    with filesystem.open_input_stream(path) as stream:
        table = arrow_csv.read_csv(
            stream,
            # Row numbers of broken lines are only known when one thread reads.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
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


def _refuse_swallowed_lines(
    city: City, path: str, column: pa.ChunkedArray, delimiter: str, separators_per_line: int
) -> None:
    """An unmatched quote makes the lines that follow part of one field or broken line, and so lost."""
    if not pc.any(pc.match_substring(column, "\n")).as_py():
        return
    breaks = pc.count_substring(column, "\n")
    enough = pc.greater_equal(pc.count_substring(column, delimiter), pc.multiply(breaks, separators_per_line))
    swallowed = pc.fill_null(pc.and_(pc.greater(breaks, 0), enough), False)
    if pc.any(swallowed).as_py():
        start = column[pc.index(swallowed, True).as_py()].as_py()[:80]
        raise SourceError(
            f"City {city.name}: {path}: a quote is not closed, and the lines after it are taken for one field, which "
            f"begins {start!r}. Correct the line."
        )
