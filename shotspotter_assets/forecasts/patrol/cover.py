"""The maximum coverage problem of one shift (Church and ReVelle 1974), with several units per cell: greedy and best plans.

n units that reach a cell cover the share s_1 + ... + s_n of its expected alerts, with s_1 >= s_2 >= ... A plan's value is
the sum over all cells. A greedy plan has at least 1 - 1/e of the best value (Nemhauser, Wolsey and Fisher 1978).

The best value comes from mixed-integer programming (HiGHS). The covered share of a cell is concave in the units that reach
it. So levels 0 <= y_k <= 1 with prices s_1 >= s_2 >= ..., in sum at most the units that reach the cell, make up that share
exactly, and only the units have to be whole. The comparison is within one shift, given the cells that rest. It says nothing
about rules that connect shifts or days: when a cap on repeats spends its visits, and a lottery, which gives up the best
places on purpose.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack, kron
from scipy.spatial import KDTree

from shotspotter_assets.cities.box import Gridded
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets.storage.arrays import Array, Integers

MAX_SECONDS: Final = 1.0  # of a day's shifts together
MAX_PAIRS: Final = 100_000  # of cells in reach of each other; with more, the solver does not heed its limit
TOLERANCE: Final = 1e-6  # of a proved optimum, as a share of its value
_SCALE: Final = 1_000.0  # expected alerts of a scaled problem; the tolerances of the solver are absolute


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


if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint


@dataclass(frozen=True)
class Optimum:
    """Value of the best plan, or an upper bound of it if the time did not suffice."""

    bound: float  # expected alerts that no plan can cover more of
    is_proved: bool  # True if a plan covers as many, to `TOLERANCE`

    def gap(self, covered: float) -> float:
        """Return how far a plan that covers so many expected alerts lies below the bound, as a share of it."""
        return max(1 - covered / self.bound, 0.0) if self.bound > 0 else 0.0


def optimum(problem: CoverProblem, number: int, seconds: float = MAX_SECONDS) -> Optimum:
    """Return the best value of a plan of exactly `number` units; there must be room for them and for all minima."""
    from scipy.optimize import Bounds, milp

    total = float(problem.expected.sum())
    if number == 0 or total == 0:
        return Optimum(0.0, is_proved=True)
    places = np.flatnonzero(problem.max_units)
    cells = np.flatnonzero(problem.expected)
    prices = np.outer(problem.expected[cells], problem.shares).ravel() * (_SCALE / total)
    result = milp(
        -np.concatenate([np.zeros(len(places)), prices]),
        integrality=np.concatenate([np.ones(len(places)), np.zeros(len(prices))]),
        bounds=Bounds(0, np.concatenate([problem.max_units[places], np.ones(len(prices))])),
        constraints=_constraints(problem, number, places, cells),
        options={"mip_rel_gap": TOLERANCE, "time_limit": max(seconds, 0.0)},
    )
    lowest = -np.inf if result.mip_dual_bound is None else result.mip_dual_bound  # None if stopped before it had one
    return Optimum(float(min(-lowest * total / _SCALE, total)), is_proved=result.status == 0)


def _constraints(problem: CoverProblem, number: int, places: Integers, cells: Integers) -> "list[LinearConstraint]":
    """Return the constraints on the units at `places`, followed by the covered levels of `cells`, cell by cell."""
    from scipy.optimize import LinearConstraint

    levels = len(problem.shares)
    reaching = csr_array(problem.reach)[cells][:, places]
    covered = kron(eye_array(len(cells)), np.ones((1, levels)))
    in_area = problem.area[places] == np.arange(len(problem.min_units))[:, None]
    counted = csr_array(np.vstack([np.ones((1, len(places))), in_area]))
    least = [number, *problem.min_units]
    most = [number, *np.full(len(problem.min_units), np.inf)]
    return [
        LinearConstraint(hstack([-reaching, covered]), ub=0.0),
        LinearConstraint(hstack([counted, csr_array((len(least), len(cells) * levels))]), least, most),
    ]
