"""The layers of a city's file: files of named shapes that say what lies where."""

from pathlib import Path

from pydantic import Field

from shotspotter_assets.cities.source_settings import StrictModel


class Layer(StrictModel):
    """One file of named polygons or lines: GeoJSON, GeoParquet, GeoPackage or a shapefile."""

    path: Path
    """A relative path starts at the folder of the city's file."""
    name: str = Field(min_length=1)
    """The property, or column, that names each shape."""


class Layers(StrictModel):
    """What is known of the places of a city; null for what is not."""

    districts: Layer | None = None
    """Polygons that people know the parts of the city by: wards, police districts, neighbourhoods."""
    streets: Layer | None = None
    """Lines with the names of streets; places are then told by their nearest crossing."""

    def given(self) -> dict[str, Layer]:
        """The layers that the file names, by their key."""
        return {key: layer for key in type(self).model_fields if (layer := getattr(self, key)) is not None}
