"""The first page: the newest forecast by shift, with places to be, a map and the units of the plan."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.arrays import Array, Values
from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.geometry.cells import cell_middles, cell_numbers
from shotspotter_assets.models.city_history import known_history
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import amount, chance, chance_classes, legend, reasons, scale, set_apart, short_day
from shotspotter_assets.patrol.cover import reach_matrix
from shotspotter_assets.patrol.dispatch import PlanRecord, read_plan
from shotspotter_assets.patrol.shifts import shift_forecasts, shift_window, totals_note
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, NoForecast, load_record
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, is_of_grid, next_day_rows
from shotspotter_assets.serving.street_ranking import top_street_lines
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY, STREETS
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.store import Store

SHOWN_PLACES: Final = 10  # number of places of a period without units
RECENT_WEEKS: Final = 4
QUARTERS: Final = tuple(
    Shift(name=name, start=start, end=start + 6, units=0)
    for name, start in (("Night", 0), ("Morning", 6), ("Afternoon", 12), ("Evening", 18))
)
"""Hours of a city without shifts."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Period:
    """A shift, six hours or the whole day of a forecast; arrays have a value for each forecast cell."""

    kind: Literal["shift", "before", "day"]  # "before" for a shift that began on the day before
    name: str
    starts: datetime
    ends: datetime
    probability: Array
    expected: Array
    units: pa.Table | None = None  # those of all shifts of the plan
    plan: PlanRecord | None = None


def newest_forecast(store: Store, city: City, places: Places) -> dict[str, Any]:
    """Return `forecast`, the newest one with `data` for `index.js`, or None with the reason `no_forecast` and its record."""
    made = store.days_present(FORECAST_RECORD, city.name)
    issue = load_record(store, city.name, max(made)) if made else None
    if isinstance(issue, ForecastRecord):
        table = store.read_table(FORECAST, city.name, issue.issue_date)
        if is_of_grid(table, city):
            page = _FirstPage(store, city, issue, places, next_day_rows(table))
            return {"forecast": page.forecast(), "no_forecast": "", "nothing": None}
        changed = "The city's box, cells or counted alerts have changed since the last forecast was issued"
        facts = issue.model_dump(include={"city", "issue_date", "forecast_date", "lead", "last_known"})
        issue = NoForecast(**facts, no_forecast=f"{changed}: it cannot be drawn.", last_issued=issue.issue_date)
    reason = "No forecast has been made yet." if issue is None else issue.no_forecast
    return {"forecast": None, "no_forecast": reason, "nothing": issue}


class _FirstPage:
    def __init__(self, store: Store, city: City, record: ForecastRecord, places: Places, day: pa.Table) -> None:
        self.store, self.city, self.record, self.places, self.day = store, city, record, places, day
        self.row, self.column = cells_of(day)
        self.drivers = record.cell_drivers()
        self.shifts = () if city.time_precision == "day" else QUARTERS if city.patrol is None else city.patrol.shifts
        self.units, self.plan = self._read_plan(record.issue_date)
        if self.plan is not None and self.plan.forecast_versions.get(city.target) != record.version:
            self.units = None
        self.recent = self._recent_alerts()

    def forecast(self) -> dict[str, Any]:
        day, city = self.day, self.city
        probability, expected = (day[name].to_numpy() for name in ("probability", "expected"))
        starts = day["starts_utc"][0].as_py().astimezone(city.zone)
        ends = (day["starts_utc"][0].as_py() + timedelta(hours=day["hours"][0].as_py())).astimezone(city.zone)
        whole = Period("day", "Whole day", starts, ends, probability, expected)
        periods = [*self._shift_periods(), whole]
        types = [] if day[TYPE_COLUMNS[0]].null_count else list(GUNSHOT_TYPES.values())
        shares = {-1: np.ones(len(day))} | {code: day[TYPE_COLUMNS[code]].to_numpy() for code in range(len(types))}
        shown = [self._shown(period) for period in periods]
        sums = np.sort(expected)[::-1].cumsum()
        data = {
            "cells": cell_numbers(city, self.row, self.column).tolist(),
            "why": [reasons(self.drivers.get(cell, ())) for cell in zip(self.row, self.column, strict=True)],
            "views": {
                f"{at}/{code}": _view(period, share)
                for at, period in enumerate(periods)
                for code, share in shares.items()
            },
            "streets": self._streets(periods),
            "marks": [[{key: row[key] for key in ("at", "rank", "place")} for row in one["places"]] for one in shown],
            "has_units": [one["totals"] is not None for one in shown],
            "reach": 0 if city.patrol is None else round(city.patrol.radius_m),
        }
        return {
            "record": self.record,
            "data": data,
            "periods": shown,
            "types": types,
            "top": shown[-1]["places"],
            "cells_of_half": int(np.searchsorted(sums, sums[-1] / 2)) + 1,
            "ends": max(period.ends for period in periods),
            "table": self.units,
            "plan_note": "" if self.plan is None else self.plan.note,
            "totals_note": self._totals_note(periods),
        }

    def _read_plan(self, issue_date: date) -> tuple[pa.Table | None, PlanRecord | None]:
        try:
            table, plan = read_plan(self.store, self.city.name, issue_date)
        except MissingObjectError:
            return None, None
        if self.city.patrol is None or not len(table) or plan.radius_m != self.city.patrol.radius_m:
            return None, plan
        names = self.places.names(*cells_of(table), with_degrees=False)
        return table.append_column("place", pa.array(names)), plan

    def _recent_alerts(self) -> Values | None:
        """Return the alerts of the last known days in each cell and within reach of it, shape (2, cells); None if unknown."""
        last, city = self.record.last_known, self.city
        first = max(city.start, last - timedelta(days=7 * RECENT_WEEKS - 1))
        history = known_history(self.store, city, last, first)
        if history is None:
            return None
        counts = history.alerts.sum(axis=0).ravel()
        around = counts if city.patrol is None else reach_matrix(city, city.patrol.radius_m) @ counts
        return np.array([counts, around], np.int64)

    def _shift_periods(self) -> Iterator[Period]:
        before = self.record.issue_date - ONE_DAY
        over_midnight = [shift for shift in self.shifts if 0 < shift.end <= shift.start]
        table = self.store.find_sound_table(FORECAST, self.city.name, before, ["row"]) if over_midnight else None
        if table is not None and is_of_grid(table, self.city):
            try:
                yield from self._periods_of("before", before, over_midnight)
            except (MissingObjectError, CorruptObjectError, ValueError) as error:
                # Files of the day before, or shifts that it does not have, must not stop today's page.
                log.warning("City %s: pages leave out shifts of the day before. %s", self.city.name, error)
        if self.shifts:
            yield from self._periods_of("shift", self.record.issue_date, self.shifts)

    def _periods_of(self, kind: Literal["shift", "before"], issue: date, shifts: Sequence[Shift]) -> Iterator[Period]:
        units, plan = (self.units, self.plan) if kind == "shift" else self._read_plan(issue)
        hourly, day = self.store.read_table(HOURLY, self.city.name, issue), issue + ONE_DAY
        risk = shift_forecasts(hourly, self.city, shifts, day)
        for at, shift in enumerate(shifts):
            starts, ends = shift_window(shift, day, self.city.zone)
            probability, expected = (of[at, self.row, self.column] for of in (risk.probability, risk.expected))
            yield Period(kind, shift.name, starts, ends, probability, expected, units, plan)

    def _shown(self, period: Period) -> dict[str, Any]:
        """Return a period for the template, with the places of its units or else the likeliest ones."""
        is_before, is_day = period.kind == "before", period.kind == "day"
        hours = {"shift": period.name, "starts_at": period.starts.isoformat(), "ends_at": period.ends.isoformat()}
        units = [] if period.units is None else period.units.sort_by("rank").to_pylist()
        # A plan may have been made before the hours of its shifts were changed.
        rows, plan = [row for row in units if row.items() >= hours.items()], period.plan
        totals = next((one for one in plan.shifts if one.shift == period.name), None) if plan and rows else None
        rows = rows or self._likeliest(period, with_range=is_day)
        until = f"the {RECENT_WEEKS} weeks to {short_day(self.record.last_known)}"
        weeks = until if self.record.lead > 1 else f"{RECENT_WEEKS} weeks"
        shared, apart = set_apart([self.drivers.get((row["row"], row["column"]), ()) for row in rows])
        for row, own in zip(rows, apart, strict=True):
            if self.recent is not None:
                number = self.recent[int(totals is not None), cell_numbers(self.city, row["row"], row["column"])]
                where = f"within {self.city.patrol.radius_m:.0f} m" if totals and self.city.patrol else "in the cell"
                own.append(f"{number or 'no'} {'alert' if number == 1 else 'alerts'} {where} in {weeks}")
            row["apart"] = reasons([*own, *row.get("range", ())], "")
            row |= {"chance": chance(row["probability_within_reach"]), "at": [row["latitude"], row["longitude"]]}
        name = f"{period.name} from {period.starts:%A}" if is_before else period.name
        return {
            "name": name,
            "anchor": f"{period.kind}={period.name.replace(' ', '+')}",
            "kind": period.kind,
            "starts": period.starts,
            "ends": period.ends,
            "expected": float(period.expected.sum()),
            "totals": totals,
            "shared": reasons(shared, ""),
            "places": rows,
        }

    def _likeliest(self, period: Period, *, with_range: bool) -> list[dict[str, Any]]:
        """Return the likeliest cells by the names of a plan's columns; `probability_within_reach` is that of the cell."""
        best = np.argsort(-period.probability, kind="stable")[:SHOWN_PLACES]
        row, column = self.row[best], self.column[best]
        longitude, latitude = (np.round(degrees, 6).tolist() for degrees in cell_middles(self.city, row, column))
        ends = [(chance(one["low"]), chance(one["high"])) for one in self.day.take(best).to_pylist()]
        places: dict[str, Any] = {
            "rank": range(1, len(best) + 1),
            "place": self.places.names(row, column, with_degrees=False),
            "row": row,
            "column": column,
            "latitude": latitude,
            "longitude": longitude,
            "probability_within_reach": period.probability[best],
            "range": [[f"chance between {low} and {high}"] * (with_range and low != high) for low, high in ends],
            "reasons": [self.drivers.get(cell, ()) for cell in zip(row, column, strict=True)],
        }
        return [dict(zip(places, place, strict=True)) for place in zip(*places.values(), strict=True)]

    def _streets(self, periods: Sequence[Period]) -> list[dict[str, Any]]:
        """Return the likeliest streets of the day, with class and chance by period; None where these are unknown."""
        streets = top_street_lines(self.store, self.city, self.record)
        if not streets:
            return []
        key = self.city.name, self.record.issue_date
        table = self.store.read_table(STREETS, *key, ["segment", "shift", "probability"])
        rows = table.filter(pc.field("segment").isin([one["id"] for one in streets])).to_pylist()
        risk = {(row["segment"], row["shift"]): row["probability"] for row in rows}

        def shown(segment: int, period: Period) -> tuple[int, str] | None:
            value = risk.get((segment, None if period.kind == "day" else period.name))
            if value is None or period.kind == "before":
                return None
            return int(chance_classes(np.array(value), scale(period.probability))), chance(value)

        return [
            {
                "geometry": street["geometry"],
                **{name: street["properties"][name] for name in ("name", "why")},
                "chances": [shown(street["id"], period) for period in periods],
            }
            for street in streets
        ]

    def _totals_note(self, periods: Sequence[Period]) -> str:
        why = "" if self.city.patrol is None else totals_note(self.city.patrol.shifts)
        of_shifts = [one for one in periods if one.kind == "shift"]
        if not why or not of_shifts:
            return ""
        total, day = (amount(float(sum(one.expected.sum() for one in some))) for some in (of_shifts, periods[-1:]))
        return f"The shifts add up to {total} alerts, the day from midnight to midnight has {day}. {why}"


def _view(period: Period, share: Array) -> dict[str, object]:
    """Return the map's data of one period and type; a type's `share` of all alerts also divides the hazard."""
    of_type, alerts = -np.expm1(share * np.log1p(-period.probability)), period.expected * share
    steps = scale(of_type)
    return {
        "total": amount(float(alerts.sum())),
        "classes": chance_classes(of_type, steps).tolist(),
        "chances": [chance(value) for value in of_type.tolist()],
        "legend": legend(steps),
    }
