"""Zipped ESRI shapefiles of the landing folder."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.coordinate_systems import WGS84
from shotspotter_assets.sources.landing.file_readers import (
    Chunks,
    Interval,
    open_archive,
    own_columns,
    refuse_many,
    require_columns,
    unreadable,
)


def read_shapefile(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """The one ESRI shapefile of a zip archive; a point geometry gives longitude and latitude where columns do not.

    Points are brought from the system that the .prj names to the source's `crs`, else WGS84; without a .prj they must
    be in that.
    """
    expected = "a zip archive with one shapefile (.shp, .shx, .dbf, .prj)"
    try:
        with filesystem.open_input_file(path) as file, open_archive(city, path, file) as archive:
            layers = [name for name in archive.namelist() if name.lower().endswith(".shp") and "__MACOSX" not in name]
            table, points = _shapes(city, path, archive, layers, source.crs)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise unreadable(city, path, expected, error) from None
    for name in (source.columns.longitude, source.columns.latitude):
        point = points["x" if name == source.columns.longitude else "y"]
        if name not in table.column_names:
            table = table.append_column(name, point)
        elif not pa.types.is_string(table[name].type):
            table = table.set_column(table.column_names.index(name), name, pc.coalesce(table[name], point))
    require_columns(city, path, source, table.column_names)
    yield table.select(own_columns(source)), 0


def _shapes(
    city: City, path: str, archive: zipfile.ZipFile, layers: Sequence[str], crs: str | None
) -> tuple[pa.Table, pa.Table]:
    """Attributes, and the points as `x` and `y` in the system `crs`, else WGS84 degrees; null where there is none.

    Raises:
        ValueError: there is not one layer, it has no attributes, or its coordinates are not degrees and nothing says what they are.
        RuntimeError: the files are damaged, or one is missing.
    """
    import geopandas
    import pyogrio

    if len(layers) != 1:
        raise ValueError(f"it holds {len(layers)} .shp files")
    stem = str(PurePosixPath(layers[0]).with_suffix(""))
    with tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.startswith(f"{stem}."):
                target = Path(folder) / f"layer{PurePosixPath(name).suffix.lower()}"
                with archive.open(name) as part, target.open("wb") as copy:
                    shutil.copyfileobj(part, copy)
        described = pyogrio.read_info(Path(folder) / "layer.shp")
        refuse_many(city, path, described["features"], len(described["fields"]))
        shapes = geopandas.read_file(Path(folder) / "layer.shp")
    if shapes.shape[1] == 1:
        raise ValueError("it has no attributes; its .dbf is missing or empty")
    geometry = shapes.geometry
    if geometry.crs is not None:
        geometry = geometry.to_crs(crs or WGS84)
    points = geometry.where(geometry.geom_type == "Point")
    place = pa.table({"x": pa.Array.from_pandas(points.x), "y": pa.Array.from_pandas(points.y)})
    if (
        geometry.crs is None
        and crs is None
        and not (points.x.abs().le(180) & points.y.abs().le(90) | points.isna()).all()
    ):
        raise ValueError(
            "it has no .prj, and its coordinates are not longitudes and latitudes; say their system as source.crs"
        )
    return pa.Table.from_pandas(shapes.drop(columns=geometry.name), preserve_index=False), place
