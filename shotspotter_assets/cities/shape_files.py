"""Read the shape files of a city: layers, factors, streets, and published coverage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shotspotter_assets.cities.city import Coverage

if TYPE_CHECKING:
    import geopandas

WGS84: Final = 4326


def read_shapes(path: Path, longitude: str = "longitude", latitude: str = "latitude") -> "geopandas.GeoDataFrame":
    """Read the shapes of a GeoParquet, GeoPackage, GeoJSON file or (zipped) shapefile in WGS84, without empty ones.

    OpenStreetMap extracts (.osm, .pbf) give lines; CSV and Parquet files without geometry give points from the columns
    `longitude` and `latitude`. Coordinates without a coordinate system are not transformed.

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
        layer = "lines" if suffix in (".osm", ".pbf") else None
        frame = geopandas.read_parquet(path) if is_parquet else pyogrio.read_dataframe(path, layer=layer)
        shapes = frame.geometry.to_numpy()
        frame = frame[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
        return frame if frame.crs is None else frame.to_crs(WGS84)
    except Exception as error:
        raise ValueError(f"cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}") from None


def coverage_polygons(coverage: Coverage) -> list[tuple[str, Any]]:
    """Return (name, valid Shapely polygon) of each polygon in order; an area may have several.

    Raises:
        ValueError: the file cannot be read, or lacks the property or an area of the coverage.
    """
    import shapely

    frame = read_shapes(coverage.file)
    if coverage.name_property not in frame.columns:
        present = ", ".join(frame.columns)
        raise ValueError(f"{coverage.file} lacks the property {coverage.name_property}; it has: {present}")
    names = frame[coverage.name_property].astype(str)
    if unknown := sorted(set(coverage.areas) - set(names)):
        raise ValueError(f"{coverage.file} has no area {', '.join(unknown)}; it has: {', '.join(sorted(set(names)))}")
    return list(zip(names, shapely.make_valid(frame.geometry.to_numpy()), strict=True))
