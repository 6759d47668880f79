"""The shapes of a city's file: layers that name places, the map under them, and streets whose segments are ranked."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from shotspotter_assets.cities.source_settings import SafeUrl, StrictModel


class Layer(StrictModel):
    """One file of named polygons or lines: GeoJSON, GeoParquet, GeoPackage or a shapefile."""

    path: Path
    """A relative path starts at the folder of the city's file."""
    name: str = Field(min_length=1)
    """The property, or column, that names each shape."""


TILES: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?/[A-Za-z0-9@./_{}-]*")
"""No more than a browser's policy and an address need, so that nothing else gets into a page."""


def _tiles(address: str) -> str:
    if not TILES.fullmatch(address) or sorted(re.findall(r"{[^/]*?}", address)) != ["{x}", "{y}", "{z}"]:
        raise ValueError(
            "must be an address with {z}, {x} and {y} and without a query, such as https://tile.example.org/{z}/{x}/{y}.png"
        )
    return address


class BaseMap(StrictModel):
    """A map of streets and parks that the pages fetch from a server, in tiles of the Web Mercator scheme (XYZ)."""

    tiles: Annotated[SafeUrl, AfterValidator(_tiles)]
    """Address of a tile. Whoever opens a page asks this server for the tiles of the city."""
    attribution: str = Field(min_length=1)
    """Whose map it is, as its terms of use want it to be shown."""


class Layers(StrictModel):
    """Files that name or draw places; null for none."""

    districts: Layer | None = None
    """Polygons that people know the parts of the city by: wards, police districts, neighbourhoods."""
    streets: Layer | None = None
    """Lines with the names of streets; places are then named after their nearest crossing."""
    parks: Layer | None = None
    """Polygons of parks, water and other open ground, which help to find one's way on a map."""

    def given(self) -> dict[str, Layer]:
        """The layers that the file names, by their key."""
        return {key: layer for key in type(self).model_fields if (layer := getattr(self, key)) is not None}


class Streets(StrictModel):
    """Street lines whose segments between crossings are ranked; without `layers.streets` they name places too.

    A file: GeoParquet, GeoPackage, GeoJSON, a shapefile or an OpenStreetMap extract.
    """

    path: Path
    """A relative path starts at the folder of the city's file."""
    name: str = Field(min_length=1)
    """The column that names each line; lines without a name are left out."""
    number_from: str | None = None
    number_to: str | None = None
    """Columns of the lowest and highest house number along a line, for names by blocks; null where there are none."""
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Values that a column must have, by its name; other lines, such as freeways, are left out."""

    @model_validator(mode="after")
    def _has_both_numbers(self) -> "Streets":
        if (self.number_from is None) != (self.number_to is None):
            raise ValueError("give both number_from and number_to, or neither")
        return self
