"""Which gunshot alerts belong to one incident."""

from typing import Final

import numpy as np
import numpy.typing as npt

MAX_MINUTES: Final = 5
MAX_METRES: Final = 150
"""Alerts this close in time and space are of one incident: the diffusion scales of gunfire in Washington DC are 10
minutes and 126 m (Loeffler and Flaxman 2018), and a sensor's own error is about 25 m."""

METRES_PER_DEGREE: Final = 111_320.0

BLOCK_ALERTS: Final = 100_000
"""So many alerts share a KD-tree, which bounds the memory that their pairs take."""


def incident_numbers(
    day: npt.NDArray[np.integer],
    seconds: npt.NDArray[np.float64],
    longitude: npt.NDArray[np.float64],
    latitude: npt.NDArray[np.float64],
    city_latitude: float,
) -> npt.NDArray[np.int64]:
    """For each alert, the position of the first alert of its incident, shape (alerts,).

    The incident of an alert is its connected component in the graph that joins alerts at most `MAX_MINUTES` and
    `MAX_METRES` apart, among the alerts of its own `day` and the day before. So an incident may begin before midnight,
    and yet a day's incidents depend on two days alone, whatever range is looked at. Degrees of longitude are as long
    as at `city_latitude`. The alerts must be sorted by time.
    """
    if len(seconds) == 0:
        return np.empty(0, dtype=np.int64)
    first, second = _near_pairs(seconds, longitude, latitude, city_latitude)
    same_day = day[first] == day[second]
    component = _components(first[same_day], second[same_day], len(seconds))
    # Positions are written backwards, so that each component keeps its first.
    first_of = np.empty(component.max() + 1, dtype=np.int64)
    first_of[component[::-1]] = np.arange(len(seconds))[::-1]
    first_of = _over_midnight(component, first_of, first[~same_day], second[~same_day])
    return first_of[component]


def _over_midnight(
    component: npt.NDArray[np.int64],
    first_of: npt.NDArray[np.int64],
    before: npt.NDArray[np.int64],
    after: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """`first_of` each component of one day's alerts, when those that touch it from the day before belong to it.

    Every component is two nodes, one as yesterday's and one as today's, so that joining today's to yesterday's does
    not make a chain that goes on to the day before yesterday.

    Args:
        before, after: positions of near alerts of different days, the earlier one first.
    """
    if len(before) == 0:
        return first_of
    touched, node = np.unique(component[np.r_[before, after]], return_inverse=True)
    yesterday, today = node[: len(before)], node[len(before) :] + len(touched)
    joined = _components(yesterday, today, 2 * len(touched))
    earliest = np.full(joined.max() + 1, first_of.max())
    np.minimum.at(earliest, joined, np.tile(first_of[touched], 2))
    merged = first_of.copy()
    merged[touched] = earliest[joined[len(touched) :]]
    return merged


def _near_pairs(
    seconds: npt.NDArray[np.float64],
    longitude: npt.NDArray[np.float64],
    latitude: npt.NDArray[np.float64],
    city_latitude: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions (earlier, later) of alerts that are near each other, enough of them to connect all that are.

    Alerts of one instant and point (a source that gives hours or days has many) are chained, not paired with all.
    """
    from concurrent.futures import ThreadPoolExecutor

    east = longitude * METRES_PER_DEGREE * np.cos(np.radians(city_latitude)) / MAX_METRES
    north = latitude * METRES_PER_DEGREE / MAX_METRES
    points = np.column_stack([east, north, seconds / (60 * MAX_MINUTES)])
    distinct = np.r_[True, (points[1:] != points[:-1]).any(axis=1)]
    repeated = np.flatnonzero(~distinct)
    at = np.flatnonzero(distinct)
    points, seconds = points[at], seconds[at]
    # A block has its own alerts and those that follow within reach; pairs among the latter are the next block's.
    starts = np.arange(0, len(points), BLOCK_ALERTS)
    stops = np.minimum(starts + BLOCK_ALERTS, len(points))
    ends = np.searchsorted(seconds, seconds[stops - 1] + 60 * MAX_MINUTES, side="right")
    with ThreadPoolExecutor() as pool:
        pairs = np.concatenate(
            list(
                pool.map(lambda start, stop, end: _pairs(points[start:end], stop - start) + start, starts, stops, ends)
            )
        )
    # In seconds, as quotients of times that are the limit apart may differ by more than 1.
    in_time = seconds[pairs[:, 1]] - seconds[pairs[:, 0]] <= 60 * MAX_MINUTES
    first, second = at[pairs[in_time]].T
    return np.r_[first, repeated - 1], np.r_[second, repeated]


def _pairs(points: npt.NDArray[np.float64], own: int) -> npt.NDArray[np.int64]:
    """Pairs (earlier, later) of near points of which the first is among the first `own`, shape (pairs, 2)."""
    from scipy.spatial import cKDTree

    # Balancing and compacting the tree costs more than it saves on one query.
    tree = cKDTree(points, compact_nodes=False, balanced_tree=False)
    pairs = tree.query_pairs(1.0 + 1e-6, p=np.inf, output_type="ndarray")
    first, second = pairs.T
    near = (points[first, 0] - points[second, 0]) ** 2 + (points[first, 1] - points[second, 1]) ** 2 <= 1
    return pairs[near & (first < own)]


def _components(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)
