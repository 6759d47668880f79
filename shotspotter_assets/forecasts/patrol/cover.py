"""The maximum coverage problem of one shift (Church and ReVelle 1974), with several units per cell, solved greedily.

n units that reach a cell cover the share s_1 + ... + s_n of its expected alerts, with s_1 >= s_2 >= ... A plan's value is
the sum over all cells. A greedy plan has at least 1 - 1/e of the best value (Nemhauser, Wolsey and Fisher 1978).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from shotspotter_assets.cities.box import Gridded
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets.storage.arrays import Array, Integers


@dataclass(frozen=True)
class CoverProblem:
    """Cells that units may go to, and cells in reach; arrays have shape (cells,) and count row by row."""

    expected: Array  # alerts; zero outside the coverage
    reach: csr_array  # 1 if a unit in one cell reaches another, shape (cells, cells)
    shares: tuple[float, ...]  # s_1, s_2, ...: never rising, in sum at most 1
    max_units: Integers  # 0 where none may go
    area: Integers  # index into `min_units`, or -1
    min_units: Integers  # minimum units of each area, shape (areas,)

    def value(self, units: Integers) -> float:
        """Return the expected alerts that `units`, shape (cells,), cover."""
        return float(self.expected @ self._covered_share(self.reach @ units))

    def within_reach(self, units: Integers) -> float:
        """Return the expected alerts in cells that any of `units`, shape (cells,), reaches."""
        return float(self.expected @ (self.reach @ units > 0))

    def gains(self, units: Integers) -> Array:
        """Return the expected alerts that one more unit in each cell would add to `units`, shape (cells,)."""
        reaching = self.reach @ units
        added = self._covered_share(reaching + 1) - self._covered_share(reaching)
        return np.asarray(self.reach.T @ (self.expected * added))

    def _covered_share(self, units: Array) -> Array:
        return np.interp(units, np.arange(len(self.shares) + 1), np.cumsum([0.0, *self.shares]))


def reach_matrix(city: Gridded, radius_m: float) -> csr_array:
    """Return 1 for cells whose middles are at most `radius_m` metres apart, else 0; shape (cells, cells)."""
    middles = KDTree(np.indices(city.grid.shape).reshape(2, -1).T * np.array(cell_metres(city)))
    near = middles.query_ball_point(middles.data, radius_m)
    cells = np.concatenate(near).astype(np.int64)
    ends = np.cumsum([0, *map(len, near)])
    return csr_array((np.ones(len(cells)), cells, ends), shape=(len(near), len(near)))


def greedy(problem: CoverProblem, number: int) -> tuple[list[int], list[float]]:
    """Place units where each adds most, areas' minima reserved; return the cells in order, and what each adds."""
    units = np.zeros_like(problem.max_units)
    missing = problem.min_units.copy()
    cells = []
    added = []
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
