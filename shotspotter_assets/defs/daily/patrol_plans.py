"""Patrol plans, by city and issue date: for the day after it."""

import json
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import Partitions, single_day
from shotspotter_assets.serving.files import PATROL_PLANS, RISK_FORECASTS, day_partition
from shotspotter_assets.storage.file_names import (
    AUDIT_FILE,
    DISPATCH_CSV_FILE,
    DISPATCH_GEOJSON_FILE,
    HOURLY_FILE,
    PLAN_FILE,
    RECORD_FILE,
)

if TYPE_CHECKING:
    from shotspotter_assets.patrol.plan import DayPlan
    from shotspotter_assets.storage.store import Store

SHOWN = ("shift", "rank", "cell", "area", "units", "recommended_units", "covered_alerts")
HISTORY_DAYS = 366
"""Longer than any cap on repeats looks back."""


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"csv", "parquet"},
        code_version="1",
        deps=["risk_forecasts"],
        automation_condition=CATCH_UP,
    )
    return dg.Definitions(assets=[asset(patrol_plans)])


def patrol_plans(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """How many units to send to which cells in each shift of the day after the issue date, by the city's patrol rules.

    As a table, as CSV and GeoJSON for dispatch systems, with audit numbers. A city without rules has an empty plan.
    """
    from shotspotter_assets.evaluation.areas import cell_areas
    from shotspotter_assets.patrol.audit import patrol_audit
    from shotspotter_assets.patrol.dispatch import DISPATCH_SCHEMA, dispatch_csv, dispatch_geojson, dispatch_table
    from shotspotter_assets.patrol.plan import plan_day

    city, issue = single_day(context, cities)
    opened, day = store.open(), issue + timedelta(days=1)
    partition = day_partition(PATROL_PLANS, city.name, issue)
    if city.patrol is None:
        note = f"City {city.name} has no patrol rules; give its file a section patrol to have plans."
        _write(opened, city.name, issue, DISPATCH_SCHEMA.empty_table(), {"note": note})
        return dg.MaterializeResult(
            data_version=dg.DataVersion("no rules"),
            metadata={"note": note, "units": 0, "path": opened.uri(partition, PLAN_FILE)},
        )
    forecast = day_partition(RISK_FORECASTS, city.name, issue)
    hourly = opened.read_table(forecast, HOURLY_FILE)
    said = json.loads(opened.read_bytes(forecast, RECORD_FILE))
    expected, probability, covered = _by_shift(hourly, city, day)
    areas = cell_areas(city).names
    history = _history(opened, city, issue)
    plan = plan_day(city, day, expected, covered, areas=areas, history=history)
    reasons = {(int(row), int(column)): of for key, of in said["drivers"].items() for row, column in [key.split(",")]}
    table = dispatch_table(plan, city, expected, probability, covered, areas=areas, reasons=reasons)
    audit = asdict(patrol_audit(plan, city, expected, covered, areas=areas, history=history))
    csv = dispatch_csv(table)
    _write(opened, city.name, issue, table, audit, csv, dispatch_geojson(table))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(_version(csv)),
        metadata={
            "day": str(day),
            "units": int(table["units"].to_numpy().sum()),
            "recommended_units": int(table["recommended_units"].to_numpy().sum()),
            **panel.rounded(
                {
                    "expected_alerts": float(sum(shift.total for shift in plan.shifts)),
                    "covered_alerts": float(sum(shift.reached for shift in plan.shifts)),
                    **{f"one_more_unit_{shift.shift.name.replace(' ', '_')}": shift.one_more for shift in plan.shifts},
                }
            ),
            "map": _map(plan, expected, covered, city),
            "placements": _placements(table),
            "hours": said["hours"],
            "audit": dg.MetadataValue.json(audit),
            "csv": opened.uri(partition, DISPATCH_CSV_FILE),
            "path": opened.uri(partition, PLAN_FILE),
        },
    )


def _by_shift(
    hourly: pa.Table, city: City, day: date
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(expected alerts, probability) of each shift, (shifts, rows, columns), and the cells that are forecast."""
    from shotspotter_assets.patrol.shifts import expected_by_shift

    if city.patrol is None:
        raise ValueError(f"City {city.name} has no patrol rules.")
    starts, hour = np.unique(hourly["starts_utc"].to_numpy(), return_inverse=True)
    row, column = (hourly[name].to_numpy() for name in ("row", "column"))
    covered = np.zeros(city.shape, dtype=bool)
    covered[row, column] = True
    expected, hazard = np.zeros((2, len(starts), *city.shape))
    expected[hour, row, column] = hourly["expected"].to_numpy()
    hazard[hour, row, column] = -np.log1p(-hourly["probability"].to_numpy())
    of_shift, of_hazard = (
        expected_by_shift(of, starts, city.patrol.shifts, day, city.zone) for of in (expected, hazard)
    )
    return of_shift, -np.expm1(-of_hazard), covered


def _history(store: "Store", city: City, issue: date) -> dict[date, npt.NDArray[np.bool_]]:
    """Cells patrolled by the plans issued before, by the day that they were for."""
    from shotspotter_assets.patrol.dispatch import patrolled_cells

    first = issue - timedelta(days=HISTORY_DAYS)
    issued = [of for of in store.days_present(PATROL_PLANS, city.name, PLAN_FILE) if first <= of < issue]
    plans = {of: store.read_table(day_partition(PATROL_PLANS, city.name, of), PLAN_FILE) for of in sorted(issued)}
    return {of + timedelta(days=1): patrolled_cells(plan, city) for of, plan in plans.items() if plan.num_rows}


def _write(
    store: "Store",
    city: str,
    issue: date,
    table: pa.Table,
    audit: dict[str, Any],
    csv: bytes = b"",
    geojson: bytes = b"",
) -> None:
    partition = day_partition(PATROL_PLANS, city, issue)
    if table.num_rows:
        store.write_bytes(partition, DISPATCH_CSV_FILE, csv)
        store.write_bytes(partition, DISPATCH_GEOJSON_FILE, geojson)
    else:
        # A plan that was made before the city's rules were taken away must not be dispatched.
        store.delete(partition, DISPATCH_CSV_FILE)
        store.delete(partition, DISPATCH_GEOJSON_FILE)
    store.write_bytes(partition, AUDIT_FILE, json.dumps(audit, indent=1).encode())
    store.write_table(partition, PLAN_FILE, table)


def _version(csv: bytes) -> str:
    import hashlib

    return hashlib.sha256(csv).hexdigest()[:16]


def _placements(table: pa.Table) -> dg.MetadataValue[Any]:
    if not table.num_rows:
        return dg.MetadataValue.text("No unit is placed.")
    # Few columns, as the panel is narrow; the files have all of them.
    return panel.table(
        {name: row[name] for name in SHOWN} | {"reasons": ", ".join(row["reasons"])} for row in table.to_pylist()
    )


def _map(
    plan: "DayPlan", expected: npt.NDArray[np.float64], covered: npt.NDArray[np.bool_], city: City
) -> dg.MarkdownMetadataValue:
    from shotspotter_assets.serving.maps import patrol_map

    units = np.zeros(city.shape, dtype=np.int64)
    units[:: plan.group, :: plan.group] = np.sum([shift.units for shift in plan.shifts], axis=0)
    shown = np.where(covered, expected.sum(axis=0), np.nan)
    png = patrol_map(shown, units, city.box, f"Units of all shifts of {plan.day}, over expected alerts")
    return panel.picture("map", png)
