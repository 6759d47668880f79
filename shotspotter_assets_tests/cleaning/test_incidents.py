"""Incidents against a plain double loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.cleaning.incidents import METRES, METRES_PER_DEGREE, MINUTES, incident_numbers


def by_double_loop(day: np.ndarray, seconds: np.ndarray, longitude: np.ndarray, latitude: np.ndarray) -> list[int]:
    east = longitude * METRES_PER_DEGREE * np.cos(np.radians(38.9))
    north = latitude * METRES_PER_DEGREE
    first = list(range(len(seconds)))
    for _ in first:
        for a in range(len(seconds)):
            for b in range(len(seconds)):
                near = np.hypot(east[a] - east[b], north[a] - north[b]) <= METRES
                if near and abs(seconds[a] - seconds[b]) <= 60 * MINUTES and day[a] == day[b]:
                    first[a] = first[b] = min(first[a], first[b])
    return first


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=9))
def test_components_agree_with_a_double_loop(alerts: list[tuple[int, int, int]]) -> None:
    seconds, x, y = np.array(sorted(alerts), dtype=float).T
    day = (seconds > 1200).astype(np.int64)
    longitude, latitude = -77 + x * 0.0007, 38.9 + y * 0.0007
    assert incident_numbers(day, seconds, longitude, latitude, 38.9).tolist() == by_double_loop(
        day, seconds, longitude, latitude
    )


def test_no_alerts() -> None:
    nothing = np.empty(0)
    assert incident_numbers(nothing.astype(np.int64), nothing, nothing, nothing, 38.9).tolist() == []
