"""Grid tensors of a city by local day: the day's counts by hour, type and cell."""

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, RunAsset
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.catalogue import CLEANED, TENSORS, Asset
from shotspotter_assets.storage.wording import number_of


@RunAsset(Asset.GRID_TENSORS, kinds={"parquet"}, code_version="3", table=TENSORS)
def grid_tensors(context: dg.AssetExecutionContext, store: StoreResource, city: City) -> None:
    """The day's frames as a sparse tensor: alerts, or incidents that began, by local hour, type, row and column.

    The dense shape is in the Parquet schema's metadata. A day without alerts is a tensor without entries.
    """
    from shotspotter_assets.alerts.days.day_table import DayTable
    from shotspotter_assets.cities.stored_settings import origins_of_days, refuse_other_settings
    from shotspotter_assets.grid.tensors import ALERT_COLUMNS, sparse_tensors
    from shotspotter_assets.storage.lineage import Key, begin_lineage, read_lineage, record_lineage

    opened = store.open()
    days = run_days(context, city)
    table = DayTable.read(opened, city.name)
    lineage = read_lineage(opened, Asset.CLEANED_ALERTS, city.name)
    alerts = opened.read_window(CLEANED, city.name, days[0], days[-1], ALERT_COLUMNS)
    table.require(city.name, days)
    refuse_other_settings(lineage, days, city, Asset.CLEANED_ALERTS)
    tensors = sparse_tensors(alerts, days, city)
    made_from: dict[Key, str] = {day: lineage[str(day)].made_from for day in days if str(day) in lineage}
    begin_lineage(opened, Asset.GRID_TENSORS, city.name, made_from)
    opened.write_tables(TENSORS, tensors, city.name)
    record_lineage(opened, Asset.GRID_TENSORS, city.name, origins_of_days(city, Asset.GRID_TENSORS, made_from))
    for day, tensor in tensors.items():
        metadata = {
            city.counted: int(tensor["count"].to_numpy().sum()),
            **panel.stored_rows(opened, city, TENSORS, day, tensor.num_rows),
            "time_precision": city.time_precision,
            "data_version": made_from.get(day, table.made_from(day)),
            **panel.day_state(table.days[day]),
        }
        context.add_asset_metadata(metadata, partition_key=str(day))
    context.log.info(
        f"{city.name}: {number_of(alerts.num_rows, 'alert')} of {number_of(len(days), 'day')} to {days[-1]} gridded"
    )


@Check(Asset.GRID_TENSORS, blocking=True)
def counts_equal_alerts(
    context: dg.AssetCheckExecutionContext, store: StoreResource, city: City
) -> dg.AssetCheckResult:
    """The sum of each day's tensor equals the number of cleaned alerts, or of incidents that began on it."""
    from shotspotter_assets.grid.tensors import COUNTED_COLUMNS, counted_alerts, miscounted_alerts

    opened = store.open()
    days = run_days(context, city)
    tensors = opened.read_window(TENSORS, city.name, days[0], days[-1])
    alerts = opened.read_window(CLEANED, city.name, days[0], days[-1], COUNTED_COLUMNS)
    wrong = {str(day): number for day, number in miscounted_alerts(tensors, alerts, days, city).items()}
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"alerts": counted_alerts(alerts, city).num_rows, "counts_minus_alerts_by_day": wrong},
        description=f"Materialize grid_tensors again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )
