"""Read the layers of a city's file: named polygons and lines within its box."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.geometry.shapes import read_shapes, require_column

if TYPE_CHECKING:
    from geopandas import GeoSeries

CityLayers = Mapping[str, "GeoSeries"]
"""Shapes indexed by their names, in WGS84 degrees and cut to the city's box, by the layer's key."""


def read_layers(city: City) -> CityLayers:
    """Read the layers of the city's file; without a layer of streets, ranked streets name places.

    The ValueError of a file that cannot be used names city, key, file and remedy.
    """
    layers = {key: _read(city, f"layers.{key}", layer) for key, layer in city.layers.given().items()}
    if city.streets is not None and "streets" not in layers:
        layers["streets"] = _read(city, "streets", city.streets)
    return layers


def _read(city: City, key: str, layer: Layer) -> "GeoSeries":
    try:
        frame = read_shapes(layer.path)
        require_column(frame, "name", layer.name)
    except ValueError as error:
        raise ValueError(f"City {city.name}, {key}: {layer.path} {error}.") from None
    frame = frame[frame[layer.name].notna()]
    shapes = frame.geometry.copy()
    is_area = shapes.geom_type.isin(["Polygon", "MultiPolygon"])
    shapes[is_area] = shapes[is_area].make_valid()
    shapes = shapes.clip_by_rect(*city.box.edges)
    shapes.index = [_named(layer.name, value) for value in frame[layer.name]]
    return shapes[~shapes.is_empty & (shapes.index != "")]


def _named(column: str, value: object) -> str:
    """Return a name; a number is preceded by its column ("ward 8")."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return f"{column.replace('_', ' ')} {text}" if text.isdecimal() else text
