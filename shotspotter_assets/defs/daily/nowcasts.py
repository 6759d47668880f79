"""Nowcasts, by city: the next 15 to 60 minutes and 1 to 12 hours from now."""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.registry import Cities, find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.live_nowcasts import metadata_of
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import ALL_OF_CITY, Partitions
from shotspotter_assets.serving.columns import RISK_COLUMNS


class NowcastConfig(dg.Config):
    """From when a nowcast is."""

    now: str = Field("", description="Instant with a zone (ISO 8601); empty for the present one.")


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.cities,
        group_name="forecasts",
        kinds={"parquet"},
        code_version="1",
        deps=[dg.AssetDep(name, partition_mapping=ALL_OF_CITY) for name in ("live_models", "grid_tensors")],
        metadata=panel.column_schema(RISK_COLUMNS),
    )
    return dg.Definitions(assets=[asset(nowcasts)])


def nowcasts(
    context: dg.AssetExecutionContext,
    config: NowcastConfig,
    cities: dg.ResourceParam[Cities],
    store: StoreResource,
    sources: SourcesResource,
) -> dg.MaterializeResult:
    """Risk of the next 15, 30 and 60 minutes from now and of 1 to 12 hours, from the stored days and the source's since.

    Hours are forecast from the end of the running one on, which counts with what it has had so far.
    """
    from shotspotter_assets.serving.maps import risk_map
    from shotspotter_assets.serving.nowcasts import history_until, nowcast, record_in_force, write_nowcast
    from shotspotter_assets.sources.seen import unreadable_versions

    city, opened = find_city(cities, context.partition_key), store.open()
    now = datetime.fromisoformat(config.now).astimezone(UTC) if config.now else datetime.now(UTC)
    record = record_in_force(opened, city, now)
    readers = sources.readers(city, unreadable_versions(opened, city.name))
    cast = nowcast(record, record.loaded(opened), history_until(opened, readers, city, now), now)
    path = write_nowcast(opened, cast)
    longest = cast.longest
    title = (
        f"Risk of the {longest['hours'][0]} hours from {cast.record.starts.removesuffix('Z')} UTC: "
        f"{cast.record.alerts_since_midnight} alerts since midnight"
    )
    picture = panel.picture("map", risk_map(longest, city, title))
    return dg.MaterializeResult(metadata={**metadata_of(cast, path), "map": picture})
