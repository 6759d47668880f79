"""The ground of a city's maps in Leaflet: districts, parks and streets in GeoJSON, and names of cells."""

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.city_layers import CityLayers
from shotspotter_assets.pages.places import Places

if TYPE_CHECKING:
    from geopandas import GeoSeries

TOLERANCE_DEGREES: Final = 1e-4
"""Smaller bends are dropped: a screen shows a city at 10 m to the pixel."""
PRECISION_DEGREES: Final = 1e-5


def ground_of(city: City, layers: CityLayers, places: Places, cells: Integers) -> dict[str, Any]:
    """Return the common part of maps that show `cells`, given as row * columns + column, for `map.js`.

    `box` is (south, west, north, east), `places` names the cells, and `tiles` is "" without a base map.
    """
    box, base_map = city.box, city.base_map
    return {
        "box": (box.south, box.west, box.north, box.east),
        "rows": city.grid.rows,
        "columns": city.grid.columns,
        "layers": {key: _geojson(layers[key]) for key in ("parks", "streets", "districts") if key in layers},
        "tiles": "" if base_map is None else base_map.tiles,
        "attribution": "" if base_map is None else base_map.attribution,
        "places": dict(zip(cells.tolist(), places.names(*np.unravel_index(cells, city.shape)), strict=True)),
    }


def _geojson(shapes: "GeoSeries") -> dict[str, Any]:
    simple = shapes.simplify(TOLERANCE_DEGREES).set_precision(PRECISION_DEGREES).rename_axis("name")
    drawn: dict[str, Any] = json.loads(simple[~simple.is_empty].rename("geometry").reset_index().to_json(drop_id=True))
    return drawn
