"""The shapes of a city's file: layers that name places, the background map, and streets whose segments are ranked."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from shotspotter_assets.cities.strict_model import SafeUrl, StrictModel


class Layer(StrictModel):
    """One file of named polygons or lines: GeoJSON, GeoParquet, GeoPackage or a shapefile."""

    path: Path  # a relative path starts at the folder of the city's file
    name: str = Field(min_length=1)  # the property, or column, that names each shape


TILES: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?/[A-Za-z0-9@./_{}-]*")
"""Only characters that a browser policy and an address need, so that nothing else gets into a page."""


def _tiles(address: str) -> str:
    if not TILES.fullmatch(address) or sorted(re.findall(r"{[^/]*?}", address)) != ["{x}", "{y}", "{z}"]:
        raise ValueError(
            "must be an address with {z}, {x} and {y} and without a query, such as https://tile.example.org/{z}/{x}/{y}.png"
        )
    return address


class BaseMap(StrictModel):
    """A map of streets and parks that pages fetch from a server, in Web Mercator tiles (XYZ)."""

    tiles: Annotated[SafeUrl, AfterValidator(_tiles)]  # address of a tile; readers of a page ask this server for it
    attribution: str = Field(min_length=1)  # credit as the map's terms of use require it


class Layers(StrictModel):
    """Files that name or draw places; null if there are none."""

    districts: Layer | None = None  # polygons of the city's parts: wards, police districts, neighbourhoods
    streets: Layer | None = None  # lines with street names; places are named after their nearest crossing
    parks: Layer | None = None  # polygons of parks, water and other open ground

    def given(self) -> dict[str, Layer]:
        """Return the layers that the file names, by key."""
        return {key: layer for key in type(self).model_fields if (layer := getattr(self, key)) is not None}


class Streets(Layer):
    """Street lines, also as an OpenStreetMap extract, that are ranked by segment; unnamed lines are left out."""

    number_from: str | None = None
    number_to: str | None = None  # columns of the lowest and highest house number along a line, for names by blocks
    only: dict[str, tuple[str, ...]] = Field({})  # permitted values by column; other lines are left out

    @model_validator(mode="after")
    def _has_both_numbers(self) -> "Streets":
        if (self.number_from is None) != (self.number_to is None):
            raise ValueError("give both number_from and number_to, or neither")
        return self
