"""Read the layers of a city's file: named polygons and lines within its box."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import Box, City
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.cities.shape_files import read_shapes


@dataclass(frozen=True)
class NamedShapes:
    """Shapes of a layer.

    Attributes:
        names: name of each shape.
        shapes: Shapely geometries in WGS84 degrees, cut to the city's box; shape (shapes,).
    """

    names: list[str]
    shapes: npt.NDArray[np.object_]


@dataclass(frozen=True)
class CityLayers:
    """The layers of a city; None for each that its file does not name."""

    districts: NamedShapes | None
    streets: NamedShapes | None
    parks: NamedShapes | None = None

    @classmethod
    def read(cls, city: City) -> "CityLayers":
        """Read the layers that the city's file names; without a layer of streets, ranked streets name places.

        Raises:
            ValueError: a file cannot be read, or has no such column; the message names city, key, file and remedy.
        """
        layers = {key: _read(city, f"layers.{key}", layer) for key, layer in city.layers.given().items()}
        if city.streets is not None and "streets" not in layers:
            layers["streets"] = _read(city, "streets", Layer(path=city.streets.path, name=city.streets.name))
        return cls(**{key: layers.get(key) for key in ("districts", "streets", "parks")})


def _read(city: City, key: str, layer: Layer) -> NamedShapes:
    where = f"City {city.name}, {key}: {layer.path}"
    try:
        frame = read_shapes(layer.path)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None
    columns = [name for name in frame.columns if name != frame.geometry.name]
    if layer.name not in columns:
        raise ValueError(f"{where} has no column {layer.name}; it has {', '.join(columns)}. Correct `name`.")
    frame = frame[frame[layer.name].notna()]
    return _within(city.box, [_named(layer.name, value) for value in frame[layer.name]], frame.geometry.to_numpy())


def _named(column: str, value: object) -> str:
    """Return a name; a mere number is preceded by its column ("ward 8")."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return f"{column.replace('_', ' ')} {text}" if text.isdecimal() else text


def _within(box: Box, names: list[str], shapes: npt.NDArray[np.object_]) -> NamedShapes:
    import shapely

    is_area = np.isin(shapely.get_type_id(shapes), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    shapes = np.where(is_area, shapely.make_valid(shapes), shapes)
    cut = shapely.clip_by_rect(shapes, box.west, box.south, box.east, box.north)
    keep = ~shapely.is_empty(cut) & np.array([bool(name) for name in names], dtype=bool)
    return NamedShapes([name for name, kept in zip(names, keep, strict=True) if kept], cut[keep])
