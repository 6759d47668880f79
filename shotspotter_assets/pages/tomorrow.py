"""The first page of a city: the newest forecast, by hours and types, with the likeliest places and reasons."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.dates import hours_of_day
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.pages.ground import STREET_METRES, lines_of
from shotspotter_assets.pages.hours import Hours
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import amount, chance, chance_classes, reasons, tenths
from shotspotter_assets.serving.issued_forecasts import (
    RISK_FORECASTS,
    ForecastRecord,
    IssueRecord,
    NoForecast,
    forecast_partition,
    load_record,
)
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, is_of_grid, next_day_rows
from shotspotter_assets.serving.stored_streets import streets_caution, top_street_lines
from shotspotter_assets.storage.file_names import FORECAST_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]

TOP_PLACES: Final = 10
TOP_STREETS: Final = 20

BANDS: Final = {
    "Night, 0 to 6": (0, 6),
    "Morning, 6 to 12": (6, 12),
    "Afternoon, 12 to 18": (12, 18),
    "Evening, 18 to 24": (18, 24),
}
"""First and last local hours."""
WHOLE_DAY: Final = "Whole day"


@dataclass(frozen=True)
class Ranked:
    """One of the likeliest places or streets."""

    name: str
    chance: str
    why: str
    number: int | None = None
    """Number of the cell of a place."""


@dataclass(frozen=True)
class IssuedForecast:
    """The newest forecast as its page shows it."""

    record: ForecastRecord
    data: dict[str, Any]
    """The data of the map, as `tomorrow.js` reads them."""
    bands: list[str]
    types: list[str]
    """Empty where types are not forecast."""
    lists: dict[str, list[Ranked]]
    """The likeliest places of each view."""
    streets: list[Ranked]
    """Empty where no street is ranked."""
    streets_caution: str
    """A sentence where points hardly tell streets apart, else ""."""
    half_of_alerts: int
    """Minimum number of cells that hold half of the expected alerts."""
    ends: datetime
    """End of the day, UTC."""

    @property
    def top(self) -> Ranked:
        """The likeliest place of the whole day."""
        return self.lists["0/-1"][0]


def newest_issue(store: Store, city: str) -> IssueRecord | None:
    """Return the newest forecast's record, or why nothing was issued; None where no forecast was ever made."""
    made = store.days_present(RISK_FORECASTS, city, RECORD_FILE)
    return load_record(store, city, max(made)) if made else None


def of_another_grid(record: ForecastRecord) -> NoForecast:
    """Replace a forecast that was issued for another grid."""
    reason = (
        "The city's box, cells or what is counted have changed since the last forecast was issued: it cannot be drawn."
    )
    same = record.model_dump(include={"city", "issue_date", "day", "lead", "last_known"})
    return NoForecast(**same, no_forecast=reason, last_issued=record.issue_date)


def issued_forecast(store: Store, city: City, record: ForecastRecord, places: Places) -> IssuedForecast | None:
    """Read a stored forecast with the data of its page; None where it is of another grid than the city has now."""
    partition = forecast_partition(city.name, record.issue_date)
    table = store.read_table(partition, FORECAST_FILE)
    if not is_of_grid(table, city):
        return None
    day = next_day_rows(table)
    row, column = (day[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    cells = row * city.grid.columns + column
    drivers = record.cell_drivers()
    why = [reasons(drivers.get(cell, ())) for cell in zip(row.tolist(), column.tolist(), strict=True)]
    names = places.names(row, column)
    low, high = ([chance(end) for end in day[name].to_numpy()] for name in ("low", "high"))
    whole = [
        f"{text}.{f' Chance between {first} and {last}.' if first != last else ''}"
        for text, first, last in zip(why, low, high, strict=True)
    ]
    bands = _bands(Hours.read(store, city, record.day), day, city)
    types = [] if day[TYPE_COLUMNS[0]].null_count else list(GUNSHOT_TYPES.values())
    phrases = {text: at for at, text in enumerate(dict.fromkeys(why))}
    reason = [phrases[text] for text in why]
    totals = [record.expected_alerts, *tenths([float(expected.sum()) for _, _, expected in bands[1:]])]
    views, lists = {}, {}
    for at, (band, probability, expected) in enumerate(bands):
        shares = [(-1, "", np.ones(len(day)))]
        shares += [(code, f", {kind}", day[TYPE_COLUMNS[code]].to_numpy()) for code, kind in enumerate(types)]
        for code, kind, share in shares:
            # The alerts of a type are a share of all alerts, and its chance follows from the chance of none.
            of_type = -np.expm1(share * np.log1p(-probability))
            total = totals[at] if code < 0 else float((expected * share).sum())
            best = np.argsort(-of_type, kind="stable")[:TOP_PLACES].tolist()
            chances = [chance(value) for value in of_type.tolist()]
            says = [
                f"{one} of an alert, {amount(number)} alerts expected"
                for one, number in zip(chances, (expected * share).tolist(), strict=True)
            ]
            key = f"{at}/{code}"
            views[key] = {
                "words": f"{band}{kind}: {amount(total)} alerts expected in the whole area.",
                "classes": chance_classes(of_type).tolist(),
                "says": [phrases.setdefault(text, len(phrases)) for text in says],
                "top": cells[best].tolist(),
            }
            text = whole if key == "0/-1" else [f"{one}." for one in why]
            lists[key] = [Ranked(names[one], chances[one], text[one], int(cells[one])) for one in best]
    caution = streets_caution(store, city.name, record.issue_date)
    mapped, ranked = _streets(store, city, record)
    expected = np.sort(day["expected"].to_numpy())[::-1].cumsum()
    return IssuedForecast(
        record=record,
        data={
            "cells": cells.tolist(),
            "views": views,
            "phrases": list(phrases),
            "why": reason,
            "streets": mapped,
            "streets_shown": not caution,
        },
        bands=[name for name, *_ in bands],
        types=types,
        lists=lists,
        streets=ranked[:TOP_STREETS],
        streets_caution=caution,
        half_of_alerts=int(np.searchsorted(expected, expected[-1] / 2)) + 1,
        ends=day["starts_utc"][0].as_py() + timedelta(hours=day["hours"][0].as_py()),
    )  # fmt: skip


def _streets(store: Store, city: City, record: ForecastRecord) -> tuple[list[dict[str, object]], list[Ranked]]:
    """Read the ranked streets, for the map and for the list: `serving.street_risk.MAX_STREETS` of them at most."""
    import shapely

    plane, mapped, ranked = Plane.of(city), [], []
    for feature in top_street_lines(store, city.name, record.issue_date):
        facts = feature["properties"]
        line = shapely.transform(shapely.from_geojson(json.dumps(feature["geometry"])), plane.metres)
        words, low, high = (chance(facts[name]) for name in ("probability", "low", "high"))
        between = f" Chance between {low} and {high}." if low != high else ""
        ranked.append(Ranked(facts["name"], words, f"{facts['why']}.{between}"))
        says = [
            f"{len(ranked)}. {facts['name']}",
            f"{words} of an alert" + (f" ({low} to {high})" if low != high else ""),
            f"{amount(facts['expected'])} alerts expected",
            facts["why"],
        ]
        lines = lines_of(shapely.simplify(line, STREET_METRES))
        mapped.append({"lines": lines, "class": int(chance_classes(np.array(facts["probability"]))), "says": says})
    return mapped, ranked


def _bands(hours: Hours, day: pa.Table, city: City) -> list[tuple[str, Array, Array]]:
    """Return name, probability and expected alerts by cell of the whole day and of its bands of hours, if any."""
    bands = [(WHOLE_DAY, day["probability"].to_numpy(), day["expected"].to_numpy())]
    for name, (first, last) in BANDS.items() if city.time_precision != "day" else ():
        hour = hours_of_day(hours.wall)
        chosen = hours.is_of_day & (hour >= first) & (hour < last)
        bands.append((name, hours.probability(chosen), hours.expected[chosen].sum(axis=0)))
    return bands
