"""The named area in which each cell of a city lies."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.shape_files import coverage_polygons
from shotspotter_assets.gridding.cells import cell_middles

OUTSIDE: Final = "outside the published areas"


def cell_areas(city: City) -> npt.NDArray[np.str_]:
    """Return the area of each cell, shape (rows, columns): of the coverage file, or a quadrant of the grid without one.

    A published area has the cells whose middle it holds; of several, the first one in the file.
    """
    if city.coverage is None:
        return quadrants(city.shape)
    import shapely

    longitude, latitude = cell_middles(city, *np.indices(city.shape))
    names = np.full(city.shape, OUTSIDE, dtype=object)
    for name, area in reversed(coverage_polygons(city.coverage)):
        names[shapely.intersects_xy(area, longitude, latitude)] = name
    return names.astype(np.str_)


def quadrants(shape: tuple[int, int]) -> npt.NDArray[np.str_]:
    """Return the four quarters of a grid of (rows, columns); row 0 is the south, column 0 the west."""
    rows, columns = shape
    north = np.where(np.arange(rows) < rows / 2, "south", "north")
    east = np.where(np.arange(columns) < columns / 2, "west", "east")
    return np.char.add(np.char.add(north, "-")[:, None], east[None])
