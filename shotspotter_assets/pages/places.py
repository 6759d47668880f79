"""Places of a city's maps: their names, the layers of its file around them, and their problems."""

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.grid.cells import Plane, cell_metres, cell_middles, cell_name, cell_shapes, quadrants
from shotspotter_assets.grid.coverage import cell_districts, district_areas
from shotspotter_assets.grid.shapes import (
    area_name,
    named_rows,
    read_shapes,
    require_column,
    rows_in_box,
)
from shotspotter_assets.storage.arrays import Array, Integers, Names

if TYPE_CHECKING:
    from geopandas import GeoSeries

NEAR_CELLS: Final = 1.0  # maximum distance of a crossing or street from a cell's middle, in its diagonals
TOLERANCE_DEGREES: Final = 1e-4  # smaller bends are dropped: a screen shows a city at 10 m to the pixel
PRECISION_DEGREES: Final = 1e-5
MIN_SHARE_OF_CELLS: Final = 0.5  # minimum with a street or district; less looks like a file of another place
AREAS: Final = ["MultiPolygon", "Polygon"]
LINES: Final = ["LineString", "MultiLineString"]
DRAWN_LAYERS: Final = ("parks", "streets", "districts")  # from the bottom to the top of a map
CityLayers = dict[str, "GeoSeries"]


class Places:
    """Places of a city; `problems` has a line for each layer that is left out."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._plane = Plane.of(city.box)
        self.layers, self.problems = read_layers(city)
        self._areas = _area_names(city, self.layers.get("districts"))
        self._streets = _Streets(self._plane, self.layers["streets"]) if "streets" in self.layers else None

    def ground(self, cells: Integers) -> dict[str, object]:
        """Return the common part of maps that show `cells`, given as row * columns + column, for `map.js`."""
        box = self._city.box
        grid = self._city.grid
        base_map = self._city.base_map
        return {
            "box": (box.south, box.west, box.north, box.east),
            "rows": grid.rows,
            "columns": grid.columns,
            "layers": {key: _geojson(self.layers[key]) for key in DRAWN_LAYERS if key in self.layers},
            "tiles": "" if base_map is None else base_map.tiles,
            "attribution": "" if base_map is None else base_map.attribution,
            "places": dict(zip(cells.tolist(), self.names(*np.unravel_index(cells, grid.shape)), strict=True)),
        }

    def names(self, row: Integers, column: Integers) -> list[str]:
        """Name cells by the nearest crossing or street, else by their own names, and by the district or quarter."""
        near = NEAR_CELLS * math.hypot(*cell_metres(self._city))
        metres = self._plane.metres(np.column_stack(cell_middles(self._city, row, column)))
        streets = [""] * len(metres) if self._streets is None else self._streets.nearest(metres, near)
        places = zip(streets, row, column, self._areas[row, column], strict=True)
        return [f"{street or f'cell {cell_name(north, east)}'}, {area}" for street, north, east, area in places]


def _area_names(city: City, districts: "GeoSeries | None") -> Names:
    """Return the district of each cell, and the quarter of the grid for a cell without one; shape (rows, columns)."""
    quarters = np.char.add("in the ", quadrants(city.shape))
    areas = district_areas(city, districts)
    if areas is None:
        return quarters
    names = cell_districts(city, areas)
    return np.where(names == "", quarters, names)


class _Streets:
    def __init__(self, plane: Plane, streets: "GeoSeries") -> None:
        """Index the streets, named in their index, and the points in which two of different names cross."""
        from scipy.spatial import KDTree

        self._names = streets.index.to_numpy(dtype=object)
        self._lines = shapely.transform(streets.to_numpy(), plane.metres)
        self._tree = shapely.STRtree(self._lines)
        pairs = self._tree.query(self._lines, predicate="intersects")
        one, other = pairs[:, (pairs[0] < pairs[1]) & (self._names[pairs[0]] != self._names[pairs[1]])]
        parts, pair = shapely.get_parts(shapely.intersection(self._lines[one], self._lines[other]), return_index=True)
        is_point = shapely.get_type_id(parts) == shapely.GeometryType.POINT
        pair = pair[is_point]
        self._crossings = self._names[one[pair]] + " and " + self._names[other[pair]]
        points = shapely.get_coordinates(parts[is_point])
        self._points = KDTree(points) if len(points) else None

    def nearest(self, metres: Array, within: float) -> list[str]:
        """Name the nearest crossing of each point, else its nearest street, within the distance; "" without one."""
        names = [""] * len(metres)
        if self._points is not None:
            distance, nearest = self._points.query(metres, distance_upper_bound=within)
            for point in np.flatnonzero(np.isfinite(distance)):
                names[point] = f"near {self._crossings[nearest[point]]}"
        unnamed = np.array([point for point, name in enumerate(names) if not name], dtype=np.int64)
        if len(unnamed) and len(self._lines):
            left = shapely.points(metres[unnamed])
            points, lines = self._tree.query_nearest(left, max_distance=within, all_matches=False)
            for point, line in zip(unnamed[points], lines, strict=True):
                names[point] = f"near {self._names[line]}"
        return names


def _geojson(shapes: "GeoSeries") -> dict[str, Any]:
    simple = shapes.simplify(TOLERANCE_DEGREES).set_precision(PRECISION_DEGREES).rename_axis("name")
    drawn: dict[str, Any] = json.loads(simple[~simple.is_empty].rename("geometry").reset_index().to_json(drop_id=True))
    return drawn


def read_layers(city: City) -> tuple[CityLayers, list[str]]:
    """Return shapes by layer, indexed by name, in WGS84 degrees and cut to the box; and a line for each unusable layer."""
    layers: CityLayers = {}
    problems: list[str] = []
    # Without a layer of streets, ranked streets name places.
    given = [(key, f"layers.{key}", layer) for key, layer in city.layers.given().items()]
    for key, name, layer in [*given, *([("streets", "streets", city.streets)] if city.streets else [])]:
        try:
            layers[key] = layers[key] if key in layers else _read(city, layer, LINES if key == "streets" else AREAS)
        except ValueError as error:
            problems.append(f"City {city.name}, {name}: {layer.path.name} {error}. Pages are made without it.")
    return layers, problems


def uncovered(city: City, layers: CityLayers, cells: Integers | None = None) -> list[str]:
    """Return a line for each layer of streets or districts that covers few cells (row * columns + column), by default all."""
    shapes = cell_shapes(city)[slice(None) if cells is None else cells]
    lines = []
    for key in {"districts", "streets"} & layers.keys():
        flat = shapely.transform(layers[key].to_numpy(), Plane.of(city.box).metres)
        covered = len(np.unique(shapely.STRtree(flat).query(shapes, predicate="intersects")[0]))
        if covered < MIN_SHARE_OF_CELLS * len(shapes):
            lines.append(
                f"City {city.name}, {key}: covers {covered:,} of {len(shapes):,} cells; the others have no names from it. Give "
                "it a file of the whole city."
            )
    return sorted(lines)


def _read(city: City, layer: Layer, types: list[str]) -> "GeoSeries":
    frame = read_shapes(layer.path)
    require_column(frame, "name", layer.name)
    frame = named_rows(rows_in_box(frame, city.box), "name", layer.name)
    if others := sorted({*frame.geometry.geom_type} - {*types}):
        raise ValueError(f"has shapes of type {', '.join(others)}; only {' and '.join(types)} can be used here")
    shapes = (frame.geometry.make_valid() if types is AREAS else frame.geometry).clip_by_rect(*city.box.edges)
    shapes.index = [area_name(layer.name, value) for value in frame[layer.name]]
    return shapes[~shapes.is_empty]
