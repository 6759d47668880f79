"""The streets of a city's file: lines with names, whose segments between crossings are ranked.

`layers.streets` only name places; where a city has none of those, its places are named by these streets.
"""

from pathlib import Path

from pydantic import Field, model_validator

from shotspotter_assets.cities.source_settings import StrictModel


class Streets(StrictModel):
    """A file of street lines: GeoParquet, GeoPackage, GeoJSON, a shapefile or an OpenStreetMap extract."""

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
