"""The kinds of source that a city's file may name."""

from typing import Annotated

from pydantic import Field

from shotspotter_assets.sources.api.alerts_api import AlertsApiSettings
from shotspotter_assets.sources.api.arcgis import ArcgisSettings
from shotspotter_assets.sources.api.socrata import SocrataSettings
from shotspotter_assets.sources.simulated.simulated_settings import SimulatedSettings
from shotspotter_assets.sources.tabular_settings import LandingSettings

SourceOfAnyKind = Annotated[
    LandingSettings
    | SocrataSettings
    | ArcgisSettings
    | AlertsApiSettings
    | SimulatedSettings,  # a new kind is a row here
    Field(discriminator="kind"),
]
"""Settings of any kind of source."""
