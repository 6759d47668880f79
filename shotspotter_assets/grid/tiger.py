"""Streets and areas of a box from TIGER/Line files of the US Census Bureau.

Layout: https://www.census.gov/programs-surveys/geography/technical-documentation/complete-technical-documentation/tiger-geo-line.html
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.box import Box
from shotspotter_assets.grid.shapes import named_rows, read_shapes, require_column, rows_in_box

if TYPE_CHECKING:
    import geopandas

AREA_NAMES: Final = re.compile(r"NAME(LSAD)?(\d\d)?")  # with the census's year in some vintages


def tiger_streets(files: Sequence[Path], box: Box) -> "geopandas.GeoDataFrame":
    """Return named roads of counties (tl_YYYY_SSCCC_roads) in the box, with class (`mtfcc`); raise ValueError with the file."""
    import pandas as pd

    roads = pd.concat([_named("--roads", file, box, "FULLNAME", "MTFCC", "RTTYP") for file in files], ignore_index=True)
    # A road may be there once under each name. The first one names its segments: the common name before numbers.
    roads = roads.sort_values("RTTYP", key=lambda kinds: kinds != "M", kind="stable")
    return roads.rename(columns={"MTFCC": "mtfcc"})[["name", "mtfcc", "geometry"]]


def tiger_areas(file: Path, box: Box) -> "geopandas.GeoDataFrame":
    """Return the areas of a file (places, county subdivisions, tracts) within the box, with their `name`."""
    return _named("--areas", file, box)[["name", "geometry"]]


def _named(option: str, file: Path, box: Box, *columns: str) -> "geopandas.GeoDataFrame":
    """Return the shapes with a name, by default that of areas, cut to the box."""
    if not file.is_file():
        raise ValueError(f"{option}: {file} does not exist.")
    try:
        frame = read_shapes(file)
        for column in columns or _area_names(frame):
            require_column(frame, option, column)
        column = (columns or _area_names(frame))[0]
        named = named_rows(rows_in_box(frame, box), option, column)
    except ValueError as error:
        raise ValueError(f"{option}: {file} {error}.") from None
    shapes = named.geometry if columns else named.geometry.make_valid()
    named = named.assign(geometry=shapes.clip_by_rect(*box.edges))
    return named[~named.geometry.is_empty].drop(columns="name", errors="ignore").rename(columns={column: "name"})


def _area_names(frame: "geopandas.GeoDataFrame") -> list[str]:
    """Return the columns of names, the better one first: names of tracts are numbers, and only the longer form says of what."""
    columns = sorted(column for column in frame.columns if AREA_NAMES.fullmatch(column)) or ["NAME"]
    has_words = columns[0] in frame.columns and frame[columns[0]].astype(str).str.contains("[A-Za-z]").any()
    return columns if has_words else columns[::-1]
