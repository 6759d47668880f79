"""A patrol plan for dispatch systems, one row per cell and shift, as a table, CSV and GeoJSON; and its store."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.stored_settings import GRID, grid_settings
from shotspotter_assets.forecasts.patrol.cover import reach_matrix
from shotspotter_assets.forecasts.patrol.lottery import lot_in_words
from shotspotter_assets.forecasts.patrol.plan import DayPlan, ShiftTotals
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts, shift_window
from shotspotter_assets.grid.cells import DECIMALS, cell_edges, cell_name
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.storage.arrays import Array, Booleans, Names
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, DISPATCH_MAP, LOTS, PLAN, PLAN_RECORD, STREETS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

SIDES: Final = ("west", "south", "east", "north")
MAX_STREETS_NAMED: Final = 3
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Starts of texts that spreadsheets run as formulas, full-width signs among them:
https://owasp.org/www-community/attacks/CSV_Injection"""


def dispatch_table(
    plan: DayPlan,
    city: City,
    forecasts: ShiftForecasts,
    *,
    areas: Names | None = None,  # area of each cell, "" for none, shape (rows, columns)
    reasons: Mapping[tuple[int, int], Sequence[str]] | None = None,  # main ones by (row, column)
    streets: pa.Table | None = None,  # segments by shift, with the row and column of their main cell
) -> pa.Table:
    """Return the cells with units, by shift and rank (`catalogue.PLAN`)."""
    assert city.patrol is not None
    reach = reach_matrix(city, city.patrol.radius_m)
    shape = forecasts.expected.shape
    hazard = -np.log1p(-forecasts.probability).reshape(len(forecasts.expected), -1)
    expected_within_reach = (reach @ forecasts.expected.reshape(hazard.shape).T).T.reshape(shape)
    probability_within_reach = -np.expm1(-(reach @ hazard.T).T).reshape(shape)
    by_risk = (STREETS.schema.empty_table() if streets is None else streets).sort_by([("probability", "descending")])
    records = []
    for number, shift_plan in enumerate(plan.shifts):
        starts_at, ends_at = shift_window(shift_plan.shift, plan.forecast_date, city.zone)
        posts = by_risk.filter(pc.field("shift") == shift_plan.shift.name).to_pylist()
        sent = np.argwhere(shift_plan.units > 0)
        for row, column in sent[np.argsort(shift_plan.rank[tuple(sent.T)])].tolist():
            edges = dict(zip(SIDES, cell_edges(city, row, column), strict=True))
            chance = shift_plan.chance(row, column)
            lot = [] if chance is None else [lot_in_words(chance)]
            cell_posts = [post for post in posts if (post["row"], post["column"]) == (row, column)]
            records.append(
                {
                    "forecast_date": plan.forecast_date,
                    "shift": shift_plan.shift.name,
                    "starts_at": starts_at.isoformat(),
                    "ends_at": ends_at.isoformat(),
                    "rank": int(shift_plan.rank[row, column]),
                    "cell": cell_name(row, column),
                    "area": None if areas is None else str(areas[row, column]) or None,
                    "units": int(shift_plan.units[row, column]),
                    "chance": chance,
                    "expected_within_reach": float(expected_within_reach[number, row, column]),
                    "probability_within_reach": float(probability_within_reach[number, row, column]),
                    "covered_alerts": float(shift_plan.added[row, column]),
                    "longitude": round((edges["west"] + edges["east"]) / 2, DECIMALS),
                    "latitude": round((edges["south"] + edges["north"]) / 2, DECIMALS),
                    "reasons": [*lot, *(reasons or {}).get((row, column), ())],
                    # Each side of a dual carriageway is a segment.
                    "streets": [*dict.fromkeys(post["name"] for post in cell_posts)][:MAX_STREETS_NAMED],
                    "post_longitude": cell_posts[0]["longitude"] if cell_posts else None,
                    "post_latitude": cell_posts[0]["latitude"] if cell_posts else None,
                    "row": row,
                    "column": column,
                    **edges,
                }
            )
    return pa.Table.from_pylist(records, schema=PLAN.schema)


def lots_table(plan: DayPlan, city: City, forecasts: ShiftForecasts, areas: Names) -> pa.Table:
    """Return the lots of all covered cells by shift, drawn or not (`catalogue.LOTS`); no rows without a lottery."""
    row, column = np.nonzero(forecasts.in_coverage)
    tables = [LOTS.schema.empty_table()]
    for number, shift_plan in enumerate(plan.shifts):
        if shift_plan.lots is None:
            continue
        starts_at, ends_at = shift_window(shift_plan.shift, plan.forecast_date, city.zone)
        of_shift = {"shift": shift_plan.shift.name, "starts_utc": starts_at, "ends_utc": ends_at}
        of_cells = {
            "row": row,
            "column": column,
            "area": areas[row, column],
            "expected": forecasts.expected[number, row, column],
            "expected_units": shift_plan.lots.expected_units.reshape(city.shape)[row, column],
            "chance": shift_plan.lots.chance.reshape(city.shape)[row, column],
            "units": shift_plan.units[row, column],
        }
        repeated = {
            name: pa.repeat(pa.scalar(value, LOTS.schema.field(name).type), len(row))
            for name, value in of_shift.items()
        }
        tables.append(pa.table({**repeated, **of_cells}).cast(LOTS.schema))
    return pa.concat_tables(tables).replace_schema_metadata({GRID: grid_settings(city)})


def patrolled_cells(table: pa.Table, city: City) -> Booleans:
    """Flag the cells to which a dispatch table sends units, shape (rows, columns)."""
    patrolled = np.zeros(city.shape, dtype=bool)
    patrolled[table["row"].to_numpy(), table["column"].to_numpy()] = True
    return patrolled


def dispatch_csv(table: pa.Table) -> bytes:
    """Write a dispatch table as CSV (RFC 4180, UTF-8); texts that a spreadsheet would run start with '."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows([_csv_value(value) for value in record.values()] for record in table.to_pylist())
    return text.getvalue().encode()


def dispatch_geojson(table: pa.Table) -> bytes:
    """Write a dispatch table as GeoJSON (RFC 7946): one polygon per row, its other columns as properties."""
    features = []
    for record in table.to_pylist():
        edges = tuple(record.pop(side) for side in SIDES)
        record["forecast_date"] = record["forecast_date"].isoformat()
        name = f"{record['forecast_date']}/{record['shift']}/{record['cell']}"
        features.append(polygon_feature(edges, record, id=name, bbox=edges))
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, indent=1).encode()


def _csv_value(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


class PlanRecord(StoredRecord):
    """Totals of a plan by shift, or the reason for sending no unit (`note`)."""

    stored_as = PLAN_RECORD

    issue_date: date
    forecast_date: date
    note: str = ""
    forecast_versions: dict[str, str] = Field(default_factory=dict)  # by target
    radius_m: float | None = None  # reach of a unit; None without a plan
    shifts: tuple[ShiftTotals, ...] = ()
    lottery: float | None = Field(None, description="Power of the lottery; null for a plan without one.")
    covered_without_lottery: float | None = Field(
        None, description="Expected events that the units would cover without the lottery."
    )

    def totals(self) -> dict[str, Any]:
        """Return sums over the shifts, by the names of `ShiftTotals`."""
        rows = [asdict(shift) for shift in self.shifts]
        return {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("shift", "one_more_unit")}


def write_plan(store: Store, record: PlanRecord, table: pa.Table | None = None, lots: pa.Table | None = None) -> str:
    """Write a plan, its lots and record, and exports for dispatch systems if it sends units; return the table's address."""
    city = record.city
    issue_date = record.issue_date
    if table is None:
        table = PLAN.schema.empty_table()
    with store.alone(PLAN.asset, city):
        if table.num_rows:
            store.write_bytes(DISPATCH_CSV, dispatch_csv(table), city, issue_date)
            store.write_bytes(DISPATCH_MAP, dispatch_geojson(table), city, issue_date)
        else:
            # Exports from before the city's rules were removed must not be dispatched.
            store.delete(DISPATCH_CSV, city, issue_date)
            store.delete(DISPATCH_MAP, city, issue_date)
        if lots is not None and lots.num_rows:
            store.write_table(LOTS, lots, city, issue_date)
        else:
            store.delete(LOTS, city, issue_date)
        record.write(store)
        store.write_table(PLAN, table, city, issue_date)
    return store.uri(PLAN, city, issue_date)


def read_plan(store: Store, city: str, issue_date: date) -> tuple[pa.Table, PlanRecord]:
    """Read a plan (`catalogue.PLAN`) and its record; raise MissingObjectError without one."""
    return store.read_table(PLAN, city, issue_date), PlanRecord.load(store, city, issue_date)


def unit_hours(plan: pa.Table) -> Array:
    """Return the hours of units of each row of a plan (`catalogue.PLAN`), shape (rows,)."""
    starts, ends = (
        [datetime.fromisoformat(text) for text in plan[name].to_pylist()] for name in ("starts_at", "ends_at")
    )
    lengths = [(end - start).total_seconds() / 3600 for start, end in zip(starts, ends, strict=True)]
    return np.array(lengths, np.float64) * plan["units"].to_numpy()


def patrols_before(store: Store, city: City, issue_date: date) -> dict[date, Booleans]:
    """Return by day the cells patrolled on the days of the cap on repeats; {} without a cap."""
    if city.patrol is None or city.patrol.repeats is None:
        return {}
    issued = store.days_present(PLAN, city.name, issue_date - city.patrol.repeats.days * ONE_DAY, issue_date - ONE_DAY)
    plans = {day: store.read_table(PLAN, city.name, day) for day in sorted(issued)}
    return {day + ONE_DAY: patrolled_cells(plan, city) for day, plan in plans.items() if plan.num_rows}
