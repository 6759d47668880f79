"""The first page: the newest forecast by shift, with places to be, a map and the units of the plan."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.days.days_in_words import data_in_words
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.forecasts.issued_forecasts import (
    ForecastRecord,
    IssueRecord,
    NoForecast,
    is_of_grid,
    load_record,
    next_day_rows,
    why_none_issued,
)
from shotspotter_assets.forecasts.patrol.cover import reach_matrix
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, read_plan
from shotspotter_assets.forecasts.patrol.lottery import lot_in_words
from shotspotter_assets.forecasts.patrol.plan import ShiftTotals
from shotspotter_assets.forecasts.patrol.shifts import shift_forecasts, shift_window, totals_note
from shotspotter_assets.forecasts.risk_tables import TYPE_COLUMNS
from shotspotter_assets.forecasts.street_ranking import StreetRecord, top_street_lines
from shotspotter_assets.grid.cells import cell_middles, cell_numbers
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import (
    amount,
    chance,
    chance_classes,
    map_view,
    reasons,
    scale,
    set_apart,
    short_day,
)
from shotspotter_assets.pages.shown import NewestForecast, Row, ShownDay, ShownPeriod, changes
from shotspotter_assets.storage.arrays import Array, Values
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY, STREETS
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

SHOWN_PLACES: Final = 10  # number of places of a period without units
RECENT_WEEKS: Final = 4
PARTS: Final = tuple(
    Shift(name=name, start=start, end=(start + 6) % 24, units=0)
    for name, start in (("Morning", 4), ("Midday", 10), ("Evening", 16), ("Night", 22))
)
"""Hours of a city without shifts: a night is one piece."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Period:
    """A shift, six hours or the whole day of a forecast; arrays have a value for each forecast cell."""

    kind: Literal["shift", "day"]
    name: str
    starts: datetime
    ends: datetime
    probability: Array
    expected: Array


def newest_forecast(store: Store, city: City, places: Places) -> NewestForecast:
    """Return the newest forecast, and the one of the day before."""
    issue_dates = store.days_present(FORECAST_RECORD, city.name, last=city.end or date.max)
    if not issue_dates:
        return NewestForecast(None, no_forecast=why_none_issued(store, city))
    issue = _drawable(store, city, max(issue_dates))
    before = _day_before(store, city, issue, places) if issue.issue_date - ONE_DAY in issue_dates else None
    days = [] if before is None else [before]
    if isinstance(issue, NoForecast):
        return NewestForecast(issue, issue.no_forecast, days)
    newest = _DayOfPage(store, city, issue, places, is_before=False).shown()
    return NewestForecast(issue, days=[*days, newest], changes=changes(before, newest, city.event) if before else "")


def _drawable(store: Store, city: City, issue_date: date) -> IssueRecord:
    """Return the record of a forecast on the city's present grid, or of the reason for none."""
    issue = load_record(store, city.name, issue_date)
    if isinstance(issue, NoForecast) or is_of_grid(store.read_table(FORECAST, city.name, issue_date, ["row"]), city):
        return issue
    changed = "The city's box, cells or counted events have changed since the last forecast was issued"
    return NoForecast(
        city=issue.city,
        issue_date=issue.issue_date,
        forecast_date=issue.forecast_date,
        lead=issue.lead,
        last_known=issue.last_known,
        missing=issue.missing,
        data=issue.data,
        no_forecast=f"{changed}: it cannot be drawn.",
        last_issued=issue.issue_date,
    )


def _day_before(store: Store, city: City, newest: IssueRecord, places: Places) -> ShownDay | None:
    """Return the forecast of the day before, with the newest one's hours after midnight; None without a usable one."""
    try:
        record = _drawable(store, city, newest.issue_date - ONE_DAY)
        if isinstance(record, NoForecast):
            return None
        page = _DayOfPage(store, city, record, places, is_before=True)
        if isinstance(newest, ForecastRecord):
            page.continue_with(store.read_table(HOURLY, city.name, newest.issue_date))
        return page.shown()
    except (MissingObjectError, CorruptObjectError, ValueError) as error:
        # Files of the day before, or shifts that it does not have, must not stop today's page.
        log.warning("City %s: pages leave out the day before. %s", city.name, error)
        return None


class _DayOfPage:
    """One forecast on the first page: the newest one, or the one before it."""

    def __init__(self, store: Store, city: City, record: ForecastRecord, places: Places, *, is_before: bool) -> None:
        self.store = store
        self.city = city
        self.record = record
        self.places = places
        self.is_before = is_before
        self.day = next_day_rows(store.read_table(FORECAST, city.name, record.issue_date))
        self.row, self.column = cells_of(self.day)
        self.drivers = record.cell_drivers()
        self.shifts = () if city.time_precision == "day" else PARTS if city.patrol is None else city.patrol.shifts
        self.hourly = store.read_table(HOURLY, city.name, record.issue_date) if self.shifts else None
        self.units, self.plan = self._read_plan(record.issue_date)
        self.recent = self._recent_alerts()

    def continue_with(self, hourly: pa.Table) -> None:
        """Take the hours after midnight from the forecast of the next day."""
        if self.hourly is not None:
            begun = self.hourly.filter(pc.less(self.hourly["starts_utc"], pc.min(hourly["starts_utc"])))
            self.hourly = pa.concat_tables([begun, hourly])

    def shown(self) -> ShownDay:
        """Return the forecast for the page's template, and for `index.js`."""
        periods = [*self._shift_periods(), self._whole_day()]
        shown_periods = [self._shown_period(period) for period in periods]
        sums = np.sort(periods[-1].expected)[::-1].cumsum()
        ranked = StreetRecord.find_sound(self.store, self.city.name, self.record.issue_date)
        return ShownDay(
            record=self.record,
            data=self._map_data(periods, shown_periods),
            data_when_issued=self._data_when_issued(),
            rounding="" if ranked is None else ranked.rounding,
            periods=shown_periods,
            types=self.types,
            cells_of_half=int(np.searchsorted(sums, sums[-1] / 2)) + 1,
            table=self.units,
            plan_note="" if self.plan is None else self.plan.note,
            totals_note=self._totals_note(periods),
        )

    @property
    def types(self) -> list[str]:
        """Names of the gunshot types that the forecast divides alerts into."""
        return [] if self.day[TYPE_COLUMNS[0]].null_count else list(GUNSHOT_TYPES.values())

    def _map_data(self, periods: Sequence[Period], shown: Sequence[ShownPeriod]) -> dict[str, Any]:
        """Return the data of the maps, for `index.js`."""
        shares = {-1: np.ones(len(self.day))}
        shares |= {code: self.day[TYPE_COLUMNS[code]].to_numpy() for code in range(len(self.types))}
        views: dict[str, dict[str, object]] = {}
        for number, period in enumerate(periods):
            log_none = np.log1p(-period.probability)
            for code, share in shares.items():  # a type's share of all alerts also divides the hazard
                views[f"{number}/{code}"] = map_view(-np.expm1(share * log_none), period.expected * share)
        return {
            "cells": cell_numbers(self.city, self.row, self.column).tolist(),
            "why": [reasons(self.drivers.get(cell, ())) for cell in zip(self.row, self.column, strict=True)],
            "views": views,  # by number of the period and code of the type
            "streets": self._streets(periods),
            "marks": [
                [{key: row[key] for key in ("at", "rank", "place")} for row in period.places] for period in shown
            ],
            "has_units": [period.totals is not None for period in shown],
            "reach": 0 if self.city.patrol is None else round(self.city.patrol.radius_m),  # of a unit, in metres
        }

    def _data_when_issued(self) -> str:
        """Return the days that were known and missing when the forecast was issued; of a replay, its last known day."""
        if self.record.replayed:
            return f"From {data_in_words(self.record.last_known, ())}."
        issued = datetime.fromisoformat(self.record.issued_at).astimezone(self.city.zone)
        return f"When issued at {issued:%H:%M} on {short_day(issued)}: {self.record.data}."

    def _read_plan(self, issue_date: date) -> tuple[pa.Table | None, PlanRecord | None]:
        try:
            table, plan = read_plan(self.store, self.city.name, issue_date)
        except MissingObjectError:
            return None, None
        if self.city.patrol is None or not len(table) or plan.radius_m != self.city.patrol.radius_m:
            return None, plan
        if plan.forecast_versions.get(self.city.target) != self.record.version:
            return None, plan
        names = self.places.names(*cells_of(table))
        return table.append_column("place", pa.array(names)), plan

    def _recent_alerts(self) -> Values | None:
        """Return the alerts of the last known days in each cell and within reach of it, shape (2, cells); None if unknown."""
        city = self.city
        first = max(city.start, self.record.last_known - timedelta(days=7 * RECENT_WEEKS - 1))
        history = CityHistory.find(self.store, city, self.record.last_known, first)
        if history is None:
            return None
        counts = history.alerts.sum(axis=0).ravel()
        around = counts if city.patrol is None else reach_matrix(city, city.patrol.radius_m) @ counts
        return np.array([counts, around], np.int64)

    def _shift_periods(self) -> Iterator[Period]:
        if self.hourly is None:
            return
        risk = shift_forecasts(self.hourly, self.city, self.shifts, self.record.forecast_date)
        for number, shift in enumerate(self.shifts):
            starts, ends = shift_window(shift, self.record.forecast_date, self.city.zone)
            probability = risk.probability[number, self.row, self.column]
            yield Period("shift", shift.name, starts, ends, probability, risk.expected[number, self.row, self.column])

    def _whole_day(self) -> Period:
        first = self.day["starts_utc"][0].as_py()
        last = first + timedelta(hours=self.day["hours"][0].as_py())
        starts, ends = (instant.astimezone(self.city.zone) for instant in (first, last))
        probability, expected = (self.day[name].to_numpy() for name in ("probability", "expected"))
        return Period("day", "Whole day", starts, ends, probability, expected)

    def _shown_period(self, period: Period) -> ShownPeriod:
        """Return a period for the template."""
        whole = f"Whole {period.starts:%A}"
        of_before = whole if period.kind == "day" else f"{period.name} from {period.starts:%a}"
        anchor = {"shift": "before", "day": "day-before"}[period.kind] if self.is_before else period.kind
        totals, rows = self._places(period)
        shared, apart = set_apart([self.drivers.get((row["row"], row["column"]), ()) for row in rows])
        for row, drivers in zip(rows, apart, strict=True):
            near = self._alerts_near(row, is_unit=totals is not None)
            row["apart"] = reasons([*drivers, *near, *row.get("range", ())], "")
            row["lot"] = "" if row.get("chance") is None else lot_in_words(row["chance"])
            row["chance"] = chance(row["probability_within_reach"])
            row["at"] = [row["latitude"], row["longitude"]]
        return ShownPeriod(
            name=of_before if self.is_before else period.name,
            anchor=f"{anchor}={period.name.replace(' ', '+')}",
            kind=period.kind,
            is_before=self.is_before,
            starts=period.starts,
            ends=period.ends,
            expected=float(period.expected.sum()),
            totals=totals,
            shared=reasons(shared, ""),
            places=rows,
        )

    def _places(self, period: Period) -> tuple[ShiftTotals | None, list[Row]]:
        """Return the plan's sums and the places of units in a period; without units None and the likeliest places."""
        hours = {"shift": period.name, "starts_at": period.starts.isoformat(), "ends_at": period.ends.isoformat()}
        units = [] if self.units is None else self.units.sort_by("rank").to_pylist()
        # A plan may have been made before the hours of its shifts were changed.
        rows = [row for row in units if row.items() >= hours.items()]
        if not rows or self.plan is None:
            return None, self._likeliest(period, with_range=period.kind == "day")
        return next((shift for shift in self.plan.shifts if shift.shift == period.name), None), rows

    def _alerts_near(self, row: Row, *, is_unit: bool) -> list[str]:
        """Return the recent alerts where the chance is for, in words: in reach of a unit or a cell; nothing if unknown."""
        if self.recent is None:
            return []
        number = int(self.recent[int(is_unit), cell_numbers(self.city, row["row"], row["column"])])
        until = f"the {RECENT_WEEKS} weeks to {short_day(self.record.last_known)}"
        weeks = until if self.record.lead > 1 else f"{RECENT_WEEKS} weeks"
        return [f"{number_of(number, self.city.event) if number else f'no {self.city.event}s'} there in {weeks}"]

    def _likeliest(self, period: Period, *, with_range: bool) -> list[Row]:
        """Return the likeliest cells by the names of a plan's columns; `probability_within_reach` is that of the cell."""
        best = np.argsort(-period.probability, kind="stable")[:SHOWN_PLACES]
        row = self.row[best]
        column = self.column[best]
        longitude, latitude = (np.round(degrees, 6).tolist() for degrees in cell_middles(self.city, row, column))
        ends = [(chance(cell["low"]), chance(cell["high"])) for cell in self.day.take(best).to_pylist()]
        places: dict[str, Any] = {
            "rank": range(1, len(best) + 1),
            "place": self.places.names(row, column),
            "row": row,
            "column": column,
            "latitude": latitude,
            "longitude": longitude,
            "probability_within_reach": period.probability[best],
            "range": [[f"chance between {low} and {high}"] * (with_range and low != high) for low, high in ends],
            "reasons": [self.drivers.get(cell, ()) for cell in zip(row, column, strict=True)],
        }
        return [dict(zip(places, place, strict=True)) for place in zip(*places.values(), strict=True)]

    def _streets(self, periods: Sequence[Period]) -> list[dict[str, object]]:
        """Return the likeliest streets of the day, with class and chance by period; None where these are unknown."""
        streets = top_street_lines(self.store, self.city, self.record)
        if not streets:
            return []
        columns = ["segment", "shift", "probability"]
        table = self.store.read_table(STREETS, self.city.name, self.record.issue_date, columns)
        rows = table.filter(pc.field("segment").isin([street["id"] for street in streets])).to_pylist()
        risk = {(row["segment"], row["shift"]): row["probability"] for row in rows}

        def shown(segment: int, period: Period) -> tuple[int, str] | None:
            value = risk.get((segment, None if period.kind == "day" else period.name))
            if value is None:
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
        of_shifts = [period for period in periods if period.kind == "shift"]
        if not why or not of_shifts:
            return ""
        total = amount(float(sum(period.expected.sum() for period in of_shifts)))
        day = amount(float(periods[-1].expected.sum()))
        return f"The shifts add up to {total} {self.city.event}s, the day from midnight to midnight has {day}. {why}"
