"""The districts of a city: which one each cell lies in, and its name."""

from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import quadrants
from shotspotter_assets.grid.coverage import coverage_areas
from shotspotter_assets.grid.shapes import Areas, areas_of_cells
from shotspotter_assets.storage.arrays import Names

if TYPE_CHECKING:
    from geopandas import GeoSeries

OUTSIDE: Final = "outside the published areas"


def district_areas(city: City, layer: "GeoSeries | None" = None) -> Areas | None:
    """Return the named areas of the districts; None for a city without any, whose districts are quarters of the grid.

    Districts are the shapes of the layer `districts`, indexed by name, if it is given, else the areas of the coverage.
    """
    if layer is not None:
        return list(layer.items())
    return None if city.coverage is None else coverage_areas(city.coverage)


def cell_districts(city: City, areas: Areas | None, outside: str = "") -> Names:
    """Return the name of the district that each cell's middle lies in, `outside` where none does; shape (rows, columns)."""
    return quadrants(city.shape) if areas is None else areas_of_cells(city, areas, outside)
