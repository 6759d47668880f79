"""Group gunshot alerts into incidents."""

from typing import Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from shotspotter_assets.storage.arrays import Array, Integers

MAX_MINUTES: Final = 5
MAX_METRES: Final = 150
"""Limits within one incident: the diffusion scales of gunfire in Washington DC are 10 minutes and 126 m (Loeffler and
Flaxman 2018, Journal of Quantitative Criminology 34), and a sensor's own error is about 25 m."""


def incident_numbers(day: Integers, seconds: Array, metres: Array) -> Integers:
    """Return for each alert, in order of time, the position of the first alert of its incident, shape (alerts,).

    An incident is a connected component of alerts at most `MAX_MINUTES` and `MAX_METRES` apart, among the alerts of a
    `day` and the day before: it depends on two days alone. `day` numbers local days, `seconds` are since any instant, and
    `metres` are (east, north), shape (alerts, 2).
    """
    first, second = _near_pairs(seconds, metres)
    same_day = day[first] == day[second]
    component = _components(first[same_day], second[same_day], len(seconds))
    _, first_of = np.unique(component, return_index=True)
    first_of = _over_midnight(component, first_of, first[~same_day], second[~same_day])
    return first_of[component]


def _over_midnight(component: Integers, first_of: Integers, before: Integers, after: Integers) -> Integers:
    """Replace the first alert of components that go on from the day before, by near alerts `before` and `after` midnight."""
    # Two nodes a component, as yesterday's and today's: chains do not reach the day before yesterday.
    touched, node = np.unique(component[np.r_[before, after]], return_inverse=True)
    yesterday = node[: len(before)]
    today = node[len(before) :] + len(touched)
    joined = _components(yesterday, today, 2 * len(touched))
    earliest = np.full(2 * len(touched), np.iinfo(np.int64).max)
    np.minimum.at(earliest, joined, np.tile(first_of[touched], 2))
    merged = first_of.copy()
    merged[touched] = earliest[joined[len(touched) :]]
    return merged


def _near_pairs(seconds: Array, metres: Array) -> Integers:
    """Return positions (earlier, later) of near alerts, enough to connect all near ones; shape (2, pairs)."""
    points = np.column_stack([metres / MAX_METRES, seconds / (60 * MAX_MINUTES)])
    distinct = np.ones(len(points), dtype=bool)
    distinct[1:] = (points[1:] != points[:-1]).any(axis=1)
    # Alerts of one instant and point, as in sources with times in hours or days, are chained.
    repeated = np.flatnonzero(~distinct)
    positions = np.flatnonzero(distinct)
    # Balancing and compacting the tree costs more than it saves on one query.
    tree = KDTree(points[positions], compact_nodes=False, balanced_tree=False)
    first, second = positions[tree.query_pairs(1.0 + 1e-6, p=np.inf, output_type="ndarray")].T
    squared = ((points[first, :2] - points[second, :2]) ** 2).sum(axis=1)
    # In seconds, as quotients of times that are the limit apart may differ by more than 1.
    near = (squared <= 1) & (seconds[second] - seconds[first] <= 60 * MAX_MINUTES)
    return np.array([np.r_[first[near], repeated - 1], np.r_[second[near], repeated]])


def _components(first: Integers, second: Integers, count: int) -> Integers:
    links = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)
