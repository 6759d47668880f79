"""The page of shift plans: the places of units by shift."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance, reasons
from shotspotter_assets.patrol.stored_plans import read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store


def shift_plans(store: Store, record: ForecastRecord, places: Places) -> dict[str, Any]:
    """Return a forecast's plans: rows by shift, `totals` and `table`; without a plan, only a `note` with the reason."""
    try:
        table, plan = read_plan(store, record.city, record.issue_date)
    except MissingObjectError:
        return {"note": "No plan has been made from the newest forecast yet; `patrol_plans` makes it."}
    if plan.note or not len(table):
        return {"note": plan.note or "No unit is placed in any shift."}
    table = table.append_column("place", pa.array(places.names(*cells_of(table))))
    rows = {shift.shift: table.filter(pc.field("shift") == shift.shift) for shift in plan.shifts}
    shifts = [(shift, _in_words(rows[shift.shift])) for shift in plan.shifts if len(rows[shift.shift])]
    return {"day": record.forecast_date, "shifts": shifts, "totals": plan.totals(), "table": table}


def _in_words(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows by rank, each with its `mark` on the map of tomorrow."""
    rows: list[dict[str, Any]] = table.sort_by("rank").to_pylist()
    for row in rows:
        row |= {"chance": chance(row["probability_within_reach"]), "why": reasons(row["reasons"])}
        what = f"{row['units']} units: {row['place']}"
        row["mark"] = {"at": [row["latitude"], row["longitude"]], "rank": row["rank"], "what": what}
    return rows
