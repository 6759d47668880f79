"""Parquet files of the landing folder, of which only the row groups that can hold the days are read."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.limits import MEGABYTE
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, LandingSource
from shotspotter_assets.sources.landing.file_readers import (
    Chunks,
    Interval,
    beyond_limit,
    own_columns,
    refuse_many,
    require_columns,
    unreadable,
)
from shotspotter_assets.sources.protocol import SourceError

ROWS_PER_BATCH: Final = 250_000


def read_parquet(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, interval: Interval | None
) -> Chunks:
    """Row groups of a Parquet file, without those whose statistics rule out the interval."""
    columns = own_columns(source)
    try:
        with filesystem.open_input_file(path) as handle:
            file = pq.ParquetFile(handle, pre_buffer=True)
            require_columns(city, path, source, file.schema_arrow.names)
            refuse_many(city, path, file.metadata.num_rows, file.metadata.num_columns)
            # Statistics are of leaf columns, which differ in number from the file's columns where one is nested.
            paths = [file.schema.column(leaf).path for leaf in range(len(file.schema))]
            _refuse_large_columns(city, path, file, [paths.index(name) for name in columns if name in paths])
            _refuse_nested(city, path, file.schema_arrow, columns)
            kind = file.schema_arrow.field(source.columns.time).type
            if source.time_format is None and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
                # How text is to be read is decided by all times of the file together.
                yield _with_uuids_as_text(file.read(columns=columns)), 0
                return
            time_leaf = paths.index(source.columns.time)
            first_row = 0
            for group in range(file.num_row_groups):
                described = file.metadata.row_group(group)
                if interval is not None and not _may_overlap(described.column(time_leaf), source.time_format, interval):
                    first_row += described.num_rows
                    continue
                for batch in file.iter_batches(ROWS_PER_BATCH, row_groups=[group], columns=columns):
                    yield _with_uuids_as_text(pa.Table.from_batches([batch])), first_row
                    first_row += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(city, path, "a Parquet file", error) from None


def _refuse_large_columns(city: City, path: str, file: pq.ParquetFile, leaves: Sequence[int]) -> None:
    groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
    size = sum(group.column(leaf).total_uncompressed_size for group in groups for leaf in leaves)
    if size > city.limits.expanded_bytes():
        raise beyond_limit(city, path, f"{size / MEGABYTE:,.0f} MB in the columns that are read", "max_expanded_mb")


def _refuse_nested(city: City, path: str, schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
            raise SourceError(
                f"City {city.name}: {path}: the column {name} is of the type {kind}, which is no text, number or time. Write "
                "it as one of these, or correct source.columns in the city's file."
            )


def _with_uuids_as_text(table: pa.Table) -> pa.Table:
    for place, column in enumerate(table.schema):
        if isinstance(column.type, pa.UuidType):
            texts = [None if value is None else str(value) for value in table[place].to_pylist()]
            table = table.set_column(place, column.name, pa.array(texts, pa.string()))
    return table


def _may_overlap(column: pq.ColumnChunkMetaData, time_format: str | None, interval: Interval) -> bool:
    try:
        statistics = column.statistics
        if statistics is None or not statistics.has_min_max:
            return True
        bounds = [_moment(value, time_format) for value in (statistics.min, statistics.max)]
    except (ValueError, OverflowError):
        return True  # a time that Python's calendar does not reach
    if bounds[0] is None or bounds[1] is None:
        return True
    return bounds[0] < interval[1] and bounds[1] >= interval[0]


def _moment(value: Any, time_format: str | None) -> datetime | None:
    """A bound of a row group's times, to within the hours that lie between UTC and other clocks."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, int) and time_format in EPOCH_UNITS:
        try:
            return datetime.fromtimestamp(value / EPOCH_UNITS[time_format], UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return None
