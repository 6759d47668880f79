"""Builders of a city's assets, and materializations that record the versions of their inputs."""

from collections.abc import Callable
from datetime import date
from functools import partial, wraps
from inspect import cleandoc
from typing import Any

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import catalogue_facts, panel
from shotspotter_assets.defs.partitions import SINGLE_RUN, asset_key, mapping_of, partitions_of, run_days
from shotspotter_assets.defs.requested_runs import give_way
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.specs import Partitions, Whole
from shotspotter_assets.storage.stored_file import StoredTable

Body = Callable[..., panel.Metadata]
"""Function of log, store, city and key that writes one partition (a day, or the cutoff of a fold) and returns its panel.

The function of an asset with a launchpad also takes its `config`.
"""


def asset_decorator(
    city: City,
    asset: Asset,
    *,
    kinds: set[str],
    code_version: str,
    table: StoredTable | None = None,
    config_schema: Any = None,
    body: Body | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return the decorator `dagster.asset` for an asset of a city, whose page shows the columns of its `table`.

    One run builds any number of days, and one run each year and each fold, of which one at a time is trained. The page
    shows the docstring and the place of `body`, or of the decorated function without one.
    """
    is_of_folds = asset.spec.partitions is Partitions.FOLDS
    is_of_days = asset.spec.partitions not in (Partitions.FOLDS, Partitions.YEARS, Partitions.NONE)
    partitions = partitions_of(city, asset)
    edges = [
        source for source, relation in asset.inputs.items() if relation is not Whole.APPROVALS and city.has(source)
    ]

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        """Build the asset of a function."""
        described = body or function
        return dg.asset(
            key=asset_key(city, asset),
            group_name=city.name,
            deps=[
                dg.AssetDep(asset_key(city, source), partition_mapping=mapping_of(city, asset, source))
                for source in edges
            ],
            partitions_def=partitions,
            backfill_policy=SINGLE_RUN if is_of_days else None,
            pool="training" if is_of_folds else None,
            kinds=kinds,
            tags=catalogue_facts.tags(city, asset),
            owners=[city.contact] if city.contact else None,
            code_version=code_version,
            metadata=catalogue_facts.definition_metadata(city, asset, table, described),
            freshness_policy=catalogue_facts.freshness_policy(city, asset),
            config_schema=config_schema,
            description=cleandoc(described.__doc__ or ""),
        )(function)

    return decorate


def city_asset(
    city: City,
    asset: Asset,
    body: Body,
    launchpad: type[dg.Config] | None = None,
    *,
    kinds: set[str],
    code_version: str,
    table: StoredTable | None = None,
) -> dg.AssetsDefinition:
    """Build an asset whose partitions `body` makes one by one."""

    def materialize(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Write the partitions of a run."""
        from shotspotter_assets.automation.stored import Stored

        give_way(context.run.tags)
        opened = store.open()
        config = context.op_execution_context.op_config
        make = body if launchpad is None else partial(body, config=launchpad.model_validate(config))

        def write(key: date | None) -> str:
            metadata = make(context.log, opened, city, key)
            if table is not None:
                metadata |= catalogue_facts.table_of_partition(opened, city, table, key)
            context.add_asset_metadata(metadata, partition_key=None if key is None else str(key))
            return str(metadata.get("data_version", ""))

        keys = [None] if asset.spec.partitions is Partitions.NONE else run_days(context, city)
        Stored.read(opened, city).write(asset, keys, write)

    materialize.__name__ = str(asset)
    decorator = asset_decorator(
        city,
        asset,
        kinds=kinds,
        code_version=code_version,
        table=table,
        config_schema=None if launchpad is None else launchpad.to_config_schema(),
        body=body,
    )
    return decorator(materialize)


def for_each_target(body: Body) -> Body:
    """Return a body that makes a partition for each target; the panel names targets if there are several."""

    @wraps(body)
    def each_target(log: Log, store: Store, city: City, key: Any, config: dg.Config | None = None) -> panel.Metadata:
        make = body if config is None else partial(body, config=config)
        panels = [(view, make(log, of_target, view, key)) for of_target, view in city.by_target(store)]
        return panel.of_targets(panels)

    return each_target
