"""Files of shapes, named areas, and rectangles as GeoJSON."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from shotspotter_assets.cities.box import WGS84, Box, Edges, Gridded
from shotspotter_assets.grid.cells import cell_middles
from shotspotter_assets.storage.arrays import Array, Names

if TYPE_CHECKING:
    import geopandas

log = logging.getLogger(__name__)
Areas = Sequence[tuple[str, Any]]  # (name, Shapely polygon) of each area


def read_shapes(path: Path, longitude: str = "longitude", latitude: str = "latitude") -> "geopandas.GeoDataFrame":
    """Read the finite shapes of a GeoParquet, GeoPackage, GeoJSON file or (zipped) shapefile in WGS84, without empty ones.

    OpenStreetMap extracts (.osm, .pbf) give lines; CSV and Parquet files without geometry give points from `longitude` and
    `latitude`. Coordinates without a system are not transformed. Raises ValueError with the reason in one line.
    """
    import geopandas
    import pandas as pd
    import pyarrow.parquet as pq
    import pyogrio

    suffix = path.suffix.lower()
    try:
        if suffix == ".csv" or (suffix == ".parquet" and b"geo" not in (pq.read_schema(path).metadata or {})):
            table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
            table = table.dropna(subset=[longitude, latitude])
            points = geopandas.points_from_xy(table[longitude], table[latitude], crs=WGS84)
            frame = geopandas.GeoDataFrame(table, geometry=points)
        elif suffix in (".parquet", ".geoparquet"):
            frame = geopandas.read_parquet(path)
        else:
            frame = pyogrio.read_dataframe(path, layer="lines" if suffix in (".osm", ".pbf") else None)
        shapes = frame.geometry.to_numpy()
        frame = frame[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
        frame = frame if frame.crs is None else frame.to_crs(WGS84)
        degrees, row = shapely.get_coordinates(frame.geometry.to_numpy(), return_index=True)
    except Exception as error:
        raise ValueError(f"cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}") from None
    if len(infinite := np.unique(row[~np.isfinite(degrees).all(axis=1)])):
        log.warning("%s: %s shapes with infinite coordinates are left out.", path, f"{len(infinite):,}")
    return frame.iloc[np.setdiff1d(np.arange(len(frame)), infinite)]


def write_shapes(folder: Path, frames: "Mapping[str, geopandas.GeoDataFrame]") -> None:
    """Write `NAME.parquet` of each frame to the folder, all or none; raise FileExistsError for one that is there."""
    if present := [str(file) for name in frames if (file := folder / f"{name}.parquet").exists()]:
        raise FileExistsError(f"{present[0]} already exists; remove it, or name another folder with --to.")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as whole:
        for name, frame in frames.items():
            frame.to_parquet(Path(whole) / name)
        for name in frames:
            (Path(whole) / name).rename(folder / f"{name}.parquet")


def require_column(frame: "geopandas.GeoDataFrame", key: str, column: str) -> None:
    """Raise ValueError if the frame lacks a column beside its geometry; `key` names the setting to correct."""
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if column not in columns:
        raise ValueError(f"has no column {column}; it has {', '.join(columns)}. Correct `{key}`")


def rows_in_box(frame: "geopandas.GeoDataFrame", box: Box) -> "geopandas.GeoDataFrame":
    """Return the rows whose shapes meet the box; raise ValueError with the remedy if none does."""
    in_box = frame[frame.intersects(shapely.box(*box.edges))]
    if in_box.empty:
        bounds = frame.total_bounds.round(3).tolist()
        remedy = "Give it the coordinate system that it is in (a .prj beside a shapefile), or longitude before latitude"
        raise ValueError(f"has nothing in the city's box; its shapes lie within {bounds}. {remedy}")
    return in_box


def named_rows(frame: "geopandas.GeoDataFrame", key: str, column: str) -> "geopandas.GeoDataFrame":
    """Return the rows with a name in a column; raise ValueError if there is none."""
    named = frame[frame[column].notna() & (frame[column].astype(str).str.strip() != "")]
    if named.empty:
        raise ValueError(f"has no name in any row of {column}. Correct `{key}`")
    return named


def read_areas(path: Path, name_property: str, wanted: Collection[str]) -> Areas:
    """Return each polygon of a file in order, valid, with its name; raise ValueError if the file lacks a wanted name."""
    try:
        frame = read_shapes(path)
        require_column(frame, "name_property", name_property)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    names = frame[name_property].astype(str)
    if unknown := sorted(set(wanted) - set(names)):
        raise ValueError(f"{path} has no area {', '.join(unknown)}; it has: {', '.join(sorted(set(names)))}")
    return list(zip(names, shapely.make_valid(frame.geometry.to_numpy()), strict=True))


def area_name(column: str, value: object) -> str:
    """Return the name of an area wherever it is shown; a bare number follows the name of its column, as in ward 8."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return f"{column.replace('_', ' ')} {text}" if text.isdecimal() else text


def areas_of_cells(city: Gridded, areas: Areas, outside: str) -> Names:
    """Return the first area that holds each cell's middle, `outside` where none does; shape (rows, columns)."""
    return names_at(areas, *cell_middles(city, *np.indices(city.grid.shape)), outside)


def names_at(areas: Areas, longitude: Array, latitude: Array, outside: str) -> Names:
    """Return the name of the first area that holds each point, `outside` where none does; same shape."""
    names = np.full(longitude.shape, outside, dtype=object)
    for name, area in reversed(areas):
        shapely.prepare(area)
        names[shapely.intersects_xy(area, longitude, latitude)] = name
    return names.astype(np.str_)


def polygon_feature(edges: Edges, properties: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """Return a rectangle as a GeoJSON feature (RFC 7946); `members` such as `id` are put after its type."""
    west, south, east, north = edges
    # Counter-clockwise and closed, as the standard wants outer rings.
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", **members, "geometry": geometry, "properties": dict(properties)}
