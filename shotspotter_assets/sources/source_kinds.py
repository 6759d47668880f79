"""The kinds of source: for each `kind` that a city's file may name, its reader and how its new days become known.

A new kind is a model of its settings in `cities.source_settings` (and its place in `Source` there), a reader, and a row
here. Readers are imported when they are opened, as definitions must load quickly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import (
    AlertsApiSource,
    ArcgisSource,
    LandingSource,
    SimulatedCitySource,
    SocrataSource,
)

if TYPE_CHECKING:
    from shotspotter_assets.sources.alert_source import AlertSource
    from shotspotter_assets.storage.store import Store

Arrival = Literal["landed", "polled", "daily"]
"""How new days become known: as files (`landed`), by polls of a live source (`polled`), or by the clock alone (`daily`)."""


@dataclass(frozen=True)
class Access:
    """The deployment's part of what readers need: folders, secrets, clients and the store."""

    store: "Store"
    """Keeps what was received."""
    landing_root: str
    """Folder of the landing folders: a local path or `s3://bucket/prefix`."""
    environ: Mapping[str, str] = field(repr=False)
    """Holds the tokens of APIs."""
    s3_client: Callable[[], Any] | None = None
    """Makes a boto3 client, for landing folders on S3."""


@dataclass(frozen=True)
class Kind:
    """One row of the registry."""

    open: "Callable[[City, Any, Access], AlertSource]"
    """Makes the reader of a city's source from its settings."""
    arrival: Arrival


def _landing(city: City, settings: LandingSource, access: Access) -> "AlertSource":
    from shotspotter_assets.sources.landing.folder import LandingFolder

    folder = f"{access.landing_root.rstrip('/')}/{settings.folder or city.name}"
    return LandingFolder(city, folder, access.store, settings, access.s3_client)


def _socrata(city: City, settings: SocrataSource, access: Access) -> "AlertSource":
    from shotspotter_assets.sources.api.socrata import SocrataDataset

    return SocrataDataset(city, settings, access.environ.get(settings.token_variable or ""))


def _arcgis(city: City, settings: ArcgisSource, access: Access) -> "AlertSource":
    from shotspotter_assets.sources.api.arcgis import ArcgisLayer

    return ArcgisLayer(city, settings, access.environ.get(settings.token.variable if settings.token else ""))


def _alerts_api(city: City, settings: AlertsApiSource, access: Access) -> "AlertSource":
    from shotspotter_assets.sources.api.alerts_api import AlertsApi

    return AlertsApi(city, settings, access.environ.get(settings.token.variable if settings.token else ""))


def _simulated(city: City, _settings: SimulatedCitySource, _access: Access) -> "AlertSource":
    from shotspotter_assets.sources.simulated.source import SimulatedSource

    return SimulatedSource(city)


KINDS: Final = {
    "landing": Kind(_landing, "landed"),
    "socrata": Kind(_socrata, "polled"),
    "arcgis": Kind(_arcgis, "polled"),
    "alerts_api": Kind(_alerts_api, "polled"),
    "simulated": Kind(_simulated, "daily"),
}
"""The registry, by `kind`."""


def open_sources(city: City, access: Access) -> "list[AlertSource]":
    """The reader of each of `city.all_sources`, in that order."""
    return [KINDS[settings.kind].open(city, settings, access) for settings in city.all_sources]


def arrivals(city: City) -> set[Arrival]:
    """How new days of the city's sources become known."""
    return {KINDS[settings.kind].arrival for settings in city.all_sources}
