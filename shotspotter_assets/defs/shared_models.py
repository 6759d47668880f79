"""Shared models by week: the regression of all cities that each city's own models start from."""

from collections.abc import Mapping
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import asset_key, run_day, week_partitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.catalogue import Asset

WEEKLY_AT: Final = "0 16 * * 1"  # Mondays at 16:00 UTC, when the morning's runs are over


def definitions(cities: Mapping[str, City]) -> dg.Definitions:
    """Build the one asset of all cities of the code location, and its weekly schedule."""

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
        models = train_shared(opened, cities.values(), run_day(context))
        metadata: panel.Metadata = {
            "cities": ", ".join(models.cities) or "none",
            "left_out": panel.bullets([f"{city}: {why}" for city, why in models.left_out.items()]),
            "starts_at": models.prior or "nothing",
            "path": dg.MetadataValue.path(models.write(opened)),
        }
        return dg.MaterializeResult(metadata=metadata)

    is_automated = any(city.is_automated for city in cities.values())

    @dg.schedule(
        cron_schedule=WEEKLY_AT,
        job=dg.define_asset_job("weekly_models", [Asset.SHARED_MODELS.value], description="Models of all cities."),
        default_status=dg.DefaultScheduleStatus.RUNNING if is_automated else dg.DefaultScheduleStatus.STOPPED,
        description="Fits the models of all cities on Mondays, if at least two cities share alerts.",
    )
    def weekly_shared_models(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not is_automated:
            return dg.SkipReason("No city is automated; write `automation: recent` in the city's file.")
        if sum(city.shared for city in cities.values()) < 2:
            return dg.SkipReason("Fewer than two cities share their alerts; each starts from the packaged model.")
        week = context.scheduled_execution_time.date().isoformat()
        return dg.RunRequest(run_key=f"{Asset.SHARED_MODELS} {week}", partition_key=week)

    return dg.Definitions(assets=[shared_models], schedules=[weekly_shared_models])
