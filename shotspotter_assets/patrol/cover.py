"""The maximum coverage problem of one shift (Church and ReVelle 1974), with several units per cell, and a greedy plan.

n units that reach a cell cover the share s_1 + ... + s_n of its expected alerts, with s_1 >= s_2 >= ... A plan's value is
the sum over all cells. Returns diminish in every unit, so a greedy plan has at least 1 - 1/e of the best value (Nemhauser,
Wolsey and Fisher 1978), and at least 0.98 in `benchmarks/patrol_plans.py`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shotspotter_assets.arrays import Array, Integers

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Units = Integers
Values = Array


@dataclass(frozen=True)
class CoverProblem:
    """Cells that units may go to, and cells in reach; arrays have shape (cells,) and count row by row."""

    expected: Values  # alerts; zero outside the coverage
    reach: "csr_array"  # 1 if a unit in one cell reaches another, shape (cells, cells)
    shares: tuple[float, ...]  # s_1, s_2, ...: never rising, in sum at most 1
    max_units: Units  # 0 where none may go
    area: Units  # index into `min_units`, or -1
    min_units: Units  # of each area, shape (areas,)

    def value(self, units: Units) -> float:
        """Return the expected alerts that `units`, shape (cells,), cover."""
        return float(self.expected @ self._covered_share(self.reach @ units))

    def within_reach(self, units: Units) -> float:
        """Return the expected alerts in cells that any of `units`, shape (cells,), reaches."""
        return float(self.expected @ (self.reach @ units > 0))

    def gains(self, units: Units) -> Values:
        """Return the expected alerts that one more unit in each cell would add to `units`, shape (cells,)."""
        reaching = self.reach @ units
        added = self._covered_share(reaching + 1) - self._covered_share(reaching)
        gains: Values = self.reach.T @ (self.expected * added)
        return gains

    def _covered_share(self, units: Values) -> Values:
        return np.interp(units, np.arange(len(self.shares) + 1), np.cumsum([0.0, *self.shares]))


def greedy(problem: CoverProblem, number: int) -> tuple[list[int], list[float]]:
    """Place `number` units one by one where each adds most, and reserve the minimum of each area.

    Return the cells in order of placement, and the expected alerts that each unit adds, never rising.
    """
    units, missing = np.zeros_like(problem.max_units), problem.min_units.copy()
    cells, added = [], []
    for left in range(number, 0, -1):
        free = units < problem.max_units
        if missing.sum() >= left:
            free &= (problem.area >= 0) & (np.append(missing, 0)[problem.area] > 0)
        gain = np.where(free, problem.gains(units), -np.inf)
        cell = int(gain.argmax())
        units[cell] += 1
        if problem.area[cell] >= 0:
            missing[problem.area[cell]] = max(missing[problem.area[cell]] - 1, 0)
        cells.append(cell)
        added.append(max(float(gain[cell]), 0.0))
    return cells, added
