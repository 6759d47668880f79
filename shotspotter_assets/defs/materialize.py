"""Settings that the assets of a city share, and materializations that record what they were made from."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import SINGLE_RUN, asset_key, day_partitions, run_day, run_days
from shotspotter_assets.storage.stored_file import Asset, StoredTable

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

Body = Callable[["Store", City, date], panel.Metadata]
"""Writes the files of one partition (a day or the cutoff of a fold), and returns the entries of its panel."""


def asset_settings(
    city: City, asset: Asset, *, kinds: set[str], code_version: str, table: StoredTable | None = None, **more: Any
) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for an asset of a city; `table` is the one shown on its page."""
    return {
        "key": asset_key(city, asset),
        "group_name": city.name,
        "kinds": kinds,
        "code_version": code_version,
        "metadata": {} if table is None else panel.column_schema(table),
        **more,
    }


def daily_settings(city: City, asset: Asset, **more: Any) -> dict[str, Any]:
    """Return the arguments of `dagster.asset` for a daily asset, of which one run builds any number of days."""
    return asset_settings(city, asset, partitions_def=day_partitions(city), backfill_policy=SINGLE_RUN, **more)


def materialize_days(context: dg.AssetExecutionContext, store: "Store", city: City, asset: Asset, body: Body) -> None:
    """Make each day of a run, and report its panel."""
    for day in run_days(context, city):
        context.add_asset_metadata(recorded(store, city, asset, day, body), partition_key=str(day))


def materialize_fold(
    context: dg.AssetExecutionContext, store: "Store", city: City, asset: Asset, body: Body
) -> dg.MaterializeResult:
    """Make the fold of a run, and report its panel."""
    return dg.MaterializeResult(metadata=recorded(store, city, asset, run_day(context), body))


def materialize_city(
    store: "Store", city: City, asset: Asset, body: Callable[["Store", City], panel.Metadata]
) -> dg.MaterializeResult:
    """Make an asset without partitions, and report its panel."""
    return dg.MaterializeResult(metadata=recorded(store, city, asset, None, lambda opened, one, _: body(opened, one)))


def recorded(
    store: "Store", city: City, asset: Asset, day: date | None, body: Callable[["Store", City, Any], panel.Metadata]
) -> Mapping[str, Any]:
    """Make one partition, and record what it was made from, as that was before its inputs were read."""
    from shotspotter_assets.automation.stored import Stored

    stored = Stored.read(store, city)
    made_from = stored.begin(asset, day)
    metadata = body(store, city, day)
    stored.record(asset, day, made_from, metadata.get("data_version", ""))
    return metadata
