"""The kinds of source that a city's file may name."""

from typing import Annotated, Final, get_args

from pydantic import Field

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.alerts.sources.api.alerts_api import AlertsApiSettings
from shotspotter_assets.alerts.sources.api.arcgis import ArcgisSettings
from shotspotter_assets.alerts.sources.api.socrata import SocrataSettings
from shotspotter_assets.alerts.sources.simulated_settings import SimulatedSettings
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.outcomes import Outcomes
from shotspotter_assets.cities.patrols import Patrols
from shotspotter_assets.cities.source_settings import SourceSettings


class Landing(LandingSettings):
    """Files in `landing/<city>/`, local or on S3: Parquet, CSV, JSON lines, GeoJSON, XLSX, zipped shapefile."""

    def open(self, city: City, access: Access) -> AlertSource:
        """Return the reader of the folder `path`, or of the source's folder below the landing root."""
        from shotspotter_assets.alerts.sources.landing.folder import LandingFolder

        folder = str(self.path or f"{access.landing_root.rstrip('/')}/{self.folder or city.name}")
        return LandingFolder(city, self, folder, access.store, access.s3_client)


class Simulated(SimulatedSettings):
    """The embedded simulation."""

    def open(self, city: City, access: Access) -> AlertSource:
        """Return the simulation of the city."""
        from shotspotter_assets.alerts.sources.simulated import SimulatedSource

        return SimulatedSource(city)


SourceOfAnyKind = Annotated[
    Landing | SocrataSettings | ArcgisSettings | AlertsApiSettings | Simulated,  # a new kind is a row here
    Field(discriminator="kind"),
]
"""Settings of any kind of source."""
KINDS: Final[tuple[type[SourceSettings], ...]] = get_args(get_args(SourceOfAnyKind)[0])
TabularSource = Annotated[Landing | SocrataSettings | ArcgisSettings | AlertsApiSettings, Field(discriminator="kind")]
"""Settings of any kind of source whose rows have their own columns, as side tables need."""


class OutcomesOfAnySource(Outcomes):
    """Outcomes from a source of any tabular kind."""

    source: TabularSource


class PatrolsOfAnySource(Patrols):
    """Patrols made, from a source of any tabular kind."""

    source: TabularSource
