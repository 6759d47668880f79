"""Sensors that poll live sources, and issue nowcasts themselves, because the start of a run would take several times as long."""

from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import NowcastRules
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import asset_key
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store_format import FormatError

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.nowcasting import Nowcaster
    from shotspotter_assets.pages.places import Places


def definitions(settings: Settings) -> dg.Definitions:
    """Build a sensor for each automated city with `nowcasts`."""
    cities = [city for city in settings.cities.values() if city.is_automated]
    return dg.Definitions(sensors=[_sensor(city, city.nowcasts) for city in cities if city.nowcasts is not None])


def _sensor(city: City, rules: NowcastRules) -> dg.SensorDefinition:
    """Build the sensor of a city; its nowcaster and places are made at the first tick, and kept."""

    @cache
    def nowcaster(store: StoreResource, sources: SourcesResource) -> "Nowcaster":
        from shotspotter_assets.alerts.sources.snapshot import impatient
        from shotspotter_assets.forecasts.nowcasting import Nowcaster

        return Nowcaster(city, store.open, lambda: sources.readers(impatient(city), store.open()))

    @cache
    def places() -> "Places":
        from shotspotter_assets.pages.places import Places

        return Places(city)

    @dg.sensor(
        name=f"{city.name}_nowcasts",
        asset_selection=[asset_key(city, Asset.NOWCASTS)],
        minimum_interval_seconds=rules.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Polls the source for new alerts, and forecasts the next minutes and hours at once.",
    )
    def sensor(context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource) -> dg.SensorResult:
        """Issue a nowcast if rows changed or an hour began."""
        from shotspotter_assets.pages.site import renew_last_hours

        try:
            opened = store.open()
        except FormatError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        nowcast, inputs = nowcaster(store, sources).issue(context.cursor or "")
        if nowcast is None:
            return dg.SensorResult(skip_reason="Nothing new.", cursor=inputs)
        try:
            renew_last_hours(opened, city, places())
        except Exception:  # a page that fails must not repeat the nowcast at every tick
            context.log.exception(f"{city.name}: the page of the last hours could not be written")
        issued = dg.AssetMaterialization(
            asset_key(city, Asset.NOWCASTS), metadata=panel.nowcast(opened, nowcast.record)
        )
        why = f"Issued a nowcast from {nowcast.record.now}."
        return dg.SensorResult(skip_reason=why, cursor=inputs, asset_events=[issued])

    return sensor
