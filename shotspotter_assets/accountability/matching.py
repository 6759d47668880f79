"""One-to-one matching of calls and alerts: by id, or by time and place, the nearest pairs first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shotspotter_assets.accountability.calls import Call
from shotspotter_assets.accountability.table_rows import Point
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import METRES_PER_DEGREE, Plane


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
