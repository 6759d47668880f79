"""The page of tomorrow: the newest forecast as a map and a list of places."""

from datetime import timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.arrays import Array
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import amount, chance, chance_classes, reasons
from shotspotter_assets.patrol.shifts import shift_forecasts
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, IssueRecord, NoForecast, load_record
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, is_of_grid, next_day_rows
from shotspotter_assets.serving.street_ranking import top_street_lines
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY
from shotspotter_assets.storage.store import Store

TOP_PLACES: Final = 10
WHOLE_DAY: Final = "Whole day"
QUARTERS: Final = tuple(
    Shift(name=f"{name} {start} to {start + 6}", start=start, end=start + 6, units=0)
    for name, start in (("Night", 0), ("Morning", 6), ("Afternoon", 12), ("Evening", 18))
)
"""Hours of maps without shifts."""


def newest_issue(store: Store, city: str) -> IssueRecord | None:
    """Return the newest record of a forecast, or of the reason for none; None without any."""
    made = store.days_present(FORECAST_RECORD, city)
    return load_record(store, city, max(made)) if made else None


def newest_forecast(store: Store, city: City, places: Places) -> dict[str, Any]:
    """Return `forecast`, the newest one with `data` for `tomorrow.js`, or None, and `nothing`, the record of the reason."""
    issue = newest_issue(store, city.name)
    if not isinstance(issue, ForecastRecord):
        return {"forecast": None, "nothing": issue}
    table = store.read_table(FORECAST, city.name, issue.issue_date)
    if is_of_grid(table, city):
        return {"forecast": _forecast(store, city, issue, places, next_day_rows(table)), "nothing": None}
    changed = "The city's box, cells or what is counted have changed since the last forecast was issued"
    facts = issue.model_dump(include={"city", "issue_date", "forecast_date", "lead", "last_known"})
    nothing = NoForecast(**facts, no_forecast=f"{changed}: it cannot be drawn.", last_issued=issue.issue_date)
    return {"forecast": None, "nothing": nothing}


def _forecast(store: Store, city: City, record: ForecastRecord, places: Places, day: pa.Table) -> dict[str, Any]:
    row, column = cells_of(day)
    cells, drivers = row * city.grid.columns + column, record.cell_drivers()
    why = [reasons(drivers.get(cell, ())) for cell in zip(row.tolist(), column.tolist(), strict=True)]
    probability, low, high, expected = (day[name].to_numpy() for name in ("probability", "low", "high", "expected"))
    periods = {WHOLE_DAY: (probability, expected)}
    if city.time_precision != "day":
        shifts = QUARTERS if city.patrol is None else city.patrol.shifts
        hourly = store.read_table(HOURLY, city.name, record.issue_date)
        of_shifts = shift_forecasts(hourly, city, shifts, record.forecast_date)
        for at, shift in enumerate(shifts):
            periods[shift.name] = of_shifts.probability[at, row, column], of_shifts.expected[at, row, column]
    types = [] if day[TYPE_COLUMNS[0]].null_count else list(GUNSHOT_TYPES.values())
    shares = {-1: np.ones(len(day))} | {code: day[TYPE_COLUMNS[code]].to_numpy() for code in range(len(types))}
    views = {
        f"{at}/{code}": _view(*period, share)
        for at, period in enumerate(periods.values())
        for code, share in shares.items()
    }
    best = np.argsort(-probability, kind="stable")[:TOP_PLACES]
    sums = np.sort(expected)[::-1].cumsum()
    streets = [_street(feature) for feature in top_street_lines(store, city.name, record.issue_date)]
    return {
        "record": record,
        "data": {"cells": cells.tolist(), "why": why, "views": views, "streets": streets, "top": cells[best].tolist()},
        "periods": list(periods),
        "types": types,
        "top": [
            {"name": name, "chance": chance(probability[at]), "why": f"{why[at]}.{_range(low[at], high[at])}"}
            for name, at in zip(places.names(row[best], column[best]), best, strict=True)
        ],
        "cells_of_half": int(np.searchsorted(sums, sums[-1] / 2)) + 1,
        "ends": day["starts_utc"][0].as_py() + timedelta(hours=day["hours"][0].as_py()),
    }


def _view(probability: Array, expected: Array, share: Array) -> dict[str, object]:
    """Return the map's data of one period and type; a type's `share` of all alerts also divides the hazard."""
    of_type, alerts = -np.expm1(share * np.log1p(-probability)), expected * share
    return {
        "words": f"{amount(float(alerts.sum()))} alerts expected in the whole area.",
        "classes": chance_classes(of_type).tolist(),
        "chances": [chance(value) for value in of_type.tolist()],
    }


def _range(low: float, high: float) -> str:
    first, last = chance(low), chance(high)
    return "" if first == last else f" Chance between {first} and {last}."


def _street(feature: dict[str, Any]) -> dict[str, Any]:
    facts = feature["properties"]
    return {
        "geometry": feature["geometry"],
        "class": int(chance_classes(np.array(facts["probability"]))),
        "lines": [facts["name"], f"{chance(facts['probability'])} of an alert", facts["why"]],
    }
