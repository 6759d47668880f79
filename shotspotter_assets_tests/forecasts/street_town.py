"""A town of straight streets: every 0.01 degrees one to the north and one to the east, in files of any kind."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from shotspotter_assets.cities.box import Box
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.city_files import CityFile
from shotspotter_assets_tests.made_up_city import made_up_city

CITY = made_up_city("square_town", (-77.0, 38.0, -76.9, 38.1), (10, 10))
AVENUES = 9
STREETS = 9
"""Avenues run north, streets east, none along the edge of the box; they end 0.005 degrees beyond the last crossing."""
PIECES = 2 * AVENUES * (STREETS + 1)


def street_rows() -> tuple[list[str], list[shapely.LineString]]:
    ends = (0.005, 0.095)
    names = [f"{number}th Ave" for number in range(1, AVENUES + 1)] + [f"{letter} St" for letter in "ABCDEFGHI"]
    north = [[(-77.0 + 0.01 * at, 38.0 + end) for end in ends] for at in range(1, AVENUES + 1)]
    east = [[(-77.0 + end, 38.0 + 0.01 * at) for end in ends] for at in range(1, STREETS + 1)]
    return names, list(map(shapely.LineString, north + east))


def frame_of(names: list[Any], lines: list[Any], **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"name": names, **columns}, geometry=lines, crs=4326)


def town() -> geopandas.GeoDataFrame:
    return frame_of(*street_rows())


def written(folder: Path, frame: geopandas.GeoDataFrame, file: str = "streets.parquet") -> Path:
    frame.to_parquet(folder / file) if file.endswith("parquet") else frame.to_file(folder / file)
    return folder / file


def city_with(path: Path, **settings: Any) -> City:
    return CityFile.model_validate(CITY.model_dump() | {"streets": {"path": path, "name": "name"} | settings})


def lattice(file: Path, box: Box, streets: int, avenues: int) -> Streets:
    """Write streets from west to east and avenues from south to north, evenly over a box."""
    width = box.east - box.west
    height = box.north - box.south
    across = [[(box.west, y), (box.east, y)] for y in box.south + height * np.linspace(0.1, 0.9, streets)]
    along = [[(x, box.south), (x, box.north)] for x in box.west + width * np.linspace(0.1, 0.9, avenues)]
    names = [f"{at}th St" for at in range(streets)] + [f"{chr(65 + at)} Ave" for at in range(avenues)]
    frame_of(names, [shapely.LineString(ends) for ends in across + along]).to_parquet(file)
    return Streets(path=file, name="name")
