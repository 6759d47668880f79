"""The kinds of source that a city's file may name."""

from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.alerts.sources.api.alerts_api import AlertsApiSettings
from shotspotter_assets.alerts.sources.api.open_data import ArcgisSettings, SocrataSettings
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.accountability import Outcomes, Patrols
from shotspotter_assets.cities.source_settings import Site, SourceSettings


class SimulatedSettings(SourceSettings):
    """The embedded simulation."""

    kind: Literal["simulated"]
    arrival: ClassVar = "daily"
    row_rules: ClassVar = ("seed", "alerts_per_day")
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)

    def open(self, site: Site, access: Access) -> AlertSource:
        """Return the simulation of the city."""
        from shotspotter_assets.alerts.sources.simulated import SimulatedSource

        return SimulatedSource(site, self.seed, self.alerts_per_day)


SourceOfAnyKind = Annotated[
    LandingSettings
    | SocrataSettings
    | ArcgisSettings
    | AlertsApiSettings
    | SimulatedSettings,  # a new kind is a row here
    Field(discriminator="kind"),
]
"""Settings of any kind of source."""
KINDS: Final[tuple[type[SourceSettings], ...]] = get_args(get_args(SourceOfAnyKind)[0])
TabularSource = Annotated[
    LandingSettings | SocrataSettings | ArcgisSettings | AlertsApiSettings, Field(discriminator="kind")
]
"""Settings of any kind of source whose rows have their own columns, as side tables need."""


class OutcomesOfAnySource(Outcomes):
    """Outcomes from a source of any tabular kind."""

    source: TabularSource


class PatrolsOfAnySource(Patrols):
    """Patrols made, from a source of any tabular kind."""

    source: TabularSource
