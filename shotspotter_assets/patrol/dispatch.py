"""A patrol plan for dispatch systems: one row per cell (or group) and shift, as a table, as CSV and as GeoJSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import DECIMALS, cell_edges, cell_name, polygon_feature
from shotspotter_assets.patrol.columns import DISPATCH_COLUMNS
from shotspotter_assets.patrol.plan import DayPlan
from shotspotter_assets.patrol.posts import best_posts, posts_of
from shotspotter_assets.patrol.reach import by_group
from shotspotter_assets.patrol.shifts import shift_window
from shotspotter_assets.storage.arrow_schema import arrow_schema

DISPATCH_SCHEMA: Final = arrow_schema(
    DISPATCH_COLUMNS, required=set(DISPATCH_COLUMNS) - {"area", "post_longitude", "post_latitude"}
)

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for a formula, full-width signs among them; https://owasp.org/www-community/attacks/CSV_Injection"""


def dispatch_table(
    plan: DayPlan,
    city: City,
    expected: npt.NDArray[np.floating],
    probability: npt.NDArray[np.floating],
    in_coverage: npt.NDArray[np.bool_],
    *,
    areas: npt.NDArray[np.str_] | None = None,
    reasons: Mapping[tuple[int, int], Sequence[str]] | None = None,
    streets: pa.Table | None = None,
) -> pa.Table:
    """The cells that get units, by shift and rank (`DISPATCH_SCHEMA`).

    Args:
        expected: expected alerts of each shift, shape (shifts, rows, columns).
        probability: chance of at least one alert in each shift and cell, same shape; in groups, cells are taken as
            independent.
        in_coverage: cells that the sensors hear, shape (rows, columns); what is forecast elsewhere is left out.
        areas: name of the area of each cell, "" for none; a cell without an area gets the name of the nearest one.
        reasons: main reasons by (row, column); a group has those of its cell with the most expected alerts.
        streets: risk by segment and shift, as `posts_of` takes it; None where no street is ranked.
    """
    size = plan.group
    names = None if areas is None else by_group(nearest_areas(areas), size)
    records = []
    for at, shift_plan in enumerate(plan.shifts):
        starts_at, ends_at = shift_window(shift_plan.shift, plan.day, city.zone)
        alerts, chance = (by_group(np.where(in_coverage, values[at], 0.0), size) for values in (expected, probability))
        hottest = alerts.argmax(axis=-1)
        posts = {} if streets is None else posts_of(streets, shift_plan.shift.name)
        sent = np.argwhere(shift_plan.units > 0)
        for row, column in sent[np.argsort(shift_plan.rank[tuple(sent.T)])].tolist():
            first_row, first_column, cell = row * size, column * size, int(hottest[row, column])
            west, south, east, north = cell_edges(city, first_row, first_column, size)
            best = best_posts(posts, first_row, first_column, size)
            records.append(
                {
                    "day": plan.day,
                    "shift": shift_plan.shift.name,
                    "starts_at": starts_at.isoformat(),
                    "ends_at": ends_at.isoformat(),
                    "rank": int(shift_plan.rank[row, column]),
                    "cell": cell_name(first_row, first_column, size),
                    "area": None if names is None else str(names[row, column, cell]) or None,
                    "units": int(shift_plan.units[row, column]),
                    "recommended_units": int(shift_plan.recommended[row, column]),
                    "expected_alerts": float(alerts[row, column].sum()),
                    "covered_alerts": float(shift_plan.added_by_group[row, column]),
                    "probability": float(1 - np.prod(1 - chance[row, column].astype(np.float64))),
                    "longitude": round((west + east) / 2, DECIMALS),
                    "latitude": round((south + north) / 2, DECIMALS),
                    "reasons": list((reasons or {}).get((first_row + cell // size, first_column + cell % size), ())),
                    "streets": [post.street for post in best],
                    "post_longitude": best[0].longitude if best else None,
                    "post_latitude": best[0].latitude if best else None,
                    "row": first_row,
                    "column": first_column,
                    "cells": size,
                    "west": west,
                    "south": south,
                    "east": east,
                    "north": north,
                }
            )
    return pa.Table.from_pylist(records, schema=DISPATCH_SCHEMA)


def patrolled_cells(table: pa.Table, city: City) -> npt.NDArray[np.bool_]:
    """The cells to whose group a dispatch table sends units, shape (rows, columns): `history` of later plans."""
    patrolled = np.zeros(city.shape, dtype=bool)
    for row, column, cells in zip(*(table[name].to_pylist() for name in ("row", "column", "cells")), strict=True):
        patrolled[row : row + cells, column : column + cells] = True
    return patrolled


def nearest_areas(areas: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """`areas` with the nearest name, counted in cells, in place of each ""; same shape."""
    from scipy.ndimage import distance_transform_edt

    nameless = areas == ""
    if not nameless.any() or nameless.all():
        return areas
    nearest = distance_transform_edt(nameless, return_distances=False, return_indices=True)
    return areas[tuple(nearest)]


def dispatch_csv(table: pa.Table) -> bytes:
    """A dispatch table as CSV (RFC 4180, UTF-8); texts that a spreadsheet would run as a formula start with '."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows([_csv_value(value) for value in record.values()] for record in table.to_pylist())
    return text.getvalue().encode()


def dispatch_geojson(table: pa.Table) -> bytes:
    """A dispatch table as GeoJSON (RFC 7946): one polygon per row, its other columns as properties."""
    features = []
    for record in table.to_pylist():
        edges = (record.pop("west"), record.pop("south"), record.pop("east"), record.pop("north"))
        record["day"] = record["day"].isoformat()
        name = f"{record['day']}/{record['shift']}/{record['cell']}"
        features.append(polygon_feature(edges, record, id=name, bbox=edges))
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, indent=1).encode()


def _csv_value(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
