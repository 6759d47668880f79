"""Areas among which a plan shares out units."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import cell_middles, quadrants
from shotspotter_assets.geometry.shapes import names_at, read_areas

OUTSIDE: Final = "outside the published areas"


def cell_areas(city: City) -> npt.NDArray[np.str_]:
    """Return the area of each cell, shape (rows, columns): of the coverage file, or a quadrant of the grid without one.

    A published area has the cells whose middle it holds; of several, the first one in the file.

    Raises:
        ValueError: the coverage file cannot be used, as `geometry.shapes.read_areas` says.
    """
    if city.coverage is None:
        return quadrants(city.shape)
    areas = read_areas(city.coverage.file, city.coverage.name_property, city.coverage.areas)
    return names_at(areas, *cell_middles(city, *np.indices(city.shape)), OUTSIDE)
