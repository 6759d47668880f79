"""The places of a city's file: layers that name them, the background map, streets whose segments are ranked, and factors.

Contributing factors are inputs about places and days. Race and its proxies are refused.
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

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


REFUSED: Final = re.compile(
    # Anywhere, as in pctblack or nonhispanic.
    r"hispanic|latin[oax]|ethnic|racial|asian|black|white|hawaii|minorit|foreign|im+igra|citizen|nativity|indigenous|aborigin"
    r"|ancestr|nationalit|language|linguist|religi|muslim|islam|mosque|synagogue|surname|birthplace"
    # As a separate word.
    r"|\b(?:races?|hisp|blk|wht|nh[wb]|aian|nhp?i|nhopi|aapi|poc|bipoc|african|native|trib(?:e|al)|indian|english|lep|spanish|born"
    r"|jewish|of birth|birth (?:place|country))\b"
    # Tables of the US Census: race, Hispanic origin, ancestry, nativity, place of birth and language; any table by race; profiles
    # that have them among their lines; decennial counts by race and origin.
    r"|\b(?:[bc](?:0[23456]|16)\d{3}|[bc]\d{5}[a-i]\b|dp0[25] \d|p1 0(?:0[2-9]|[1-9]\d)|p[234] \d|p0(?:0[3-9]|1[01])\d{3})"
)
"""Names of race, ethnicity and proxies, which are for audits alone."""


class _Factor(StrictModel):
    path: Path  # a relative path starts at the folder of the city's file
    known_from: date = Field(strict=True)  # day of publication: forecasts of later days may use the factor


class _Shapes(_Factor):
    """A GeoParquet, GeoPackage, GeoJSON or zipped shapefile; or a CSV or Parquet file of points."""

    longitude: str = "longitude"
    latitude: str = "latitude"  # columns of a CSV or Parquet file that has no geometry, in WGS84 degrees


class PolygonFactor(_Shapes):
    """Areas with a figure, such as census tracts."""

    kind: Literal["polygons"]
    column: str = Field(min_length=1)
    figure: Literal["count", "rate"]

    def input_name(self, name: str) -> str:
        """Return the name of the input, which includes the definition: cities share equal inputs."""
        return f"factor_{name}_{'per_km2' if self.figure == 'count' else 'rate'}"


class PointFactor(_Shapes):
    """Points: their density around a cell, or the distance to the nearest point."""

    kind: Literal["points"]
    measure: Literal["density", "distance"] = "density"
    width_metres: float = Field(default=500.0, ge=50.0, le=5_000.0)  # standard deviation of the Gaussian kernel

    def input_name(self, name: str) -> str:
        """Return the name of the input, which includes the definition."""
        return f"factor_{name}_{f'density_{self.width_metres:g}_m' if self.measure == 'density' else 'distance'}"


class LineFactor(_Shapes):
    """Lines, such as arterial roads: their metres per km² of a cell, or the distance to the nearest line."""

    kind: Literal["lines"]
    measure: Literal["length", "distance"] = "length"

    def input_name(self, name: str) -> str:
        """Return the name of the input, which includes the definition."""
        return f"factor_{name}_{self.measure}"


class SeriesFactor(_Factor):
    """A number for each day, such as the weather, from a CSV or Parquet file; equal for all cells."""

    kind: Literal["series"]
    column: str = Field(min_length=1)
    day: str = "date"  # column of the local civil day
    days_late: int = Field(default=0, ge=-7, le=366)  # until a day's number is published; -1: on the day before

    def input_name(self, name: str) -> str:
        """Return the name of the input, which includes the definition."""
        return f"series_{name}_{self.days_late}_days_late"


CellFactor = PolygonFactor | PointFactor | LineFactor
Factor = Annotated[CellFactor | SeriesFactor, Field(discriminator="kind")]


def refused_part(text: str) -> str | None:
    """Return the part of a name that refers to race, ethnicity or a proxy; None for none."""
    words = re.sub(r"[^a-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    match = REFUSED.search(words)
    return None if match is None else match[0]


def _without_race(factors: dict[str, Factor]) -> dict[str, Factor]:
    for name, factor in factors.items():
        for text in (name, factor.path.name, getattr(factor, "column", "")):
            if part := refused_part(text):
                raise ValueError(
                    f"{name} cannot be an input: {text!r} has {part!r}, and race, ethnicity and proxies for them (language, "
                    "origin, religion) are for audits alone. If it measures something else, give it another name"
                )
    return factors


Factors = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)], Factor], AfterValidator(_without_race)
]
