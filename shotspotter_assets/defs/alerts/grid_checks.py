"""Checks of the grid tensors: every cleaned alert, or every incident, is counted exactly once."""

import dagster as dg
import numpy as np

from shotspotter_assets.defs.alerts.grid_tensors import grid_tensors
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import stretches
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.gridding.tensors import counted_alerts, dense_window
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE


@dg.asset_check(asset=grid_tensors, partitions_def=PARTITIONS.city_date, blocking=True)
def counts_equal_alerts(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The sum of the dense window equals the number of cleaned alerts, or of incidents that began, on every day."""
    wrong: dict[str, int] = {}
    counted = 0
    for stretch in stretches(context):
        city, days = stretch.city, stretch.days
        opened = store.open()
        frames = opened.read_window("grid_tensors", city.name, GRID_FILE, days[0], days[-1])
        ids = ["user_id", "incident_id"]
        cleaned = opened.read_window("cleaned_alerts", city.name, ALERTS_FILE, days[0], days[-1], ids)
        cleaned = counted_alerts(cleaned, city)
        gridded = dense_window(frames, days, city).sum(axis=(1, 2, 3), dtype=np.int64)
        day_at = np.searchsorted(np.array(days, dtype="datetime64[D]"), cleaned["date"].to_numpy())
        difference = gridded - np.bincount(day_at, minlength=len(days))
        wrong |= {stretch.key(days[at]): int(difference[at]) for at in np.flatnonzero(difference)}
        counted += cleaned.num_rows
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"alerts": counted, "counts_minus_alerts_by_partition": wrong},
        description=f"Materialise grid_tensors again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )
