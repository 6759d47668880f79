"""What the assets of a city share, and materializations that record what they were made from."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import SINGLE_RUN, asset_key, day_partitions, run_day, run_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.stored_file import Asset, StoredTable

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

Body = Callable[[dg.DagsterLogManager, "Store", City, date], panel.Metadata]
"""Function that writes the files of one partition (a day or the cutoff of a fold) and returns the entries of its panel."""


def asset_settings(
    city: City,
    asset: Asset,
    upstream: Mapping[Asset, dg.PartitionMapping | None],
    *,
    kinds: set[str],
    code_version: str,
    table: StoredTable | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for an asset of a city.

    Args:
        upstream: the assets it is made from, each with the mapping of their partitions.
        table: the table that is shown on its page.
    """
    return {
        "key": asset_key(city, asset),
        "group_name": city.name,
        "deps": [dg.AssetDep(asset_key(city, one), partition_mapping=mapping) for one, mapping in upstream.items()],
        "kinds": kinds,
        "code_version": code_version,
        "metadata": {} if table is None else panel.column_schema(table),
        **more,
    }


def daily_settings(
    city: City, asset: Asset, upstream: Mapping[Asset, dg.PartitionMapping | None], **more: Any
) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for a daily asset, of which one run builds any number of days."""
    days = day_partitions(city)
    return asset_settings(city, asset, upstream, partitions_def=days, backfill_policy=SINGLE_RUN, **more)


def daily_asset(
    city: City, asset: Asset, body: Body, upstream: Mapping[Asset, dg.PartitionMapping | None], **more: Any
) -> dg.AssetsDefinition:
    """Build a daily asset without configuration; the docstring of its body describes it in the UI."""

    @dg.asset(**daily_settings(city, asset, upstream, **more), description=cleandoc(body.__doc__ or ""))
    def made(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        materialize_days(context, store.open(), city, asset, body)

    return made


def materialize_days(context: dg.AssetExecutionContext, store: "Store", city: City, asset: Asset, body: Body) -> None:
    """Make each day of a run, and report its panel."""
    for day in run_days(context, city):
        metadata = recorded(store, city, asset, day, partial(body, context.log, store, city, day))
        context.add_asset_metadata(metadata, partition_key=str(day))


def materialize_fold(
    context: dg.AssetExecutionContext, store: "Store", city: City, asset: Asset, body: Body
) -> dg.MaterializeResult:
    """Make the fold of a run, and report its panel."""
    cutoff = run_day(context)
    metadata = recorded(store, city, asset, cutoff, partial(body, context.log, store, city, cutoff))
    return dg.MaterializeResult(metadata=metadata)


def recorded(
    store: "Store", city: City, asset: Asset, key: date | None, make: Callable[[], panel.Metadata]
) -> panel.Metadata:
    """Make one partition, and record what it was made from, as that was before its inputs were read."""
    from shotspotter_assets.automation.stored import Stored

    stored = Stored.read(store, city)
    made_from = stored.begin(asset, key)
    metadata = make()
    stored.record(asset, key, made_from, metadata.get("data_version", ""))
    return metadata
