"""The nowcast rules of a city's file: how often its source is asked for new alerts."""

from pydantic import Field

from shotspotter_assets.cities.source_settings import StrictModel


class NowcastRules(StrictModel):
    """When nowcasts are made by themselves: as soon as an alert is seen, and on the hour."""

    every_seconds: int = Field(default=60, ge=30, le=3600)
    """Between two questions to the source."""
