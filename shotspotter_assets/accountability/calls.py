"""Calls about shots, as the source of `outcomes` gives them, and the alerts that they are about."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.sources.raw_rows import Point, Problem, TableRow, read_instant, read_rows
from shotspotter_assets.cities.accountability import Origin, Outcome
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import METRES_PER_DEGREE, Plane

LATER_STEPS: Final = ("dispatched", "arrived", "cleared")  # after the receipt, in order


@dataclass(frozen=True)
class Call:
    """A usable call."""

    day: date  # local day under which it is filed
    where: str  # file and row
    origin: Origin
    outcome: Outcome
    code: str | None
    alert_id: str | None
    point: Point | None
    received: datetime  # this and the later steps are in UTC
    dispatched: datetime | None
    arrived: datetime | None
    cleared: datetime | None
    is_outside: bool  # True if its point lies outside the city's box, and is left out

    @property
    def names_alert(self) -> bool:
        """True for a call of a sensor with an alert's id."""
        return self.origin == "sensor" and self.alert_id is not None

    @property
    def content(self) -> tuple[str, ...]:
        """Statements of the row, which order calls independently of files and rows."""
        times = (self.received, self.dispatched, self.arrived, self.cleared)
        return tuple(map(str, (*times, self.point, self.alert_id, self.code, self.origin)))

    def problem(self, text: str) -> Problem:
        """Return a problem with the call."""
        return Problem(self.day, self.where, text)


def read_calls(rows: pa.Table, city: City) -> tuple[list[Call], list[Problem]]:
    """Return the calls of rows of the side table (`RAW_SCHEMA` with `row_texts`) by `Call.content`, and problems of rows.

    A row without a readable time, or from before the city's start, is left out. A point outside the city's box is left out,
    and with it a call without an alert's id. A time that cannot be read, or that is before an earlier step of the call, is
    left out alone.
    """
    calls, problems = read_rows(rows, "outcomes", partial(_read_call, city=city))
    return sorted(calls, key=lambda call: call.content), problems


def _read_call(row: TableRow, problems: list[str], city: City) -> Call | None:
    """Return the call of a row, None if it is left out; add the problems to those of the row."""
    assert city.outcomes is not None
    rules = city.outcomes
    if row.time.astimezone(city.zone).date() < city.start:
        return None
    point = row.point
    is_outside = point is not None and not bool(city.box.holds(np.array(point[0]), np.array(point[1])))
    if point is not None and is_outside:
        left_out = "point" if "alert_id" in row.texts else "call"
        place = f"{point[0]:g}, {point[1]:g} lies outside the city's box"
        problems.append(f"the point {place}, and the {left_out} is left out. Correct it, or crs of outcomes.source")
        if "alert_id" not in row.texts:
            return None
        point = None
    steps = dict(_later_steps(row, problems))
    return Call(
        day=row.day,
        where=row.where,
        origin="sensor" if rules.columns.origin is None else rules.origin_of(row.texts.get("origin", "")),
        outcome=rules.outcome_of(row.texts.get("code", "")) or "open",
        code=row.texts.get("code"),
        alert_id=row.texts.get("alert_id"),
        point=point,
        received=row.time,
        dispatched=steps.get("dispatched"),
        arrived=steps.get("arrived"),
        cleared=steps.get("cleared"),
        is_outside=is_outside,
    )


def _later_steps(row: TableRow, problems: list[str]) -> Iterator[tuple[str, datetime]]:
    """Yield the steps after the receipt that are usable, and add the problems of others."""
    latest = row.time
    for step in LATER_STEPS:
        text = row.texts.get(step, "")
        instant = read_instant(text)
        if instant is not None and instant >= latest:
            latest = instant
            yield step, instant
        elif instant is not None:
            why = f"is before {latest:%Y-%m-%d %H:%M:%S}, an earlier step of the call, and is left out"
            problems.append(f"{step} {instant:%Y-%m-%d %H:%M:%S} (UTC) {why}. Correct the clock of the row")
        elif text:
            remedy = "Correct the row, or time_format of outcomes.source"
            problems.append(f"{step} {text!r} cannot be read, and is left out. {remedy}")


@dataclass(frozen=True)
class Alert:
    """A gunshot alert."""

    date: date  # local day
    user_id: int
    source_id: str | None
    time_utc: datetime
    point: Point


def match_calls(calls: Sequence[Call], alerts: Sequence[Alert], city: City) -> list[Alert | None]:
    """Return the alert that each call is about, None without one, in the order of calls.

    A call of a sensor with an alert's id is about that alert alone. Other calls of sensors are about the nearest alert in
    time and place that no id names. Calls of persons are about no alert.
    """
    named = named_alerts(calls, alerts)
    left = [alert for alert in alerts if alert not in named.values()]
    nearby = match_nearby([call for call in calls if call.origin == "sensor" and not call.names_alert], left, city)
    return [(named | nearby).get(call) for call in calls]


def named_alerts(calls: Sequence[Call], alerts: Sequence[Alert]) -> dict[Call, Alert]:
    """Return the alert that each call names by its id, the nearest in time if ids begin anew each day."""
    by_id: dict[str | None, list[Alert]] = {}
    for alert in alerts:
        by_id.setdefault(alert.source_id, []).append(alert)
    named = [call for call in calls if call.names_alert and call.alert_id in by_id]
    return {call: min(by_id[call.alert_id], key=lambda alert: abs(call.received - alert.time_utc)) for call in named}


def match_nearby(calls: Sequence[Call], alerts: Sequence[Alert], city: City) -> dict[Call, Alert]:
    """Return the alert near each call in time and place; a call without one, or without a point, is missing.

    Pairs within the city's `within_minutes` and `within_m` are taken in the order of (minutes / within_minutes)^2 +
    (metres / within_m)^2, and each alert and call once: greedy matching, in which no call and alert that are left apart are
    both nearer to each other than to their own. Equal distances go by the order of alerts and of calls.
    """
    matched: dict[Call, Alert] = {}
    taken = set[Alert]()
    for _, alert_number, call_number in sorted(_pairs(calls, alerts, city)):
        call = calls[call_number]
        alert = alerts[alert_number]
        if call not in matched and alert not in taken:
            matched[call] = alert
            taken.add(alert)
    return matched


def _pairs(calls: Sequence[Call], alerts: Sequence[Alert], city: City) -> Iterator[tuple[float, int, int]]:
    """Yield distance, number of the alert and number of the call of each pair that may match."""
    assert city.outcomes is not None
    rules = city.outcomes
    metres_east = Plane.of(city.box).metres_east
    for call_number, call in enumerate(calls):
        for alert_number, alert in enumerate(alerts):
            late = (call.received - alert.time_utc).total_seconds() / 60 / rules.within_minutes
            if abs(late) > 1 or call.point is None:
                continue
            east = (call.point[0] - alert.point[0]) * metres_east
            north = (call.point[1] - alert.point[1]) * METRES_PER_DEGREE
            far = math.hypot(east, north) / rules.within_m
            if far <= 1:
                yield late**2 + far**2, alert_number, call_number
