"""The file formats of the landing folder. A new format is a function here and a row of `FORMATS`."""

import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shotspotter_assets.cities.source_settings import MEGABYTE, LandingSource, Limits
from shotspotter_assets.sources.coordinate_systems import WGS84
from shotspotter_assets.sources.landing.text_formats import (
    WrongContentError,
    own_columns,
    read_csv,
    read_geojson,
    read_json_lines,
    require_columns,
)


class Format(NamedTuple):
    """One file format."""

    read: Callable[[Path, LandingSource], pa.Table]
    """Returns a table with the source's own column names, or raises what its library raises."""
    name: str


def read_parquet(path: Path, source: LandingSource) -> pa.Table:
    """The columns of a Parquet file that the city's file names."""
    file = pq.ParquetFile(path)
    require_columns(source, file.schema_arrow.names)
    columns = own_columns(source)
    refuse_many_rows(file.metadata.num_rows)
    for name in columns:
        kind = file.schema_arrow.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
            raise WrongContentError(
                f"the column {name} is of the type {kind}, not text, number or time. Write it as one of these, or correct "
                "source.columns in the city's file."
            )
    return file.read(columns=columns)


def refuse_large_file(size: int, limits: Limits) -> None:
    """Raise if a file has more bytes than the city's limit."""
    if size > limits.max_expanded_mb * MEGABYTE:
        raise WrongContentError(
            f"has {size / MEGABYTE:,.0f} MB; the limit is {limits.max_expanded_mb:,}. Raise limits.max_expanded_mb in the city's "
            "file, or split the file."
        )


def refuse_many_rows(rows: int, limit: int = Limits().max_rows) -> None:
    """Raise if a file has more rows than a city may have alerts."""
    if rows > limit:
        raise WrongContentError(f"has {rows:,} rows; the limit is {limit:,}. Split the file.")


def read_xlsx(path: Path, source: LandingSource) -> pa.Table:
    """One sheet of an Excel workbook, whose first row has the names; all columns as text. Empty rows do not count."""
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(str(path))
    if source.sheet is not None and source.sheet not in book.sheet_names:
        raise WrongContentError(
            f"has no sheet {source.sheet!r} (source.sheet); it has: {', '.join(book.sheet_names)}. Correct source.sheet in "
            "the city's file, or the file."
        )
    header, *rows = book.get_sheet_by_name(source.sheet or book.sheet_names[0]).to_python() or [[]]
    rows = [row for row in rows if any(value != "" for value in row)]
    names = [_cell(value) or "" for value in header]
    require_columns(source, names)
    positions = {name: names.index(name) for name in own_columns(source)}
    return pa.table({name: pa.array([_cell(row[at]) for row in rows], pa.string()) for name, at in positions.items()})


def _cell(value: Any) -> str | None:
    """The text of a cell; Excel has no whole numbers, and some times of day are a length of time."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return None if value is None or value == "" else str(value)


def read_shapefile(path: Path, source: LandingSource) -> pa.Table:
    """The one ESRI shapefile of a zip archive; a point gives longitude and latitude where columns do not.

    Points are transformed from the system of the .prj file to the source's `crs`, or WGS84. Without a .prj file they must
    be in that system already.
    """
    import pyogrio

    with zipfile.ZipFile(path) as archive:
        layers = [name for name in archive.namelist() if name.lower().endswith(".shp") and "__MACOSX" not in name]
    if len(layers) != 1:
        raise ValueError(f"it holds {len(layers)} .shp files")
    shapes = pyogrio.read_dataframe(f"/vsizip/{path.absolute()}/{layers[0]}")
    if shapes.shape[1] == 1:
        raise ValueError("it has no attributes; its .dbf is missing or empty")
    geometry = shapes.geometry
    if geometry.crs is not None:
        geometry = geometry.to_crs(source.crs or WGS84)
    points = geometry.where(geometry.geom_type == "Point")
    in_degrees = points.x.abs().le(180) & points.y.abs().le(90) | points.isna()
    if geometry.crs is None and source.crs is None and not in_degrees.all():
        raise ValueError(
            "it has no .prj, and its coordinates are not longitudes and latitudes; say their system as source.crs"
        )
    table = pa.Table.from_pandas(shapes.drop(columns=geometry.name), preserve_index=False)
    for name, values in ((source.columns.longitude, points.x), (source.columns.latitude, points.y)):
        point = pa.Array.from_pandas(values)
        if name not in table.column_names:
            table = table.append_column(name, point)
        elif not pa.types.is_string(table[name].type):
            table = table.set_column(table.column_names.index(name), name, pc.coalesce(table[name], point))
    require_columns(source, table.column_names)
    return table.select(own_columns(source))


CSV: Final = Format(read_csv, "a CSV file with a header line")
JSON_LINES: Final = Format(read_json_lines, "a file of JSON lines in UTF-8")

FORMATS: Final = {
    ".parquet": Format(read_parquet, "a Parquet file"),
    ".csv": CSV,
    ".tsv": CSV,
    ".txt": CSV,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".geojson": Format(read_geojson, "a GeoJSON FeatureCollection"),
    ".xlsx": Format(read_xlsx, "an Excel workbook (XLSX)"),
    ".zip": Format(read_shapefile, "a zip archive with one shapefile (.shp, .shx, .dbf, .prj)"),
}
"""The formats by file ending."""
