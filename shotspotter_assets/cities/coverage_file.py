"""The GeoJSON file of a city's published coverage."""

import json
from pathlib import Path
from typing import Any


def read_areas(file: Path, name_property: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, GeoJSON geometry) of each polygon in the file's order; an area may have several.

    Raises:
        ValueError: the file is missing or no GeoJSON FeatureCollection of polygons that have the property.
    """
    try:
        features = json.loads(file.read_bytes())["features"]
        areas = [(feature["properties"] or {}, feature["geometry"]) for feature in features]
        kinds = {geometry["type"] for _, geometry in areas}
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist; a relative path starts at the folder of the city's file") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{file} cannot be read as a GeoJSON FeatureCollection: {error!r}") from None
    if not kinds <= {"Polygon", "MultiPolygon"}:
        raise ValueError(f"{file} holds {', '.join(sorted(kinds))}; coverage is given by Polygon and MultiPolygon")
    for properties, _ in areas:
        if name_property not in properties:
            raise ValueError(f"{file}: a polygon lacks the property {name_property}; it has: {', '.join(properties)}")
    return [(str(properties[name_property]), geometry) for properties, geometry in areas]


def read_polygons(file: Path, name_property: str) -> list[tuple[str, Any]]:
    """`read_areas` with valid Shapely polygons."""
    import shapely

    areas = read_areas(file, name_property)
    return [(name, shapely.make_valid(shapely.from_geojson(json.dumps(geometry)))) for name, geometry in areas]
