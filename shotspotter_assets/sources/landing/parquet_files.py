"""Parquet files of the landing folder, of which only the row groups that can hold the days are read."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, LandingSource
from shotspotter_assets.sources.landing.file_readers import Chunks, Interval, own_columns, require_columns, unreadable


def read_parquet(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, interval: Interval | None
) -> Chunks:
    """Row groups of a Parquet file, without those whose statistics rule out the interval."""
    columns = own_columns(source)
    try:
        with filesystem.open_input_file(path) as handle:
            file = pq.ParquetFile(handle, pre_buffer=True)
            require_columns(city, path, source, file.schema_arrow.names)
            kind = file.schema_arrow.field(source.columns.time).type
            if source.time_format is None and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
                # How text is to be read is decided by all times of the file together.
                yield file.read(columns=columns), 0
                return
            # Statistics are of leaf columns, which differ in number from the file's columns where one is nested.
            paths = [file.schema.column(leaf).path for leaf in range(len(file.schema))]
            time_leaf = paths.index(source.columns.time)
            first_row = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                statistics = file.metadata.row_group(group).column(time_leaf).statistics
                if interval is None or _may_overlap(statistics, source.time_format, interval):
                    yield file.read_row_group(group, columns=columns), first_row
                first_row += rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(city, path, "a Parquet file", error) from None


def _may_overlap(statistics: pq.Statistics | None, time_format: str | None, interval: Interval) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    bounds = [_moment(value, time_format) for value in (statistics.min, statistics.max)]
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
