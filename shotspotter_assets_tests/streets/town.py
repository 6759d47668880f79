"""A town of straight streets: every 0.01 degrees one to the north and one to the east, in files of any kind."""

from pathlib import Path
from typing import Any

import geopandas
import shapely

from shotspotter_assets.cities.city import City

CITY = {
    "name": "square_town",
    "time_zone": "America/New_York",
    "start": "2021-01-01",
    "box": {"west": -77.0, "south": 38.0, "east": -76.9, "north": 38.1},
    "grid": {"rows": 10, "columns": 10},
    "source": {"kind": "simulated"},
}
AVENUES, STREETS = 9, 9
"""Avenues run north, streets east, none along the edge of the box; they end 0.005 degrees beyond the last crossing."""


def street_rows() -> tuple[list[str], list[shapely.LineString]]:
    """Names and lines of the whole streets."""
    ends = (0.005, 0.095)
    names = [f"{number}th Ave" for number in range(1, AVENUES + 1)] + [f"{letter} St" for letter in "ABCDEFGHI"]
    lines = [shapely.LineString([(-77.0 + 0.01 * at, 38.0 + end) for end in ends]) for at in range(1, AVENUES + 1)] + [
        shapely.LineString([(-77.0 + end, 38.0 + 0.01 * at) for end in ends]) for at in range(1, STREETS + 1)
    ]
    return names, lines


def frame_of(names: list[Any], lines: list[Any], **columns: Any) -> geopandas.GeoDataFrame:
    """Lines with names in WGS84."""
    return geopandas.GeoDataFrame({"name": names, **columns}, geometry=lines, crs=4326)


def town() -> geopandas.GeoDataFrame:
    """The whole streets."""
    return frame_of(*street_rows())


def written(folder: Path, frame: geopandas.GeoDataFrame, file: str = "streets.parquet") -> Path:
    """The file with the frame."""
    frame.to_parquet(folder / file) if file.endswith("parquet") else frame.to_file(folder / file)
    return folder / file


def city_with(path: Path, **settings: Any) -> City:
    """The town's City with a file of streets."""
    return City.model_validate(CITY | {"streets": {"path": path, "name": "name"} | settings})
