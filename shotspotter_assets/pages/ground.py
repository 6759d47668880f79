"""The ground of a city's maps in Leaflet: districts, parks and streets in GeoJSON, and names of cells."""

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.city_layers import CityLayers
from shotspotter_assets.pages.places import Places

if TYPE_CHECKING:
    from geopandas import GeoSeries

TOLERANCE_DEGREES: Final = 1e-4
"""Smaller bends are dropped: a screen shows a city at 10 m to the pixel."""
PRECISION_DEGREES: Final = 1e-5


class Ground(BaseModel):
    """The common part of all maps of a city."""

    box: tuple[float, float, float, float]
    """South, west, north and east, in degrees."""
    rows: int
    columns: int
    layers: dict[str, dict[str, Any]]
    """GeoJSON with a `name` for each shape, by layer key."""
    tiles: str
    """Address of the base map's tiles; "" without one."""
    attribution: str
    places: dict[int, str]
    """Name of each shown cell, by row * columns + column."""

    @classmethod
    def of(cls, city: City, layers: CityLayers, places: Places, cells: npt.NDArray[np.int64]) -> "Ground":
        """Return the ground of maps that show `cells`, given as row * columns + column."""
        box, base_map = city.box, city.base_map
        given = {"parks": layers.parks, "streets": layers.streets, "districts": layers.districts}
        return cls(
            box=(box.south, box.west, box.north, box.east),
            rows=city.grid.rows,
            columns=city.grid.columns,
            layers={key: _geojson(shapes) for key, shapes in given.items() if shapes is not None},
            tiles="" if base_map is None else base_map.tiles,
            attribution="" if base_map is None else base_map.attribution,
            places=dict(zip(cells.tolist(), places.names(*np.divmod(cells, city.grid.columns)), strict=True)),
        )


def _geojson(shapes: "GeoSeries") -> dict[str, Any]:
    simple = shapes.simplify(TOLERANCE_DEGREES).set_precision(PRECISION_DEGREES).rename_axis("name")
    drawn: dict[str, Any] = json.loads(simple[~simple.is_empty].rename("geometry").reset_index().to_json(drop_id=True))
    return drawn
