"""Shared models by week: the regression of all cities that each city's own models start from."""

from collections.abc import Mapping

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import asset_key, run_day, week_partitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.catalogue import Asset


def definitions(cities: Mapping[str, City]) -> dg.Definitions:
    """Build the one asset of all cities of the code location."""

    @dg.asset(
        partitions_def=week_partitions(cities),
        group_name="shared",
        kinds={"json"},
        code_version="1",
        pool="training",
        # Time windows of different time zones cannot be mapped.
        deps=[
            dg.AssetDep(asset_key(city, Asset.GRID_TENSORS), partition_mapping=dg.AllPartitionMapping())
            for city in cities.values()
            if city.shared
        ],
    )
    def shared_models(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """One regression of all cities, and one without each of them, fitted on the days before the week.

        It holds a number for each input and no row of any city; a city whose file says `shared: false` takes no part. Each
        city's own models start from the regression of the others.
        """
        from shotspotter_assets.models.next_day.shared_regression import train_shared

        opened = store.open()
        models = train_shared(opened, cities.values(), run_day(context), context.log.info)
        metadata: panel.Metadata = {
            "cities": ", ".join(models.cities) or "none",
            "left_out": panel.bullets([f"{city}: {why}" for city, why in models.left_out.items()]),
            "starts_at": models.prior or "nothing",
            "path": dg.MetadataValue.path(models.write(opened)),
        }
        return dg.MaterializeResult(metadata=metadata)

    return dg.Definitions(assets=[shared_models])
