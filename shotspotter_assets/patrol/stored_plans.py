"""Files of patrol plans in the store."""

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import TypeAdapter

from shotspotter_assets.cities.city import City
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson, patrolled_cells
from shotspotter_assets.patrol.plan import PatrolAudit
from shotspotter_assets.storage.file_names import AUDIT_FILE, DISPATCH_CSV_FILE, DISPATCH_GEOJSON_FILE, PLAN_FILE
from shotspotter_assets.storage.store import Partition, Store

PATROL_PLANS: Final = "patrol_plans"


@dataclass(frozen=True)
class NoPlan:
    """Reason for sending no unit, stored instead of an audit."""

    note: str


_AUDIT: Final[TypeAdapter[PatrolAudit | NoPlan]] = TypeAdapter(PatrolAudit | NoPlan)


def plan_partition(city: str, issue_date: date) -> Partition:
    """Return the partition of the plan made from the forecast issued on a day."""
    return Partition(PATROL_PLANS, city, "date", issue_date)


def write_plan(store: Store, partition: Partition, table: pa.Table, audit: PatrolAudit | NoPlan) -> None:
    """Write a plan and its audit, and its exports for dispatch systems if it sends units."""
    with store.alone(partition.asset, partition.city):
        if table.num_rows:
            store.write_bytes(partition, DISPATCH_CSV_FILE, dispatch_csv(table))
            store.write_bytes(partition, DISPATCH_GEOJSON_FILE, dispatch_geojson(table))
        else:
            # Exports from before the city's rules were removed must not be dispatched.
            store.delete(partition, DISPATCH_CSV_FILE)
            store.delete(partition, DISPATCH_GEOJSON_FILE)
        store.write_bytes(partition, AUDIT_FILE, json.dumps(asdict(audit), indent=1).encode())
        store.write_table(partition, PLAN_FILE, table)


def read_plan(store: Store, city: str, issue_date: date) -> tuple[pa.Table, PatrolAudit | NoPlan]:
    """Read a plan (`DISPATCH_SCHEMA`) and its audit, or the reason for none; raise MissingObjectError without one."""
    partition = plan_partition(city, issue_date)
    return store.read_table(partition, PLAN_FILE), _AUDIT.validate_json(store.read_bytes(partition, AUDIT_FILE))


def patrols_before(store: Store, city: City, issue_date: date) -> dict[date, npt.NDArray[np.bool_]]:
    """Return by day the cells patrolled on the days of the cap on repeats; {} without a cap."""
    if city.patrol is None or city.patrol.repeats is None:
        return {}
    first = issue_date - timedelta(days=city.patrol.repeats.days)
    days = sorted(day for day in store.days_present(PATROL_PLANS, city.name, PLAN_FILE) if first <= day < issue_date)
    plans = {day: store.read_table(plan_partition(city.name, day), PLAN_FILE) for day in days}
    return {day + timedelta(days=1): patrolled_cells(plan, city) for day, plan in plans.items() if plan.num_rows}
