"""One reader per file format of the landing folder: bytes to a table of the columns that the city's file names."""

import io
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, LandingSource
from shotspotter_assets.sources.landing.csv_files import read_csv
from shotspotter_assets.sources.landing.file_errors import (
    Chunks,
    Interval,
    Reader,
    own_columns,
    require_columns,
    unreadable,
)
from shotspotter_assets.sources.landing.json_files import read_geojson, read_json_lines
from shotspotter_assets.sources.protocol import SourceError


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
            time_at = [file.schema.column(at).path for at in range(len(file.schema))].index(source.columns.time)
            first_row = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                statistics = file.metadata.row_group(group).column(time_at).statistics
                if interval is None or _may_overlap(statistics, source.time_format, interval):
                    yield file.read_row_group(group, columns=columns), first_row
                first_row += rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(city, path, "a Parquet file", error) from None


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
    places = {name: names.index(name) for name in own_columns(source)}
    yield (
        pa.table({name: pa.array([_cell(row[at]) for row in rows], pa.string()) for name, at in places.items()}),
        0,
    )


def read_shapefile(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """The one ESRI shapefile of a zip archive; a point geometry gives longitude and latitude where columns do not.

    Points are brought to WGS84 from the system that the .prj names; without one they must be WGS84.
    """
    expected = "a zip archive with one shapefile (.shp, .shx, .dbf, .prj)"
    try:
        with filesystem.open_input_stream(path) as stream, zipfile.ZipFile(io.BytesIO(stream.read())) as archive:
            layers = [name for name in archive.namelist() if name.lower().endswith(".shp") and "__MACOSX" not in name]
            table, points = _shapes(archive, layers)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise unreadable(city, path, expected, error) from None
    for name in (source.columns.longitude, source.columns.latitude):
        point = points["x" if name == source.columns.longitude else "y"]
        if name not in table.column_names:
            table = table.append_column(name, point)
        elif not pa.types.is_string(table[name].type):
            table = table.set_column(table.column_names.index(name), name, pc.coalesce(table[name], point))
    require_columns(city, path, source, table.column_names)
    yield table.select(own_columns(source)), 0


READERS: dict[str, Reader] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".geojson": read_geojson,
    ".xlsx": read_xlsx,
    ".zip": read_shapefile,
}
"""The reader of each ending."""


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


def _cell(value: Any) -> str | None:
    """The text of a cell; Excel has no whole numbers, and the time of day is a length of time in some."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return None if value is None or value == "" else str(value)


def _shapes(archive: zipfile.ZipFile, layers: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Attributes, and the points as `x` and `y` in WGS84 degrees; null where there is none.

    Raises:
        ValueError: there is not one layer, it has no attributes, or its coordinates are not degrees and nothing says what they are.
        RuntimeError: the files are damaged, or one is missing.
    """
    import geopandas

    if len(layers) != 1:
        raise ValueError(f"it holds {len(layers)} .shp files")
    stem = str(PurePosixPath(layers[0]).with_suffix(""))
    with tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.startswith(f"{stem}."):
                (Path(folder) / f"layer{PurePosixPath(name).suffix.lower()}").write_bytes(archive.read(name))
        shapes = geopandas.read_file(Path(folder) / "layer.shp")
    if shapes.shape[1] == 1:
        raise ValueError("it has no attributes; its .dbf is missing or empty")
    geometry = shapes.geometry
    if geometry.crs is not None:
        geometry = geometry.to_crs("EPSG:4326")
    points = geometry.where(geometry.geom_type == "Point")
    place = pa.table({"x": pa.Array.from_pandas(points.x), "y": pa.Array.from_pandas(points.y)})
    if geometry.crs is None and not (points.x.abs().le(180) & points.y.abs().le(90) | points.isna()).all():
        raise ValueError("it has no .prj, and its coordinates are not longitudes and latitudes")
    return pa.Table.from_pandas(shapes.drop(columns=geometry.name), preserve_index=False), place
