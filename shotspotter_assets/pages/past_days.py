"""The page of past days: each forecast beside the alerts that came, by day and in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.gridding.tensors import counted_alerts
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.pages.words import amount, chance, chance_classes, long_day
from shotspotter_assets.serving.issued_forecasts import RISK_FORECASTS, ForecastRecord, forecast_partition, load_record
from shotspotter_assets.serving.risk_tables import BASELINE_PREFIX, is_of_grid, next_day_rows
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE, GRID_FILE, RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

FLAGGED_SHARE: Final = 0.05
"""Share of the forecast cells with the highest probability that count as flagged."""
FLAGGED_PERCENT: Final = round(100 * FLAGGED_SHARE)


class PastDay(BaseModel):
    """Outcome of the forecast of a day."""

    model_config = ConfigDict(frozen=True)

    day: date
    stamp: str
    """Hash of its inputs."""
    sentence: str
    alerts: int
    """Alerts in forecast cells."""
    caught: int
    """Alerts in flagged cells."""
    caught_by_mean: int | None
    """Alerts in as many cells of the map of the long-run mean; None where that map is not stored."""

    @property
    def outcome(self) -> Literal["none", "more", "fewer", "same"]:
        """Whether the forecast caught more alerts than the long-run mean; "none" where nothing is compared."""
        if self.caught_by_mean is None or not self.alerts:
            return "none"
        more = self.caught - self.caught_by_mean
        return "more" if more > 0 else "fewer" if more else "same"


@dataclass(frozen=True)
class Summary:
    """All past days together, the oldest first."""

    days: list[PastDay]
    outcomes: dict[str, int]
    """Number of days by outcome."""
    alerts: int
    """Sums over the days that are compared with the long-run mean."""
    caught: int
    by_mean: int

    @classmethod
    def of(cls, past: Mapping[date, PastDay]) -> "Summary":
        """Sum up the days."""
        days = [past[day] for day in sorted(past)]
        compared = [day for day in days if day.outcome != "none"]
        return cls(
            days=days,
            outcomes={name: sum(day.outcome == name for day in days) for name in ("more", "same", "fewer", "none")},
            alerts=sum(day.alerts for day in compared),
            caught=sum(day.caught for day in compared),
            by_mean=sum(day.caught_by_mean or 0 for day in compared),
        )

    @property
    def weeks(self) -> list[tuple[date, PastDay, int, int]]:
        """Monday of the week, the day, and its column and row in a calendar of weeks."""
        mondays = [day.day - timedelta(days=day.day.weekday()) for day in self.days]
        return [
            (monday, day, (monday - mondays[0]).days // 7, day.day.weekday())
            for monday, day in zip(mondays, self.days, strict=True)
        ]

    @property
    def months(self) -> dict[int, str]:
        """Label of a month, by the column of its first week; one in three columns at most."""
        labels: dict[int, str] = {}
        for monday, day, column, _ in self.weeks:
            is_new = (day.day - monday).days == 0 or column == 0
            name = f"{day.day:%b}" + (f" {day.day.year}" if not labels or day.day.month == 1 else "")
            if is_new and day.day.day <= 7 | (31 * (not labels)) and column - max(labels, default=-3) > 2:
                labels[column] = name
        return labels


def forecast_days(store: Store, city: str, last_known: date) -> list[date]:
    """Return the known days that have a forecast."""
    days = {issued + timedelta(days=1) for issued in store.days_present(RISK_FORECASTS, city, FORECAST_FILE)}
    return sorted(day for day in days & store.days_present("grid_tensors", city, GRID_FILE) if day <= last_known)


def stamp_of(store: Store, city: str, day: date) -> str:
    """Return a hash that changes when the forecast of a day or its alerts change."""
    record = store.read_bytes(forecast_partition(city, day - timedelta(days=1)), RECORD_FILE)
    grid = store.read_bytes(Partition("grid_tensors", city, "date", day), GRID_FILE)
    return sha256(record.decode(), grid.hex())[:16]


def past_day(store: Store, city: City, day: date, stamp: str) -> tuple[PastDay, dict[str, Any]] | None:
    """Compare the forecast of a day with its alerts, and return the outcome and the data of the maps (`past.js`).

    None where the forecast is of another grid than the city has now.
    """
    issue_date = day - timedelta(days=1)
    record = load_record(store, city.name, issue_date)
    table = store.read_table(forecast_partition(city.name, issue_date), FORECAST_FILE)
    if not isinstance(record, ForecastRecord) or not is_of_grid(table, city):
        return None
    table = next_day_rows(table)
    cells, probability = _numbers(table, city), table["probability"].to_numpy()
    counts = _counts(store, city, day, cells)
    flagged, mean = flagged_cells(probability), f"{BASELINE_PREFIX}{HISTORICAL_MEAN}"
    by_mean = int(counts[flagged_cells(table[mean].to_numpy())].sum()) if mean in table.column_names else None
    alerts, caught = int(counts.sum()), int(counts[flagged].sum())
    sentence = (
        f"{alerts} {'alert' if alerts == 1 else 'alerts'} came; about {amount(record.expected_alerts)} were expected "
        f"({record.expected_alerts_low:.0f} to {record.expected_alerts_high:.0f}). "
    )
    if alerts:
        against = "" if by_mean is None else f"; a map of the long-run mean caught {by_mean}"
        sentence += f"The map caught {caught} of {alerts} with {FLAGGED_PERCENT}% of the area{against}."
    else:
        sentence += "There was nothing to catch."
    facts = PastDay(day=day, stamp=stamp, sentence=sentence, alerts=alerts, caught=caught, caught_by_mean=by_mean)
    chances = [chance(value) for value in probability.tolist()]
    words = {text: at for at, text in enumerate(dict.fromkeys(chances))}
    mapped, came = _alerts(store, city, day)
    return facts, {
        "title": long_day(day),
        "sentence": sentence,
        "notes": _notes(record, day),
        "cells": cells.tolist(),
        "classes": chance_classes(probability).tolist(),
        "words": [f"{text} of an alert was forecast" for text in words],
        "says": [words[text] for text in chances],
        "flagged": cells[flagged].tolist(),
        "alerts": mapped,
        "came": came,
    }


def flagged_cells(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return places of the `FLAGGED_SHARE` of cells with the highest probability, rounded half up and at least one."""
    number = max(int(FLAGGED_SHARE * len(probability) + 0.5), 1)
    return np.argsort(-probability, kind="stable")[:number]


def _notes(record: ForecastRecord, day: date) -> str:
    notes = [
        f"Forecast by {record.served.replace('_', ' ')}",
        f"looking {record.lead} days ahead" if record.lead > 1 else "",
        "made after the day, from what was known before it" if record.replayed else "",
        "a day of fireworks" if is_holiday_fireworks(np.array([day], "datetime64[D]"))[0] else "",
    ]
    return "; ".join(filter(None, notes)) + "."


def _numbers(table: pa.Table, city: City) -> npt.NDArray[np.int64]:
    row, column = (table[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    return row * city.grid.columns + column


def _counts(store: Store, city: City, day: date, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count the alerts of the forecast types in each of the cells."""
    grid = store.read_table(Partition("grid_tensors", city.name, "date", day), GRID_FILE)
    grid = grid.filter(pc.is_in(grid["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    counts = np.bincount(_numbers(grid, city), grid["count"].to_numpy(), minlength=city.grid.rows * city.grid.columns)
    return counts[cells].astype(np.int64)


def _alerts(store: Store, city: City, day: date) -> tuple[list[dict[str, object]], dict[int, list[str]]]:
    """Return the alerts of the forecast types in metres of the city's plane and in words, and their words by cell."""
    columns = ["time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id"]
    alerts = store.read_table(Partition("cleaned_alerts", city.name, "date", day), ALERTS_FILE, columns)
    alerts = counted_alerts(alerts, city)
    types = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE)
    chosen = pc.is_in(types, pa.array(city.forecast_codes, pa.int8()))
    alerts, types = alerts.filter(chosen), types.filter(chosen)
    plane, (rows, columns_) = Plane.of(city), city.shape
    degrees = np.column_stack([alerts[name].to_numpy() for name in ("longitude", "latitude")])
    east, north = plane.metres(degrees).T
    row = np.clip((north / plane.height * rows).astype(int), 0, rows - 1)
    column = np.clip((east / plane.width * columns_).astype(int), 0, columns_ - 1)
    clock = wall_clock(alerts["time_utc"], city.zone).astype("datetime64[m]").astype(str)
    mapped, came = list[dict[str, object]](), dict[int, list[str]]()
    for at, code in enumerate(types.to_pylist()):
        what = city.type_names[code]
        what = f"{clock[at][11:16]}, {what}" if city.time_precision != "day" else what
        mapped.append({"x": round(east[at]), "y": round(north[at]), "what": what})
        came.setdefault(int(row[at] * columns_ + column[at]), []).append(what)
    return mapped, came
