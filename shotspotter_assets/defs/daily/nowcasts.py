"""Nowcasts of a city for the next 15 to 60 minutes and the next hours, the sensor that issues them, and their scores by day."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import NowcastRules
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Product, RunAsset, table_of_partition
from shotspotter_assets.defs.partitions import asset_key
from shotspotter_assets.defs.requested_runs import CITY_TAG, give_way, limit_tags, runs_under_way
from shotspotter_assets.defs.resources import Log, SourcesResource, Store, StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, NOWCAST_HOURS, Asset
from shotspotter_assets.storage.store_format import FormatError
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.nowcasting import Nowcaster
    from shotspotter_assets.pages.places import Places


class NowcastConfig(dg.Config):
    """Settings of one nowcast."""

    now: str = Field(
        "",
        description="Instant to forecast from, with a zone, as 2018-12-15T22:30:00-05:00; empty for the present. A past "
        "instant uses live models of the day before, and alerts until then.",
    )
    refit: bool = Field(False, description="First fit the models of hours on all hours until then, and store them.")


@RunAsset(Asset.NOWCASTS, kinds={"parquet"}, code_version="1", table=NOWCAST_HOURS)
def nowcasts(
    context: dg.AssetExecutionContext, config: NowcastConfig, store: StoreResource, sources: SourcesResource, city: City
) -> dg.MaterializeResult:
    """Risk of the next 15, 30 and 60 minutes and of the next hours, from the stored days and newer alerts of the source.

    Hours are forecast from the end of the current one, whose alerts so far count. Updates the city's page of the last hours.
    """
    from shotspotter_assets.forecasts.nowcasting import Nowcaster
    from shotspotter_assets.forecasts.pictures import risk_map
    from shotspotter_assets.pages.places import Places
    from shotspotter_assets.pages.site import renew_last_hours

    give_way(context.run.tags)
    opened = store.open()
    now = datetime.fromisoformat(config.now).astimezone(UTC) if config.now else local_time.now()
    nowcaster = Nowcaster(city, store.open, lambda: sources.readers(city.site, opened), lambda: now)
    nowcast, _ = nowcaster.issue("", refit=config.refit)
    assert nowcast is not None  # no inputs equal "", and the clock stands still
    renew_last_hours(opened, city, Places(city))
    record = nowcast.record
    longest = nowcast.longest
    period = f"the {number_of(longest['hours'][0].as_py(), 'hour')} from {record.starts.removesuffix('Z')} UTC"
    title = f"Risk of {period}: {number_of(record.alerts_since_midnight, city.event)} since midnight"
    picture = panel.picture("map", risk_map(longest, city, title))
    facts = table_of_partition(opened, city, NOWCAST_HOURS, None)
    return dg.MaterializeResult(metadata={**panel.nowcast(opened, record), **facts, "map": picture})


@Product(Asset.NOWCAST_SCORES, kinds={"json"}, code_version="1")
def nowcast_scores(_: Log, store: Store, city: City, scored_date: date) -> panel.Metadata:
    """Scores of the day's nowcasts, compared with the hour's forecast spread evenly.

    Nowcasts whose minutes end after midnight are not scored. Rebuilt when alerts are corrected.
    """
    from shotspotter_assets.forecasts.nowcast_scores import score_nowcasts
    from shotspotter_assets.models.next_hours.incident_points import Incidents, stored_alerts

    alerts = stored_alerts(store, city, scored_date - timedelta(days=1), scored_date)
    issued = store.find_sound_table(ISSUED_MINUTES, city.name, scored_date)
    record = score_nowcasts(city, scored_date, issued, Incidents.of_alerts(alerts, city))
    numbers: panel.Metadata = {"nowcasts": record.nowcasts, "incidents": record.incidents}
    for length, scores in record.scores.items():
        numbers |= {f"{length}: observed": scores.observed, f"{length}: expected": scores.expected}
        if scores.gain_over_even is not None:
            numbers[f"{length}: gain over the hour, spread evenly (nats per incident)"] = scores.gain_over_even
    return {**panel.rounded(numbers), "path": dg.MetadataValue.path(record.write(store))}


def definitions(settings: Settings) -> dg.Definitions:
    """Build a sensor for each automated city with `nowcasts`."""
    cities = [city for city in settings.cities.values() if city.is_automated]
    return dg.Definitions(sensors=[_sensor(city, city.nowcasts) for city in cities if city.nowcasts is not None])


def _sensor(city: City, rules: NowcastRules) -> dg.SensorDefinition:
    """Build the sensor that issues nowcasts itself, because the start of a run would take several times as long.

    Its nowcaster and places are made at the first tick, and kept.
    """

    @cache
    def nowcaster(store: StoreResource, sources: SourcesResource) -> "Nowcaster":
        from shotspotter_assets.alerts.sources.snapshot import impatient
        from shotspotter_assets.forecasts.nowcasting import Nowcaster

        return Nowcaster(city, store.open, lambda: sources.readers(impatient(city.site), store.open()))

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
        """Issue a nowcast if rows changed or an hour began, and renew its page; skip a city that has no models yet."""
        from shotspotter_assets.forecasts.nowcasting import NoNowcastError
        from shotspotter_assets.pages.site import renew_last_hours

        try:
            opened = store.open()
            nowcast, inputs = nowcaster(store, sources).issue(context.cursor or "")
        except (FormatError, NoNowcastError) as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        try:
            renew_last_hours(opened, city, places(), local_time.now())
        except Exception:  # a page that fails must not repeat the nowcast at every tick
            context.log.exception(f"{city.name}: the page of the last hours could not be written")
        if nowcast is None:
            return dg.SensorResult(skip_reason="Nothing new.", cursor=inputs)
        issued = dg.AssetMaterialization(
            asset_key(city, Asset.NOWCASTS), metadata=panel.nowcast(opened, nowcast.record)
        )
        refits = _refits(city, context.cursor or "", inputs, context.instance)
        return dg.SensorResult(
            run_requests=refits,
            skip_reason=None if refits else f"Issued a nowcast from {nowcast.record.now}.",
            cursor=inputs,
            asset_events=[issued],
        )

    return sensor


def _refits(city: City, last_inputs: str, inputs: str, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Return the run that refits the models of hours if rows changed; Dagster starts one for each hour at most."""
    rows, hour = inputs.split()
    if (
        city.retraining != "hourly"
        or last_inputs.startswith(rows)
        or any(Asset.NOWCASTS in run.assets for run in runs_under_way(instance, city))
    ):
        return []
    return [
        dg.RunRequest(
            run_key=f"refit {hour}",
            asset_selection=[asset_key(city, Asset.NOWCASTS)],
            run_config={"ops": {f"{city.name}__{Asset.NOWCASTS}": {"config": {"refit": True}}}},
            tags={CITY_TAG: city.name} | limit_tags(city, is_long=True),
        )
    ]
