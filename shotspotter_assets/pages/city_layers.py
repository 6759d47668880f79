"""Layers of a city's file as shapes, and their problems."""

from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.geometry.cells import Plane, cell_shapes
from shotspotter_assets.geometry.shapes import named_rows, read_shapes, require_column, rows_in_box

if TYPE_CHECKING:
    from geopandas import GeoSeries

MIN_SHARE_OF_CELLS: Final = 0.5
"""Minimum share of cells with a street, or within a district; less looks like a file of another or a smaller place."""
CityLayers = dict[str, "GeoSeries"]


def read_layers(city: City) -> tuple[CityLayers, list[str]]:
    """Return shapes by layer, indexed by name, in WGS84 degrees and cut to the box; and a line for each unusable layer."""
    layers, problems = CityLayers(), list[str]()
    # Without a layer of streets, ranked streets name places.
    given = [(key, f"layers.{key}", layer) for key, layer in city.layers.given().items()]
    for key, name, layer in [*given, *([("streets", "streets", city.streets)] if city.streets else [])]:
        try:
            layers[key] = layers[key] if key in layers else _read(city, layer)
        except ValueError as error:
            problems.append(f"City {city.name}, {name}: {layer.path.name} {error}. Pages are made without it.")
    return layers, problems


def uncovered(city: City, layers: CityLayers, cells: Integers | None = None) -> list[str]:
    """Return a line for each layer of streets or districts that covers few cells (row * columns + column), by default all."""
    shapes, lines = cell_shapes(city)[slice(None) if cells is None else cells], list[str]()
    for key in {"districts", "streets"} & layers.keys():
        flat = shapely.transform(layers[key].to_numpy(), Plane.of(city.box).metres)
        covered = len(np.unique(shapely.STRtree(flat).query(shapes, predicate="intersects")[0]))
        if covered < MIN_SHARE_OF_CELLS * len(shapes):
            lines.append(
                f"City {city.name}, {key}: covers {covered:,} of {len(shapes):,} cells; the others have no names from it. Give "
                "it a file of the whole city."
            )
    return sorted(lines)


def _read(city: City, layer: Layer) -> "GeoSeries":
    frame = read_shapes(layer.path)
    require_column(frame, "name", layer.name)
    frame = named_rows(rows_in_box(frame, city.box), "name", layer.name)
    shapes = frame.geometry.copy()
    is_area = shapes.geom_type.isin(["Polygon", "MultiPolygon"])
    shapes[is_area] = shapes[is_area].make_valid()
    shapes = shapes.clip_by_rect(*city.box.edges)
    shapes.index = [_named(layer.name, value) for value in frame[layer.name]]
    return shapes[~shapes.is_empty]


def _named(column: str, value: object) -> str:
    """Return a name; a number is preceded by its column ("ward 8")."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return f"{column.replace('_', ' ')} {text}" if text.isdecimal() else text
