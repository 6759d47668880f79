"""What lies under the cells of a map, as the browser draws it: outlines of districts, and streets, in whole metres."""

from typing import Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import BaseMap
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.pages.chances import CHANCE_CLASSES, MIN_IN_TEN, ONE_IN
from shotspotter_assets.pages.layers import CityLayers, NamedShapes
from shotspotter_assets.pages.places import Places

DISTRICT_METRES: Final = 15.0
STREET_METRES: Final = 8.0
"""Bends smaller than these are left out: a screen shows a city at 10 m to the pixel."""

MAX_TILES: Final = 40
"""Of a base map, which is as fine as they allow: about a megabyte."""
FINEST_ZOOM: Final = 16
"""Of tiles: 2 m to the pixel."""

Line = list[int]
"""East and north in turn: x0, y0, x1, y1, ..."""


class Area(BaseModel):
    """A district or a park with its outlines, and where its name stands."""

    model_config = ConfigDict(frozen=True)

    name: str
    lines: list[Line]
    label: tuple[int, int]


class Street(BaseModel):
    """A street with its lines."""

    model_config = ConfigDict(frozen=True)

    name: str
    lines: list[Line]


class Tile(BaseModel):
    """A picture of the base map: its address, and its corners in metres."""

    model_config = ConfigDict(frozen=True)

    address: str
    west: float
    south: float
    east: float
    north: float


class Ground(BaseModel):
    """What all maps of a city share."""

    model_config = ConfigDict(frozen=True)

    width: int
    """Metres."""
    height: int
    rows: int
    columns: int
    districts: list[Area]
    streets: list[Street]
    parks: list[Area]
    tiles: list[Tile]
    attribution: str
    """Of the base map; "" without one."""
    places: dict[int, str]
    """Name of each covered cell, by row * columns + column."""
    classes: list[tuple[float, str]]
    """Least probability and words of each class of the legend."""
    one_in: list[int]
    """See `chances`, as `min_in_ten`."""
    min_in_ten: float

    @classmethod
    def of(cls, city: City, layers: CityLayers, places: Places, in_coverage: npt.NDArray[np.bool_]) -> "Ground":
        """The ground of a city's maps; cells `in_coverage`, shape (rows, columns), get names."""
        plane = Plane.of(city)
        row, column = np.nonzero(in_coverage)
        numbers = (row * city.grid.columns + column).tolist()
        return cls(
            width=round(plane.width),
            height=round(plane.height),
            rows=city.grid.rows,
            columns=city.grid.columns,
            districts=_areas(plane, layers.districts),
            streets=_streets(plane, layers.streets),
            parks=_areas(plane, layers.parks),
            tiles=[] if city.base_map is None else _tiles(city, plane, city.base_map),
            attribution="" if city.base_map is None else city.base_map.attribution,
            places=dict(zip(numbers, places.names(row, column), strict=True)),
            classes=[(one.at_least, one.words) for one in CHANCE_CLASSES],
            one_in=list(ONE_IN),
            min_in_ten=MIN_IN_TEN,
        )


def host_of(base_map: BaseMap) -> str:
    """The server of a base map, as a browser's policy names it."""
    parts = urlsplit(base_map.tiles)
    return f"{parts.scheme}://{parts.netloc}"


def _tiles(city: City, plane: Plane, base_map: BaseMap) -> list[Tile]:
    """The tiles over a city's box. Within one, Mercator and the plane differ by less than a pixel."""
    import morecantile

    scheme, box = morecantile.tms.get("WebMercatorQuad"), city.box
    for zoom in range(FINEST_ZOOM, 0, -1):
        tiles = list(scheme.tiles(box.west, box.south, box.east, box.north, [zoom]))
        if len(tiles) <= MAX_TILES:
            break
    corners = [scheme.bounds(tile) for tile in tiles]
    metres = plane.metres(np.array([[corner[0:2], corner[2:4]] for corner in corners]))
    return [
        Tile(
            address=base_map.tiles.format(z=tile.z, x=tile.x, y=tile.y),
            west=low[0],
            south=low[1],
            east=high[0],
            north=high[1],
        )
        for tile, (low, high) in zip(tiles, metres.round(1).tolist(), strict=True)
    ]


def _areas(plane: Plane, layer: NamedShapes | None) -> list[Area]:
    import shapely

    if layer is None:
        return []
    shapes = shapely.transform(layer.shapes, plane.metres)
    # Together, so that neighbours keep a common border.
    shapes = shapely.coverage_simplify(shapes, DISTRICT_METRES) if _is_coverage(shapes) else _simpler(shapes)
    labels = shapely.get_coordinates(shapely.point_on_surface(shapes)).round().astype(int).tolist()
    return [
        Area(name=name, lines=lines_of(shapely.boundary(shape)), label=(label[0], label[1]))
        for name, shape, label in zip(layer.names, shapes, labels, strict=True)
    ]


def _is_coverage(shapes: npt.NDArray[np.object_]) -> bool:
    import shapely

    return bool(shapely.coverage_is_valid(shapes))


def _simpler(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    import shapely

    return shapely.simplify(shapes, DISTRICT_METRES)


def _streets(plane: Plane, layer: NamedShapes | None) -> list[Street]:
    import shapely

    if layer is None:
        return []
    lines = shapely.simplify(shapely.transform(layer.shapes, plane.metres), STREET_METRES)
    by_name: dict[str, list[Line]] = {}
    for name, shape in zip(layer.names, lines, strict=True):
        by_name.setdefault(name, []).extend(lines_of(shape))
    return [Street(name=name, lines=of_street) for name, of_street in by_name.items()]


def lines_of(shape: object) -> list[Line]:
    """Each line of a shape in metres, in whole ones."""
    import shapely

    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("LineString", "LinearRing")]
    return [shapely.get_coordinates(part).round().astype(int).ravel().tolist() for part in parts]
