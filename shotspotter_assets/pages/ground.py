"""The ground of a city's maps, as the browser draws it: districts, parks and streets in whole metres."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.places import Places

if TYPE_CHECKING:
    from geopandas import GeoSeries

DISTRICT_METRES: Final = 15.0
STREET_METRES: Final = 8.0
"""Smaller bends are left out: a screen shows a city at 10 m to the pixel."""

Line = list[int]
"""East and north in turn, in metres from the box's south-western corner: x0, y0, x1, y1, ..."""


class Area(BaseModel):
    """A named district, park or street with its lines, and the place of its label."""

    model_config = ConfigDict(frozen=True)

    name: str
    lines: list[Line]
    label: tuple[int, int]


class Ground(BaseModel):
    """The part that all maps of a city share."""

    model_config = ConfigDict(frozen=True)

    box: tuple[float, float, float, float]
    """South, west, north and east, in degrees."""
    width: int
    """Width and height of the box in metres."""
    height: int
    rows: int
    columns: int
    districts: list[Area]
    streets: list[Area]
    parks: list[Area]
    tiles: str
    """Address of the tiles of a base map; "" without one."""
    attribution: str
    places: dict[int, str]
    """Name of each covered cell, by row * columns + column."""
    extent: tuple[int, int, int, int]
    """Left, bottom, right and top of the covered cells in metres; the whole box without any."""

    @classmethod
    def of(cls, city: City, layers: CityLayers, places: Places, in_coverage: npt.NDArray[np.bool_]) -> "Ground":
        """Return the ground of a city's maps; cells `in_coverage`, shape (rows, columns), get names."""
        plane, box, (rows, columns) = Plane.of(city), city.box, city.shape
        row, column = np.nonzero(in_coverage if in_coverage.any() else np.ones(city.shape, dtype=bool))
        side_x, side_y = plane.width / columns, plane.height / rows
        named_row, named_column = np.nonzero(in_coverage)
        numbers = (named_row * columns + named_column).tolist()
        return cls(
            box=(box.south, box.west, box.north, box.east),
            width=round(plane.width),
            height=round(plane.height),
            rows=rows,
            columns=columns,
            districts=_areas(plane, layers.districts),
            streets=_streets(plane, layers.streets),
            parks=_areas(plane, layers.parks),
            tiles="" if city.base_map is None else city.base_map.tiles,
            attribution="" if city.base_map is None else city.base_map.attribution,
            places=dict(zip(numbers, places.names(named_row, named_column), strict=True)),
            extent=(
                round(column.min() * side_x),
                round(row.min() * side_y),
                round((column.max() + 1) * side_x),
                round((row.max() + 1) * side_y),
            ),
        )


def _areas(plane: Plane, layer: "GeoSeries | None") -> list[Area]:
    import shapely

    if layer is None:
        return []
    shapes: Any = shapely.transform(layer.to_numpy(), plane.metres)
    # Neighbours keep a common border where they are simplified together.
    is_coverage = shapely.coverage_is_valid(shapes)
    simplify = shapely.coverage_simplify if is_coverage else shapely.simplify
    shapes = simplify(shapes, DISTRICT_METRES)
    labels = shapely.get_coordinates(shapely.point_on_surface(shapes)).round().astype(int).tolist()
    return [
        Area(name=name, lines=lines_of(shapely.boundary(shape)), label=(label[0], label[1]))
        for name, shape, label in zip(layer.index, shapes, labels, strict=True)
    ]


def _streets(plane: Plane, layer: "GeoSeries | None") -> list[Area]:
    import shapely

    if layer is None:
        return []
    by_name: dict[str, list[Line]] = {}
    shapes = shapely.simplify(shapely.transform(layer.to_numpy(), plane.metres), STREET_METRES)
    for name, shape in zip(layer.index, shapes, strict=True):
        by_name.setdefault(name, []).extend(lines_of(shape))
    return [Area(name=name, lines=lines, label=_middle(lines)) for name, lines in by_name.items() if lines]


def _middle(lines: list[Line]) -> tuple[int, int]:
    longest = max(lines, key=len)
    at = 2 * (len(longest) // 4)
    return longest[at], longest[at + 1]


def lines_of(shape: object) -> list[Line]:
    """Return each line of a shape, in whole metres."""
    import shapely

    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("LineString", "LinearRing")]
    return [shapely.get_coordinates(part).round().astype(int).ravel().tolist() for part in parts]
