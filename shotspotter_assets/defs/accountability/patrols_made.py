"""Patrols made by local day, beside the plan of the day."""

from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, TableProduct
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage.catalogue import PATROLS_MADE, Asset

if TYPE_CHECKING:
    import pyarrow as pa

CHECKED_DAYS: Final = 28
MIN_REPORTED_SHARE: Final = 0.5


@TableProduct(Asset.PATROLS_MADE, kinds={"parquet"}, code_version="1", table=PATROLS_MADE)
def patrols_made(log: Log, store: Store, city: City, day: date, rows: "pa.Table") -> panel.Metadata:
    """Planned and made hours by cell and shift, from the table of `patrols` in the city's file.

    A visit without any report is neither made nor not made: its hours are null. Hours outside the plan are kept, too.
    """
    from shotspotter_assets.accountability.patrols_made import day_patrols, patrol_totals, read_plan_of
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    plan, lots = read_plan_of(store, city, day)
    table, record = day_patrols(rows, plan, lots, day, city)
    path = record.write_after(store, {PATROLS_MADE: table})
    for problem in record.problems:
        log.warning(f"{city.name}: {problem}")
    share = patrol_totals([record]).share
    numbers = record.model_dump(exclude={"format_version", "city", "scored_date", "problems"})
    return {
        "data_version": table_fingerprints({day: table})[day],
        **panel.rounded(numbers),
        **({} if share is None else panel.rounded({"share": share})),
        **({"problems": panel.bullets(record.problems)} if record.problems else {}),
        "path": dg.MetadataValue.path(path),
    }


@Check(Asset.PATROLS_MADE)
def patrols_reported(context: dg.AssetCheckExecutionContext, store: StoreResource, city: City) -> dg.AssetCheckResult:
    """Half of the visits planned in the last four weeks are reported, and no row of the day is left out."""
    from shotspotter_assets.accountability.patrols_made import PatrolsRecord, patrol_totals

    day = run_days(context, city)[-1]
    records = PatrolsRecord.find_days(store.open(), city.name, day - (CHECKED_DAYS - 1) * ONE_DAY, day)
    totals = patrol_totals(records)
    left_out = records[-1].problem_count if records else 0
    warnings = []
    if totals.reported_visits < MIN_REPORTED_SHARE * totals.visits:
        reported = (
            f"{totals.reported_visits:,} of {totals.visits:,} visits planned in the four weeks to {day} are reported"
        )
        warnings.append(f"{reported}. Hand back the plans of the other days, or land the patrols that were made.")
    if left_out:
        warnings.append(f"Rows of {day} that are left out: {left_out}. The record of the day names them.")
    return dg.AssetCheckResult(
        passed=not warnings,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reported_visits": totals.reported_visits, "visits": totals.visits, "rows_left_out": left_out},
        description=" ".join(warnings) or None,
    )
