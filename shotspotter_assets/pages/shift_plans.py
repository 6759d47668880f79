"""The page of shift plans: the places of units by shift."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance, reasons
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson
from shotspotter_assets.patrol.plan import ShiftTotals
from shotspotter_assets.patrol.stored_plans import read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store


@dataclass(frozen=True)
class ShiftPlans:
    """Plans of a day: totals and rows of each shift with units, sums over shifts, and files for dispatch systems."""

    day: date
    shifts: list[tuple[ShiftTotals, list[dict[str, Any]]]]
    totals: dict[str, Any]
    csv: bytes
    geojson: bytes


def shift_plans(store: Store, city: str, record: ForecastRecord, places: Places) -> ShiftPlans | str:
    """Return the plans made from a forecast, or the reason for none."""
    try:
        table, plan = read_plan(store, city, record.issue_date)
    except MissingObjectError:
        return "No plan has been made from the newest forecast yet; `patrol_plans` makes it."
    if plan.note:
        return plan.note
    if not len(table):
        return "No unit is placed in any shift."
    row, column = (table[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    table = table.append_column("place", pa.array(places.names(row, column)))
    shifts = [(shift, _rows(table.filter(pc.field("shift") == shift.shift))) for shift in plan.shifts]
    shifts = [(shift, rows) for shift, rows in shifts if rows]
    return ShiftPlans(record.forecast_date, shifts, plan.totals(), dispatch_csv(table), dispatch_geojson(table))


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    words = {"chance": lambda row: chance(row["probability"]), "why": lambda row: reasons(row["reasons"])}
    return [row | {name: of_row(row) for name, of_row in words.items()} for row in table.sort_by("rank").to_pylist()]
