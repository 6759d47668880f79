"""Reads a file of shapes that a city's file names, whatever its format."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import geopandas

WGS84: Final = 4326
OSM_SUFFIXES: Final = (".osm", ".pbf")


def read_shapes(path: Path, longitude: str = "longitude", latitude: str = "latitude") -> "geopandas.GeoDataFrame":
    """The shapes of a GeoParquet, GeoPackage, GeoJSON file or shapefile (as it is or zipped) in WGS84, empty ones left out.

    Of an OpenStreetMap extract (.osm, .pbf) its lines.

    Coordinates of a file that names no coordinate system are taken as they are.

    Args:
        path: of the file.
        longitude: column of a CSV or Parquet file without geometry, in WGS84 degrees.
        latitude: see `longitude`.

    Raises:
        ValueError: the file cannot be read, with the reason in one line.
    """
    import geopandas
    import pandas as pd
    import pyarrow.parquet as pq
    import pyogrio
    import shapely

    suffix = path.suffix.lower()
    try:
        if suffix == ".csv" or (suffix == ".parquet" and b"geo" not in (pq.read_schema(path).metadata or {})):
            table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
            table = table.dropna(subset=[longitude, latitude])
            points = geopandas.points_from_xy(table[longitude], table[latitude], crs=WGS84)
            return geopandas.GeoDataFrame(table, geometry=points)
        is_parquet = suffix in (".parquet", ".geoparquet")
        layer = "lines" if suffix in OSM_SUFFIXES else None
        frame = geopandas.read_parquet(path) if is_parquet else pyogrio.read_dataframe(path, layer=layer)
        shapes = frame.geometry.to_numpy()
        frame = frame[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
        return frame if frame.crs is None else frame.to_crs(WGS84)
    except Exception as error:
        raise ValueError(f"cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}") from None
