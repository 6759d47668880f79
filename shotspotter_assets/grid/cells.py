"""Cells of a grid: plane, size, edges, middles, shapes and names, and the cell of a point.

Row 0 is the south, column 0 the west. Numbers of cells count row by row: row x columns + column.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from shotspotter_assets.cities.box import Box, Edges, Gridded
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Names, Shapes

METRES_PER_DEGREE: Final = 111_320.0  # length of a degree of latitude, and of longitude at the equator, on a sphere
DECIMALS: Final = 7  # about a centimetre
STEPS_DEGREES: Final = (0.001, 0.0001)
COARSE_STEP_METRES: Final = 50  # from here on many streets are shorter than a step
MIN_ROUNDED_SHARE: Final = 0.9
MIN_ROUNDED_POINTS: Final = 100  # fewer points may have few decimals by chance


@dataclass(frozen=True)
class Plane:
    """A box in metres east and north of its south-western corner."""

    west: float
    south: float
    metres_east: float  # length of a degree of longitude, at the middle of the box
    width: float
    height: float

    @classmethod
    def of(cls, box: Box) -> "Plane":
        """Return the plane of a box in WGS84 degrees."""
        metres_east = METRES_PER_DEGREE * math.cos(math.radians((box.south + box.north) / 2))
        return cls(
            west=box.west,
            south=box.south,
            metres_east=metres_east,
            width=(box.east - box.west) * metres_east,
            height=(box.north - box.south) * METRES_PER_DEGREE,
        )

    @property
    def aspect(self) -> float:
        """Length of a degree of latitude over that of a degree of longitude."""
        return METRES_PER_DEGREE / self.metres_east

    def step_text(self, step: float) -> str:
        """Return a step of points in degrees with its size, such as 0.001 degrees (111 x 87 m)."""
        return f"{step:g} degrees ({step * METRES_PER_DEGREE:.0f} x {step * self.metres_east:.0f} m)"

    def metres(self, degrees: Array) -> Array:
        """Return (east, north) of (longitude, latitude), shape (points, 2)."""
        return (degrees - [self.west, self.south]) * [self.metres_east, METRES_PER_DEGREE]

    def degrees(self, metres: Array) -> Array:
        """Return (longitude, latitude) of (east, north), shape (points, 2)."""
        return metres / [self.metres_east, METRES_PER_DEGREE] + [self.west, self.south]


def are_rounded(degrees: Array, step: float) -> Booleans:
    """Flag multiples of `step`, same shape."""
    return abs(degrees / step - (degrees / step).round()) < 1e-6


def rounding_step(points: Array) -> float:
    """Return the step in degrees to which nearly all points are rounded, shape (points, 2); 0 for exact ones, or few."""
    rounded = (step for step in STEPS_DEGREES if are_rounded(points, step).all(axis=1).mean() >= MIN_ROUNDED_SHARE)
    return next(rounded, 0.0) if len(points) >= MIN_ROUNDED_POINTS else 0.0


def cell_metres(city: Gridded) -> tuple[float, float]:
    """Return (height, width) of a cell in metres, the width at the middle of the box."""
    plane = Plane.of(city.box)
    return plane.height / city.grid.rows, plane.width / city.grid.columns


def cell_edges(city: Gridded, row: int, column: int) -> Edges:
    """Return the edges of a cell, rounded to `DECIMALS`."""
    corners = grid_degrees(city, np.array([row, row + 1]), np.array([column, column + 1]))
    (west, east), (south, north) = ([round(edge, DECIMALS) for edge in axis.tolist()] for axis in corners)
    return west, south, east, north


def grid_degrees(city: Gridded, row: Any, column: Any) -> tuple[Array, Array]:
    """Return (longitude, latitude) of points in fractional cells from the box's south-western corner, same shape."""
    box = city.box
    longitude = box.west + column / city.grid.columns * (box.east - box.west)
    latitude = box.south + row / city.grid.rows * (box.north - box.south)
    return longitude, latitude


def cell_middles(city: Gridded, row: npt.NDArray[np.integer], column: npt.NDArray[np.integer]) -> tuple[Array, Array]:
    """Return (longitude, latitude) of the middles of cells, same shape."""
    return grid_degrees(city, row + 0.5, column + 0.5)


def cells_at(city: Gridded, longitude: Array, latitude: Array) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Return (row, column) of points within the box, same shape; on an edge, the northern or eastern cell."""
    box = city.box
    rows, columns = city.grid.shape
    row = np.floor((latitude - box.south) / (box.north - box.south) * rows)
    column = np.floor((longitude - box.west) / (box.east - box.west) * columns)
    return np.minimum(row, rows - 1).astype(np.int16), np.minimum(column, columns - 1).astype(np.int16)


def cell_numbers(city: Gridded, row: Any, column: Any) -> Integers:
    """Return the numbers of cells, same shape; beyond the grid, those at its edge."""
    return np.asarray(np.ravel_multi_index((row, column), city.grid.shape, mode="clip"))


def numbers_at(city: Gridded, longitude: Array, latitude: Array) -> Integers:
    """Return the number of each point's cell, -1 outside the box; same shape."""
    return np.where(city.box.holds(longitude, latitude), cell_numbers(city, *cells_at(city, longitude, latitude)), -1)


def cell_shapes(city: Gridded) -> Shapes:
    """Return all cells as Shapely boxes in metres of the box's `Plane`, shape (cells,)."""
    height, width = cell_metres(city)
    row, column = np.indices(city.grid.shape).reshape(2, -1)
    return shapely.box(column * width, row * height, (column + 1) * width, (row + 1) * height)


def quadrants(shape: tuple[int, int]) -> Names:
    """Return the name of the quarter of the grid that each cell lies in, such as south-west; shape (rows, columns)."""
    rows, columns = shape
    north = np.where(np.arange(rows) < rows / 2, "south", "north")
    east = np.where(np.arange(columns) < columns / 2, "west", "east")
    return np.char.add(np.char.add(north, "-")[:, None], east[None])


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as R12C07."""
    return f"R{row:02d}C{column:02d}"
