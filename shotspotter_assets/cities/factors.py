"""Contributing factors in a city's file: inputs about places and days; race and its proxies are refused."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from shotspotter_assets.cities.strict_model import StrictModel

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
