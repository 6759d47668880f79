"""Grid tensors, by city and local day: the day's counts by hour, type and cell."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.checks import keep_findings, stored_rows
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.gridding.columns import GRID_COLUMNS
from shotspotter_assets.partitions import ONE_RUN, DateRange, Partitions, date_ranges, with_progress
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.storage.store import Store

READ_COLUMNS = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its check."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        backfill_policy=ONE_RUN,
        group_name="grids",
        kinds={"parquet"},
        code_version="2",
        automation_condition=CATCH_UP,
        deps=["cleaned_alerts"],
        metadata=panel.column_schema(GRID_COLUMNS),
    )
    check = dg.asset_check(asset="grid_tensors", partitions_def=partitions.city_date, blocking=True)
    return dg.Definitions(assets=[asset(grid_tensors)], asset_checks=[check(counts_equal_alerts)])


def grid_tensors(context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource) -> None:
    """The day's frames as a sparse tensor: alerts, or incidents that began, per local hour, type, row and column.

    The dense shape is in the Parquet schema's metadata. A day without alerts is a tensor without entries.
    """
    from shotspotter_assets.sources.known_days import mark_states, stored_states

    opened = store.open()
    for date_range in date_ranges(context, cities):
        city, days = date_range.city, date_range.days
        tensors, alerts_by_day = _gridded(context, opened, date_range)
        newest = max((day for day, alerts in alerts_by_day.items() if alerts), default=date.min)
        silent = [day for day in days if day > newest]
        states = stored_states(opened, "cleaned_alerts", city.name, ALERTS_FILE, silent)
        opened.write_tables("grid_tensors", city.name, GRID_FILE, mark_states(tensors, states))
        for day, tensor in tensors.items():
            counted = int(tensor["count"].to_numpy().sum())
            metadata = {city.counted: counted, "entries": tensor.num_rows, "time_precision": city.time_precision}
            metadata |= panel.day_state(states.get(day))
            context.add_asset_metadata(metadata, partition_key=date_range.key(day))
        alerts = sum(alerts_by_day.values())
        context.log.info(f"{city.name}: {alerts:,} alerts of {len(days):,} days to {days[-1]} gridded")


def counts_equal_alerts(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The sum of the dense window equals the number of cleaned alerts, or of incidents that began, on every day."""
    from shotspotter_assets.gridding.conservation import COUNTED_COLUMNS, miscounted_alerts
    from shotspotter_assets.gridding.tensors import counted_alerts

    wrong: dict[str, int] = {}
    counted = 0
    findings = []
    for date_range in date_ranges(context, cities):
        city = date_range.city
        miscounted: dict[date, int] = {}
        for part, tensors, alerts in zip(
            date_range.parts,
            stored_rows(store, date_range, "grid_tensors", GRID_FILE),
            stored_rows(store, date_range, "cleaned_alerts", ALERTS_FILE, COUNTED_COLUMNS),
            strict=True,
        ):
            miscounted |= miscounted_alerts(tensors, alerts, part.days, city)
            counted += counted_alerts(alerts, city).num_rows
        wrong |= {date_range.key(day): number for day, number in miscounted.items()}
        named = ", ".join(map(str, list(miscounted)[:5]))
        findings.append((date_range, not miscounted, f"Counts of {named} are wrong; materialise grid_tensors again."))
    keep_findings(store, "counts_equal_alerts", findings)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"alerts": counted, "counts_minus_alerts_by_partition": wrong},
        description=f"Materialise grid_tensors again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )


def _gridded(
    context: dg.AssetExecutionContext, store: "Store", date_range: DateRange
) -> "tuple[dict[date, pa.Table], dict[date, int]]":
    """(tensors, number of alerts) by day; the alerts of a part of the days are held in memory at a time."""
    from shotspotter_assets.cleaning.day_settings import days_of_other_settings, refuse_days
    from shotspotter_assets.gridding.tensors import sparse_tensors

    city = date_range.city
    store.require_window("cleaned_alerts", city.name, ALERTS_FILE, date_range.first, date_range.last)
    tensors: dict[date, pa.Table] = {}
    alerts_by_day = dict.fromkeys(date_range.days, 0)
    stale: list[date] = []
    for part in with_progress(context, date_range.parts, "gridded"):
        alerts = store.read_window("cleaned_alerts", city.name, ALERTS_FILE, part.first, part.last, READ_COLUMNS)
        stale += days_of_other_settings(alerts.schema.metadata, part.days, city, "cleaned_alerts")
        if not stale:
            tensors |= sparse_tensors(alerts, part.days, city)
            alerts_by_day |= {each["values"]: each["counts"] for each in alerts["date"].value_counts().to_pylist()}
    refuse_days(stale, city, "cleaned_alerts")
    return tensors, alerts_by_day
