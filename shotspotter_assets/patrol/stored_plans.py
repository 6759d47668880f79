"""Stored patrol plans: table, exports for dispatch systems, and record."""

from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from shotspotter_assets.arrays import Booleans
from shotspotter_assets.cities.city import City
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson, patrolled_cells
from shotspotter_assets.patrol.plan import ShiftTotals
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, DISPATCH_MAP, PLAN, PLAN_RECORD
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class PlanRecord(StoredRecord):
    """Totals of a plan by shift, or the reason for sending no unit (`note`)."""

    stored_as = PLAN_RECORD

    issue_date: date
    forecast_date: date
    note: str = ""
    shifts: tuple[ShiftTotals, ...] = ()

    def totals(self) -> dict[str, Any]:
        """Return sums over the shifts, by the names of `ShiftTotals`."""
        rows = [asdict(shift) for shift in self.shifts]
        return {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("shift", "one_more_unit")}


def write_plan(store: Store, record: PlanRecord, table: pa.Table | None = None) -> str:
    """Write a plan, its record, and its exports for dispatch systems if it sends units; return the table's address."""
    place, table = (record.city, record.issue_date), PLAN.schema.empty_table() if table is None else table
    with store.alone(PLAN.asset, record.city):
        if table.num_rows:
            store.write_bytes(DISPATCH_CSV, dispatch_csv(table), *place)
            store.write_bytes(DISPATCH_MAP, dispatch_geojson(table), *place)
        else:
            # Exports from before the city's rules were removed must not be dispatched.
            store.delete(DISPATCH_CSV, *place)
            store.delete(DISPATCH_MAP, *place)
        record.write(store)
        store.write_table(PLAN, table, *place)
    return store.uri(PLAN, *place)


def read_plan(store: Store, city: str, issue_date: date) -> tuple[pa.Table, PlanRecord]:
    """Read a plan (`catalogue.PLAN`) and its record; raise MissingObjectError without one."""
    return store.read_table(PLAN, city, issue_date), PlanRecord.load(store, city, issue_date)


def patrols_before(store: Store, city: City, issue_date: date) -> dict[date, Booleans]:
    """Return by day the cells patrolled on the days of the cap on repeats; {} without a cap."""
    if city.patrol is None or city.patrol.repeats is None:
        return {}
    one_day = timedelta(days=1)
    issued = store.days_present(PLAN, city.name, issue_date - city.patrol.repeats.days * one_day, issue_date - one_day)
    plans = {day: store.read_table(PLAN, city.name, day) for day in sorted(issued)}
    return {day + one_day: patrolled_cells(plan, city) for day, plan in plans.items() if plan.num_rows}
