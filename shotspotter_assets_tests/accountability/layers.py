"""Made-up audit layers: the western and the eastern half of a city, each with its own group."""

import json
from pathlib import Path
from typing import Any

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.shapes import polygon_feature

Row = dict[str, float | None]
WEST: Row = {"all": 30_000, "west": 27_000, "east": 3_000, "income": 40_000, "margin": 500}
EAST: Row = {"all": 20_000, "west": 1_000, "east": 19_000, "income": 80_000, "margin": 500}


def write_polygons(folder: Path, rows: list[tuple[tuple[float, float, float, float], Row]]) -> Path:
    """Write rectangles with figures as GeoJSON."""
    features = [polygon_feature(edges, {"name": f"part {number}", **row}) for number, (edges, row) in enumerate(rows)]
    file = folder / "residents.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def write_halves(folder: Path, city: City, west: Row = WEST, east: Row = EAST) -> dict[str, Any]:
    """Write both halves of a city's box, and return the section `audit` of its file."""
    box = city.box
    middle = (box.west + box.east) / 2
    halves = [((box.west, box.south, middle, box.north), west), ((middle, box.south, box.east, box.north), east)]
    return audit_section(write_polygons(folder, halves))


def audit_section(file: Path) -> dict[str, Any]:
    """The section `audit` of a city's file for columns as of `WEST`."""
    return {
        "path": file, "name": "name", "year": 2022,
        "residents": {"column": "all", "margin": "margin"},
        "groups": {name: {"column": column, "margin": "margin"} for name, column in
                   (("west people", "west"), ("east people", "east"))},
        "income": {"column": "income", "margin": "margin"},
    }  # fmt: skip
