"""The embedded simulation as a kind of source."""

from typing import ClassVar, Literal

from pydantic import Field

from shotspotter_assets.cities.source_settings import SourceSettings


class SimulatedSettings(SourceSettings):
    """Scale and seed of the embedded simulation."""

    kind: Literal["simulated"]
    arrival: ClassVar = "daily"
    row_rules: ClassVar = ("seed", "alerts_per_day")
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)
