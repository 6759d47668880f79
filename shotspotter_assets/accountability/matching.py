"""One-to-one matching of calls and alerts: by id, or by time and place, the nearest pairs first."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from shotspotter_assets.arrays import Booleans, Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import Plane

NONE: Final = -1  # position of the alert of a call that matches none


def match_calls(calls: pd.DataFrame, alerts: pd.DataFrame, city: City) -> Integers:
    """Return the position in `alerts` of the alert that each call is about, `NONE` without one; shape (calls,).

    A call of a sensor with an alert's id is about that alert alone. Other calls of sensors are about the nearest alert in
    time and place that no id names. Calls of persons are about no alert.
    """
    by_id = names_alert(calls)
    position = np.full(len(calls), NONE, dtype=np.int64)
    numbers = {source_id: number for number, source_id in enumerate(alerts["source_id"]) if source_id is not None}
    position[by_id] = [numbers.get(alert_id, NONE) for alert_id in calls.loc[by_id, "alert_id"]]
    left = np.setdiff1d(np.arange(len(alerts)), position)
    nearby = (calls["origin"] == "sensor").to_numpy() & ~by_id
    places = match_nearby(calls[nearby], alerts.iloc[left], city)
    position[nearby] = [NONE if place == NONE else left[place] for place in places]
    return position


def names_alert(calls: pd.DataFrame) -> Booleans:
    """Flag the calls of sensors that name an alert's id; shape (calls,)."""
    return ((calls["origin"] == "sensor") & calls["alert_id"].notna()).to_numpy(dtype=bool)


def match_nearby(calls: pd.DataFrame, alerts: pd.DataFrame, city: City) -> Integers:
    """Return the position in `alerts` of the alert near each call in time and place, `NONE` without one; shape (calls,).

    Pairs within the city's `within_minutes` and `within_m` are taken in the order of (minutes / within_minutes)^2 +
    (metres / within_m)^2, and each alert and call once: greedy matching, in which no call and alert that are left apart are
    both nearer to each other than to their own. Equal distances go by the order of alerts and of calls.

    Args:
        calls: Columns `received`, `longitude` and `latitude`; a call without a point (NaN) matches nothing.
        alerts: Columns `time_utc`, `longitude` and `latitude`.
    """
    matched = np.full(len(calls), NONE, dtype=np.int64)
    is_taken = np.zeros(len(alerts), dtype=bool)
    for _, alert, call in sorted(_pairs(calls, alerts, city)):
        if matched[call] == NONE and not is_taken[alert]:
            matched[call] = alert
            is_taken[alert] = True
    return matched


def _pairs(calls: pd.DataFrame, alerts: pd.DataFrame, city: City) -> Iterator[tuple[float, int, int]]:
    """Yield distance, position of the alert and position of the call of each pair that may match."""
    assert city.outcomes is not None
    rules = city.outcomes
    plane = Plane.of(city.box)
    call_places, alert_places = (
        plane.metres(frame[["longitude", "latitude"]].to_numpy(np.float64)) for frame in (calls, alerts)
    )
    call_minutes, alert_minutes = (_minutes(times) for times in (calls["received"], alerts["time_utc"]))
    for call in range(len(calls)):
        late = (alert_minutes - call_minutes[call]) / rules.within_minutes
        far = np.hypot(*(alert_places - call_places[call]).T) / rules.within_m
        for alert in np.flatnonzero((abs(late) <= 1) & (far <= 1)).tolist():
            yield float(late[alert] ** 2 + far[alert] ** 2), alert, call


def _minutes(times: "pd.Series[pd.Timestamp]") -> "np.ndarray":
    return times.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64) / 60e6
