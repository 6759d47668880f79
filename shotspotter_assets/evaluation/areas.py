"""Which named area of the city each cell lies in, for scores and burdens by area."""

import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.coverage_file import read_areas

OUTSIDE: Final = "outside the published areas"


@dataclass(frozen=True)
class CellAreas:
    """Areas of a grid.

    Attributes:
        kind: what the areas are, for people.
        names: the area of each cell, shape (rows, columns).
    """

    kind: str
    names: npt.NDArray[np.str_]


def cell_areas(city: City) -> CellAreas:
    """The areas of the city's coverage file, which is read, or the quadrants of the grid where there is none."""
    return quadrants(city.shape) if city.coverage is None else published_areas(city)


def quadrants(shape: tuple[int, int]) -> CellAreas:
    """The four quarters of a grid of (rows, columns); row 0 is the south, column 0 the west."""
    rows, columns = shape
    north = np.where(np.arange(rows) < rows / 2, "south", "north")
    east = np.where(np.arange(columns) < columns / 2, "west", "east")
    names = np.char.add(np.char.add(north, "-")[:, None], east[None])
    return CellAreas("quadrant of the grid, as no areas are published", names)


def published_areas(city: City) -> CellAreas:
    """The area of `City.coverage` that holds the centre of each cell; the first one of the file where they overlap."""
    import shapely  # type: ignore[import-untyped]

    assert city.coverage is not None
    box, (rows, columns) = city.box, city.shape
    longitude = box.west + (np.arange(columns) + 0.5) / columns * (box.east - box.west)
    latitude = box.south + (np.arange(rows) + 0.5) / rows * (box.north - box.south)
    names = np.full(city.shape, OUTSIDE, dtype=object)
    for name, geometry in reversed(read_areas(city.coverage.file, city.coverage.name_property)):
        area = shapely.make_valid(shapely.from_geojson(json.dumps(geometry)))
        names[shapely.intersects_xy(area, *np.meshgrid(longitude, latitude))] = name
    return CellAreas("published area", names.astype(np.str_))
