"""Where a cell lies and what it is called: its edges, its size, its middle, its polygon and its name."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.incidents import METRES_PER_DEGREE

DECIMALS: Final = 7
"""Of a degree: about a centimetre."""

Edges = tuple[float, float, float, float]
"""West, south, east and north, in WGS84 degrees."""


def cell_edges(city: City, row: int, column: int, size: int = 1) -> Edges:
    """Edges of the cell, or of the `size` x `size` cells whose south-western one it is."""
    box, (rows, columns) = city.box, city.shape
    west, east = (box.west + (box.east - box.west) * edge / columns for edge in (column, column + size))
    south, north = (box.south + (box.north - box.south) * edge / rows for edge in (row, row + size))
    return round(west, DECIMALS), round(south, DECIMALS), round(east, DECIMALS), round(north, DECIMALS)


def cell_middles(
    city: City, row: npt.NDArray[np.integer], column: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(longitude, latitude) of the middles of cells, each of the shape of `row` and `column`."""
    box, (rows, columns) = city.box, city.shape
    longitude = box.west + (column + 0.5) / columns * (box.east - box.west)
    latitude = box.south + (row + 0.5) / rows * (box.north - box.south)
    return longitude, latitude


def cell_metres(city: City) -> tuple[float, float]:
    """(height, width) of a cell in metres, the width at the middle of the city's box."""
    box = city.box
    height = (box.north - box.south) / city.grid.rows * METRES_PER_DEGREE
    narrowing = math.cos(math.radians((box.south + box.north) / 2))
    return height, (box.east - box.west) / city.grid.columns * METRES_PER_DEGREE * narrowing


def cell_name(row: int, column: int, size: int = 1) -> str:
    """Name of a cell or of the `size` x `size` cells north-east of it: R12C07, or R12-13C06-07 for 2 x 2 cells."""
    if size == 1:
        return f"R{row:02d}C{column:02d}"
    return f"R{row:02d}-{row + size - 1:02d}C{column:02d}-{column + size - 1:02d}"


def polygon_feature(edges: Edges, properties: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """A GeoJSON feature (RFC 7946) of a rectangle; `members` such as `id` are put after its type."""
    west, south, east, north = edges
    # Counter-clockwise and closed, as the standard wants outer rings.
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", **members, "geometry": geometry, "properties": dict(properties)}
