"""The geometry of the grid: its plane, the edges, size, middle, polygon and name of a cell, and the rounding of points."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.incidents import METRES_PER_DEGREE

DECIMALS: Final = 7
"""Decimals of a degree: about a centimetre."""

Edges = tuple[float, float, float, float]
"""West, south, east and north, in WGS84 degrees."""


@dataclass(frozen=True)
class Plane:
    """The city's box in metres east and north of its south-western corner."""

    west: float
    south: float
    metres_east: float  # length of a degree of longitude, at the middle of the box
    width: float
    height: float

    @classmethod
    def of(cls, city: City) -> "Plane":
        box = city.box
        metres_east = METRES_PER_DEGREE * math.cos(math.radians((box.south + box.north) / 2))
        width, height = (box.east - box.west) * metres_east, (box.north - box.south) * METRES_PER_DEGREE
        return cls(box.west, box.south, metres_east, width, height)

    def metres(self, degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (east, north) of (longitude, latitude), shape (points, 2)."""
        return (degrees - [self.west, self.south]) * [self.metres_east, METRES_PER_DEGREE]

    def degrees(self, metres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (longitude, latitude) of (east, north), shape (points, 2)."""
        return metres / [self.metres_east, METRES_PER_DEGREE] + [self.west, self.south]


def cell_edges(city: City, row: int, column: int) -> Edges:
    """Return the edges of a cell."""
    box, (rows, columns) = city.box, city.shape
    west, east = (box.west + (box.east - box.west) * edge / columns for edge in (column, column + 1))
    south, north = (box.south + (box.north - box.south) * edge / rows for edge in (row, row + 1))
    return round(west, DECIMALS), round(south, DECIMALS), round(east, DECIMALS), round(north, DECIMALS)


def cell_middles(
    city: City, row: npt.NDArray[np.integer], column: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (longitude, latitude) of the middles of cells, each of the shape of `row` and `column`."""
    box, (rows, columns) = city.box, city.shape
    longitude = box.west + (column + 0.5) / columns * (box.east - box.west)
    latitude = box.south + (row + 0.5) / rows * (box.north - box.south)
    return longitude, latitude


def cell_metres(city: City) -> tuple[float, float]:
    """Return (height, width) of a cell in metres, the width at the middle of the city's box."""
    plane = Plane.of(city)
    return plane.height / city.grid.rows, plane.width / city.grid.columns


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as R12C07."""
    return f"R{row:02d}C{column:02d}"


def polygon_feature(edges: Edges, properties: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """Return a rectangle as a GeoJSON feature (RFC 7946); `members` such as `id` are put after its type."""
    west, south, east, north = edges
    # Counter-clockwise and closed, as the standard wants outer rings.
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", **members, "geometry": geometry, "properties": dict(properties)}


STEPS_DEGREES: Final = (0.001, 0.0001)
"""Roundings that matter to grids and streets: three and four decimals, about 100 and 10 m."""

MIN_ROUNDED_SHARE: Final = 0.9
"""A few exact points among rounded ones change nothing."""


def rounding_step(degrees: npt.NDArray[np.float64]) -> float | None:
    """Return the coarsest step to which almost all coordinates are rounded; None if they are exact or none."""
    for step in STEPS_DEGREES if len(degrees) else ():
        if np.mean(np.abs(degrees / step - np.rint(degrees / step)) < 1e-6) >= MIN_ROUNDED_SHARE:
            return step
    return None
