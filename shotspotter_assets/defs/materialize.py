"""Builders of a city's assets, and materializations that record the versions of their inputs."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial, wraps
from inspect import cleandoc
from typing import Any, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import SINGLE_RUN, asset_key, day_partitions, issue_dates, run_days
from shotspotter_assets.defs.requested_runs import replacing_run
from shotspotter_assets.defs.resources import Store, StoreResource
from shotspotter_assets.storage.stored_file import Asset, StoredTable

Body = Callable[..., panel.Metadata]
"""Function of log, store, city and key that writes one partition (a day, or the cutoff of a fold) and returns its panel."""
OPTIONAL: Final[Mapping[str, Any]] = {"output_required": False, "dagster_type": dg.Nothing}
"""Arguments of `dagster.asset` for an asset that may give up: without an output, the run's later steps are skipped."""
Upstream = Mapping[Asset, dg.PartitionMapping | None]  # assets that an asset is made from, with partition mappings


def asset_settings(
    city: City,
    asset: Asset,
    upstream: Upstream,
    *,
    kinds: set[str],
    code_version: str,
    table: StoredTable | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for an asset of a city, whose page shows the columns of its `table`."""
    return {
        "key": asset_key(city, asset),
        "group_name": city.name,
        "deps": [dg.AssetDep(asset_key(city, one), partition_mapping=mapping) for one, mapping in upstream.items()],
        "kinds": kinds,
        "code_version": code_version,
        "metadata": {} if table is None else panel.column_schema(table),
        **more,
    }


def day_settings(city: City, asset: Asset, upstream: Upstream, **more: Any) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for an asset of all days, of which one run builds any number."""
    days = day_partitions(city)
    return asset_settings(city, asset, upstream, partitions_def=days, backfill_policy=SINGLE_RUN, **more)


def city_asset(
    city: City,
    asset: Asset,
    body: Body,
    upstream: Upstream,
    launchpad: type[dg.Config] | None = None,
    **more: Any,
) -> dg.AssetsDefinition:
    """Build an asset whose partitions `body` makes one by one; its first argument is the configuration of a `launchpad`."""
    settings = asset_settings(city, asset, upstream, **OPTIONAL, **more)
    schema: Any = None if launchpad is None else launchpad.to_config_schema()

    def materialize(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
        if is_given_up(context):
            return
        opened = store.open()
        config = context.op_execution_context.op_config
        make = body if launchpad is None else partial(body, launchpad.model_validate(config))
        for key in run_days(context, city) if "partitions_def" in more else [None]:
            metadata = recorded(opened, city, asset, key, partial(make, context.log, opened, city, key))
            context.add_asset_metadata(metadata, partition_key=None if key is None else str(key))
        yield dg.Output(None)

    materialize.__name__ = str(asset)
    return dg.asset(**settings, config_schema=schema, description=cleandoc(body.__doc__ or ""))(materialize)


def is_given_up(context: dg.AssetExecutionContext, *, same_day: bool = False) -> bool:
    """Return True, and log it, if a newer run makes this again; it has to be of the `same_day` for rows of days."""
    newer = replacing_run(context.instance, context.run, same_day=same_day)
    if newer:
        context.log.warning(f"Given up: run {newer} was requested for newer rows, and makes this again.")
    return bool(newer)


def for_each_target(body: Body) -> Body:
    """Return a body that makes a partition for each target; the panel names targets if there are several."""

    @wraps(body)
    def each_target(*arguments: Any) -> panel.Metadata:
        *config_and_log, store, city, key = arguments
        panels = [
            (of_target, body(*config_and_log, target_store, of_target, key))
            for target_store, of_target in city.by_target(store)
        ]
        return panel.of_targets(panels)

    return each_target


def daily_asset(city: City, asset: Asset, body: Body, upstream: Upstream, **more: Any) -> dg.AssetsDefinition:
    """Build an asset with a partition for each issue date, of which one run makes any number."""
    days = issue_dates(city)
    return city_asset(city, asset, body, upstream, partitions_def=days, backfill_policy=SINGLE_RUN, **more)


def score_asset(city: City, asset: Asset, body: Body, upstream: Upstream) -> dg.AssetsDefinition:
    """Build an asset with a partition for each scored day, of which one run makes any number."""
    how: dict[str, Any] = {"backfill_policy": SINGLE_RUN, "kinds": {"json"}, "code_version": "1"}
    return city_asset(city, asset, body, upstream, partitions_def=issue_dates(city), **how)


def recorded(
    store: Store, city: City, asset: Asset, key: date | None, make: Callable[[], panel.Metadata]
) -> panel.Metadata:
    """Make one partition, and record what it was made from, as that was before its inputs were read."""
    from shotspotter_assets.automation.stored import Stored

    stored = Stored.read(store, city)
    made_from = stored.begin(asset, key)
    metadata = make()
    stored.record(asset, key, made_from, metadata.get("data_version", ""))
    return metadata
