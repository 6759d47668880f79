"""Grid tensors, by city and local day."""

import dagster as dg

from shotspotter_assets.defs.alerts.raw_alerts import cleaned_alerts
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import stretches
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.gridding.tensors import grid_tensors as tensors_of
from shotspotter_assets.partitions import ONE_RUN
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE

READ_COLUMNS = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


@dg.asset(
    partitions_def=PARTITIONS.city_date,
    backfill_policy=ONE_RUN,
    group_name="grids",
    kinds={"parquet"},
    code_version="2",
    automation_condition=CATCH_UP,
    deps=[cleaned_alerts],
)
def grid_tensors(context: dg.AssetExecutionContext, store: StoreResource) -> None:
    """The day's frames as a sparse tensor: alerts, or incidents that began, per local hour, type, row and column.

    The dense shape is in the Parquet schema's metadata. A day without alerts is a tensor without entries.
    """
    for stretch in stretches(context):
        city, days = stretch.city, stretch.days
        alerts = store.open().read_window("cleaned_alerts", city.name, ALERTS_FILE, days[0], days[-1], READ_COLUMNS)
        tensors = tensors_of(alerts, days, city)
        store.open().write_tables(context.asset_key.path[-1], city.name, GRID_FILE, tensors)
        for day, tensor in tensors.items():
            counted = int(tensor["count"].to_numpy().sum())
            metadata = {city.counted: counted, "entries": tensor.num_rows, "time_precision": city.time_precision}
            context.add_asset_metadata(metadata, partition_key=stretch.key(day))
        context.log.info(f"{city.name}: {alerts.num_rows:,} alerts of {len(days):,} days to {days[-1]} gridded")
