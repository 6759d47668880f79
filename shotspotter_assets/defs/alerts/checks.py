"""Checks of the alerts: no row is lost between receiving and cleaning."""

import dagster as dg

from shotspotter_assets.defs.alerts.assets import ALERTS_FILE, REJECTED_FILE, cleaned_alerts
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import stretches
from shotspotter_assets.defs.resources import StoreResource


@dg.asset_check(asset=cleaned_alerts, partitions_def=PARTITIONS.city_date, blocking=True)
def rows_are_conserved(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """Rows received = rows cleaned + rows rejected + exact duplicates, on every day, counted from the stored files."""
    from shotspotter_assets.cleaning.conservation import unaccounted_rows

    wrong: dict[str, int] = {}
    rows = 0
    for stretch in stretches(context):
        window = (stretch.city.name, stretch.days[0], stretch.days[-1])
        opened = store.open()
        raw, alerts, rejected = (
            opened.read_window(asset, window[0], file, *window[1:])
            for asset, file in (
                ("raw_alerts", ALERTS_FILE),
                ("cleaned_alerts", ALERTS_FILE),
                ("cleaned_alerts", REJECTED_FILE),
            )
        )
        rows += raw.num_rows
        wrong |= {stretch.key(day): difference for day, difference in unaccounted_rows(raw, alerts, rejected).items()}
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"rows_received": rows, "unaccounted_rows_by_partition": wrong},
        description=f"Materialise cleaned_alerts again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )
