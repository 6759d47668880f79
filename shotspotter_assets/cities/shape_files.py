"""Reads the files of shapes that a city's file names: layers, factors, streets, and the GeoJSON of published coverage."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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


def read_areas(file: Path, name_property: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, GeoJSON geometry) of each polygon in the file's order; an area may have several.

    Raises:
        ValueError: the file is missing or no GeoJSON FeatureCollection of polygons that have the property.
    """
    try:
        features = json.loads(file.read_bytes())["features"]
        areas = [(feature["properties"] or {}, feature["geometry"]) for feature in features]
        kinds = {geometry["type"] for _, geometry in areas}
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist; a relative path starts at the folder of the city's file") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{file} cannot be read as a GeoJSON FeatureCollection: {error!r}") from None
    if not kinds <= {"Polygon", "MultiPolygon"}:
        raise ValueError(f"{file} holds {', '.join(sorted(kinds))}; coverage is given by Polygon and MultiPolygon")
    for properties, _ in areas:
        if name_property not in properties:
            raise ValueError(f"{file}: a polygon lacks the property {name_property}; it has: {', '.join(properties)}")
    return [(str(properties[name_property]), geometry) for properties, geometry in areas]


def read_polygons(file: Path, name_property: str) -> list[tuple[str, Any]]:
    """`read_areas` with valid Shapely polygons."""
    import shapely

    areas = read_areas(file, name_property)
    return [(name, shapely.make_valid(shapely.from_geojson(json.dumps(geometry)))) for name, geometry in areas]
