"""Lotteries of one shift: units drawn with chances proportional to a power of the expected events, and these chances.

Systematic sampling with unequal chances (Madow 1949) in a random order that keeps neighbours together (Stevens and Olsen
2004, GRTS): cells lie end to end, each as long as its expected units, and a comb of teeth one unit apart falls on them at a
random start. Each tooth is a unit. So a cell gets its expected units rounded down or up, and at least one with a chance of
min(1, expected units) exactly. As the cells of an area lie together, each area also gets its expected units rounded down or
up; as neighbours do, units spread over the city.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from shotspotter_assets.forecasts.patrol.cover import CoverProblem
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.fingerprints import sha256

QUANTA: Final = 2**40  # parts of a unit: whole numbers of them add up exactly, also as floats
MIN_EXCESS: Final = 1e-6  # expected units above an area's minimum, below which the area gets just the minimum
MIN_SHARE_OF_TOP: Final = 1e-6  # cells with fewer events than this share of the top cell's count as having so many


@dataclass(frozen=True)
class Lots:
    """Lots of one shift; arrays have shape (cells,)."""

    expected_units: Array  # multiples of 1 / QUANTA
    units: Integers  # as drawn

    @property
    def chance(self) -> Array:
        """Chance of at least one unit."""
        return np.minimum(self.expected_units, 1.0)


def draw_lots(problem: CoverProblem, places: Integers, number: int, power: float, seed: int) -> Lots:
    """Draw exactly `number` units with chances proportional to the expected events to a power, within all maxima and minima.

    `places` has the row and column of each cell, shape (cells, 2).
    """
    random = np.random.default_rng(seed)
    quanta = unit_quanta(problem, number, power)
    order = random_order(places, problem.area, random)
    units = np.zeros(len(quanta), np.int64)
    units[order] = comb(quanta[order], int(random.integers(QUANTA)))
    return Lots(quanta / QUANTA, units)


def lot_seed(city: str, day: date, shift: str) -> int:
    """Return the seed of a shift's lots, which depends on nothing else, so that a plan can be reproduced."""
    return int(sha256(f"lots of {city}, {day}, {shift}")[:16], 16)


def lot_in_words(chance: float) -> str:
    """Return the reason for a place that was drawn."""
    if chance >= 1:
        return "in every draw of the lottery"
    return f"drawn by lot, chance {min(chance, 0.99):.2g}"  # a place that may be left out has no chance of 1


def unit_quanta(problem: CoverProblem, number: int, power: float) -> Integers:
    """Return the expected units of each cell as whole numbers of quanta, in sum `number` units; shape (cells,).

    Cells are capped at their maximum, and areas below their minimum get just that; the rest is shared again in proportion.
    There must be room for all units, and for the minimum of each area.
    """
    top = problem.expected.max(initial=0.0)
    share = np.maximum(problem.expected / top, MIN_SHARE_OF_TOP) if top > 0 else np.ones_like(problem.expected)
    weight = share**power
    is_fixed = np.zeros(len(problem.min_units) + 1, dtype=bool)  # the last one is for cells without an area, index -1
    minimum = np.append(problem.min_units, 0)
    while True:
        quanta = np.zeros(len(weight), np.int64)
        for area in np.flatnonzero(is_fixed):
            inside = problem.area == area
            quanta[inside] = _shared(weight[inside], problem.max_units[inside], int(minimum[area]))
        free = ~is_fixed[problem.area]
        quanta[free] = _shared(weight[free], problem.max_units[free], number - int(minimum[is_fixed].sum()))
        sums = np.bincount(problem.area % len(minimum), quanta, len(minimum))
        is_short = ~is_fixed & (sums < (minimum + MIN_EXCESS) * QUANTA) & (minimum > 0)
        if not is_short.any():
            return quanta
        is_fixed |= is_short


def capped_shares(weight: Array, room: Integers, number: int) -> Array:
    """Share a number of units among cells in proportion to their weights, at most `room` each; shape (cells,)."""
    is_full = room == 0
    while True:
        left = number - int(room[is_full].sum())
        total = weight[~is_full].sum()
        units = np.where(is_full, room, weight * (left / total if total else 0.0))
        is_over = ~is_full & (units >= room)
        if not is_over.any():
            return units
        is_full |= is_over


def _shared(weight: Array, room: Integers, number: int) -> Integers:
    """Return `capped_shares` in quanta, in sum `number` units; shape (cells,)."""
    units = capped_shares(weight, room, number)
    quanta = np.floor(units * QUANTA).astype(np.int64)
    # What rounding lost goes to the cells in turn, one quantum each.
    lost = number * QUANTA - int(quanta.sum())
    open_cells = np.flatnonzero(units < room)
    quanta[open_cells[:lost]] += 1
    return quanta


def random_order(places: Integers, area: Integers, random: np.random.Generator) -> Integers:
    """Return the cells in random order, those of an area together, and within it those of a square, of any size, together.

    Squares are the quarters of quarters of a grid that lies at random over the city, visited in random order (GRTS).

    Args:
        places: Row and column of each cell, shape (cells, 2).
        area: Index of the area of each cell, or -1, shape (cells,).
        random: Generator.
    """
    levels = int(places.max(initial=0)).bit_length() + 1
    moved = places + random.integers(2 ** (levels - 1), size=2)
    address = np.zeros(len(places), np.int64)
    for level in reversed(range(levels)):
        quarter = (moved >> level & 1) @ [2, 1]
        address = 4 * address + random.permutation(4)[quarter]
    rank = random.permutation(int(area.max(initial=-1)) + 2)
    return np.lexsort((address, rank[area]))


def comb(quanta: Integers, start: int) -> Integers:
    """Return the units of cells in order: the teeth at `start`, one unit later and so on, that fall on each; shape (cells,)."""
    passed = (np.cumsum(quanta) - start + QUANTA - 1) // QUANTA
    return np.diff(passed, prepend=0)
