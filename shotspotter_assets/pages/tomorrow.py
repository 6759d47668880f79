"""The first page of a city: the newest forecast as a map, by shifts and types, with the likeliest places."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import amount, chance, chance_classes, reasons
from shotspotter_assets.patrol.shifts import shift_forecasts
from shotspotter_assets.serving.issued_forecasts import (
    ForecastRecord,
    IssueRecord,
    NoForecast,
    load_record,
)
from shotspotter_assets.serving.issued_streets import top_street_lines
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, is_of_grid, next_day_rows
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]
TOP_PLACES: Final = 10
WHOLE_DAY: Final = "Whole day"
QUARTERS: Final = tuple(
    Shift(name=f"{name} {start} to {start + 6}", start=start, end=start + 6, units=0)
    for name, start in (("Night", 0), ("Morning", 6), ("Afternoon", 12), ("Evening", 18))
)
"""Hours of maps without shifts."""


@dataclass(frozen=True)
class LikelyPlace:
    """One of the likeliest places; `number` is row * columns + column of its cell."""

    name: str
    chance: str
    why: str
    number: int


@dataclass(frozen=True)
class IssuedForecast:
    """The newest forecast on its page.

    Attributes:
        data: of the map, for `tomorrow.js`.
        periods: names of the day and of its shifts.
        types: empty without forecast types.
        top: the likeliest places of the whole day.
        half_of_alerts: minimum number of cells with half of the expected alerts.
        ends: end of the day, UTC.
    """

    record: ForecastRecord
    data: dict[str, Any]
    periods: list[str]
    types: list[str]
    top: list[LikelyPlace]
    half_of_alerts: int
    ends: datetime


def newest_issue(store: Store, city: str) -> IssueRecord | None:
    """Return the newest record of a forecast, or of the reason for none; None without any."""
    made = store.days_present(FORECAST_RECORD, city)
    return load_record(store, city, max(made)) if made else None


def of_another_grid(record: ForecastRecord) -> NoForecast:
    """Replace a forecast that was issued for another grid."""
    changed = "The city's box, cells or what is counted have changed since the last forecast was issued"
    same = record.model_dump(include={"city", "issue_date", "forecast_date", "lead", "last_known"})
    return NoForecast(**same, no_forecast=f"{changed}: it cannot be drawn.", last_issued=record.issue_date)


def issued_forecast(store: Store, city: City, record: ForecastRecord, places: Places) -> IssuedForecast | None:
    """Read a stored forecast with the data of its page; None for an older grid."""
    table = store.read_table(FORECAST, city.name, record.issue_date)
    if not is_of_grid(table, city):
        return None
    day = next_day_rows(table)
    row, column = (day[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    cells, drivers = row * city.grid.columns + column, record.cell_drivers()
    why = [reasons(drivers.get(cell, ())) for cell in zip(row.tolist(), column.tolist(), strict=True)]
    periods = _periods(day, store.read_table(HOURLY, city.name, record.issue_date), city, record)
    types = [] if day[TYPE_COLUMNS[0]].null_count else list(GUNSHOT_TYPES.values())
    shares = {-1: np.ones(len(day))} | {code: day[TYPE_COLUMNS[code]].to_numpy() for code in range(len(types))}
    views = {
        f"{at}/{code}": _view(probability, expected, share)
        for at, (probability, expected) in enumerate(periods.values())
        for code, share in shares.items()
    }
    probability, low, high = (day[name].to_numpy() for name in ("probability", "low", "high"))
    best = np.argsort(-probability, kind="stable")[:TOP_PLACES]
    top = [
        LikelyPlace(name, chance(probability[at]), f"{why[at]}.{_range(low[at], high[at])}", int(cells[at]))
        for name, at in zip(places.names(row[best], column[best]), best, strict=True)
    ]
    streets = [
        {
            "geometry": feature["geometry"],
            "class": int(chance_classes(np.array(facts["probability"]))),
            "lines": [facts["name"], f"{chance(facts['probability'])} of an alert", facts["why"]],
        }
        for feature in top_street_lines(store, city.name, record.issue_date)
        for facts in [feature["properties"]]
    ]
    expected = np.sort(day["expected"].to_numpy())[::-1].cumsum()
    return IssuedForecast(
        record=record,
        data={"cells": cells.tolist(), "why": why, "views": views, "streets": streets, "top": cells[best].tolist()},
        periods=list(periods),
        types=types,
        top=top,
        half_of_alerts=int(np.searchsorted(expected, expected[-1] / 2)) + 1,
        ends=day["starts_utc"][0].as_py() + timedelta(hours=day["hours"][0].as_py()),
    )


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


def _periods(day: pa.Table, hourly: pa.Table, city: City, record: ForecastRecord) -> dict[str, tuple[Array, Array]]:
    """Return probability and expected alerts by cell of the whole day, and of each shift if hours are known."""
    periods = {WHOLE_DAY: (day["probability"].to_numpy(), day["expected"].to_numpy())}
    if city.time_precision == "day":
        return periods
    shifts = QUARTERS if city.patrol is None else city.patrol.shifts
    forecasts = shift_forecasts(hourly, city, shifts, record.forecast_date)
    cells = day["row"].to_numpy(), day["column"].to_numpy()
    of_shifts = zip(shifts, forecasts.probability, forecasts.expected, strict=True)
    return periods | {shift.name: (probability[cells], expected[cells]) for shift, probability, expected in of_shifts}
