"""Grid tensors, by city and local day: the day's counts by hour, type and cell."""

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.checks import keep_findings, stored_rows
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import ONE_RUN, Partitions, date_ranges
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE

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
    )
    check = dg.asset_check(asset="grid_tensors", partitions_def=partitions.city_date, blocking=True)
    return dg.Definitions(assets=[asset(grid_tensors)], asset_checks=[check(counts_equal_alerts)])


def grid_tensors(context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource) -> None:
    """The day's frames as a sparse tensor: alerts, or incidents that began, per local hour, type, row and column.

    The dense shape is in the Parquet schema's metadata. A day without alerts is a tensor without entries.
    """
    from shotspotter_assets.cleaning.day_settings import TYPES, refuse_changed_settings, with_entries
    from shotspotter_assets.gridding.tensors import sparse_tensors
    from shotspotter_assets.sources.known_days import mark_states, silent_at_end, stored_states
    from shotspotter_assets.storage.day_metadata import values_by_day

    opened = store.open()
    for date_range in date_ranges(context, cities):
        city, days = date_range.city, date_range.days
        alerts = opened.read_window("cleaned_alerts", city.name, ALERTS_FILE, days[0], days[-1], READ_COLUMNS)
        refuse_changed_settings(alerts.schema.metadata, days, city, "cleaned_alerts")
        types = values_by_day(alerts.schema.metadata, TYPES, days)
        tensors = with_entries(sparse_tensors(alerts, days, city), TYPES, types)
        silent = silent_at_end(alerts["date"], days)
        states = stored_states(opened, "cleaned_alerts", city.name, ALERTS_FILE, silent)
        opened.write_tables("grid_tensors", city.name, GRID_FILE, mark_states(tensors, states))
        for day, tensor in tensors.items():
            counted = int(tensor["count"].to_numpy().sum())
            metadata = {city.counted: counted, "entries": tensor.num_rows, "time_precision": city.time_precision}
            metadata |= panel.day_state(states.get(day))
            context.add_asset_metadata(metadata, partition_key=date_range.key(day))
        context.log.info(f"{city.name}: {alerts.num_rows:,} alerts of {len(days):,} days to {days[-1]} gridded")


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
        city, days = date_range.city, date_range.days
        tensors = stored_rows(store, date_range, "grid_tensors", GRID_FILE)
        alerts = stored_rows(store, date_range, "cleaned_alerts", ALERTS_FILE, COUNTED_COLUMNS)
        miscounted = miscounted_alerts(tensors, alerts, days, city)
        wrong |= {date_range.key(day): number for day, number in miscounted.items()}
        named = ", ".join(map(str, list(miscounted)[:5]))
        findings.append((date_range, not miscounted, f"Counts of {named} are wrong; materialise grid_tensors again."))
        counted += counted_alerts(alerts, city).num_rows
    keep_findings(store, "counts_equal_alerts", findings)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"alerts": counted, "counts_minus_alerts_by_partition": wrong},
        description=f"Materialise grid_tensors again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )
