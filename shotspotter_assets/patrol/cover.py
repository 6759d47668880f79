"""The maximum coverage problem of one shift: which cells a unit reaches, the value of a plan, and a greedy plan.

n units that reach a cell cover the share s_1 + ... + s_n of its expected alerts, with s_1 >= s_2 >= ... The value of a
plan is the sum over all cells. It has diminishing returns in every unit, so a greedy plan has at least 1 - 1/e of the
best value (Nemhauser, Wolsey and Fisher 1978), and at least 0.98 in `benchmarks/patrol_plans.py`.

After Church and ReVelle (1974), "The maximal covering location problem", with several units per cell.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_metres

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Units = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CoverProblem:
    """The places that units may go to, and the cells that they reach from there.

    Attributes:
        expected: expected alerts of each cell, shape (cells,); zero outside the coverage.
        reach: 1 where a unit in a group reaches a cell, shape (cells, groups).
        shares: s_1, s_2, ...: never rising, in sum at most 1.
        max_units: of each group, shape (groups,); 0 where none may go.
        area: area of each group, an index into `min_units`, or -1; shape (groups,).
        min_units: of each area, shape (areas,).
    """

    expected: Values
    reach: "csc_array"
    shares: tuple[float, ...]
    max_units: Units
    area: Units
    min_units: Units

    def value(self, units: Units) -> float:
        """Expected alerts that `units`, shape (groups,), cover; each cell counts by the shares of its units."""
        return float(self.expected @ self._covered_share(self.reach @ units))

    def within_reach(self, units: Units) -> float:
        """Expected alerts in the cells that any of `units`, shape (groups,), reaches."""
        return float(self.expected @ (self.reach @ units > 0))

    def gains(self, units: Units) -> Values:
        """Expected alerts that one more unit in each group would add to `units`, shape (groups,)."""
        reaching = self.reach @ units
        added = self._covered_share(reaching + 1) - self._covered_share(reaching)
        gains: Values = self.reach.T @ (self.expected * added)
        return gains

    def _covered_share(self, units: Values) -> Values:
        return np.interp(units, np.arange(len(self.shares) + 1), np.cumsum([0.0, *self.shares]))


def greedy(problem: CoverProblem, number: int) -> tuple[list[int], list[float]]:
    """Place `number` units one by one where each adds most, keeping enough units for the minimum of each area.

    Returns:
        The groups in the order of placement, and the expected alerts that each unit adds, never rising.
    """
    units, missing = np.zeros_like(problem.max_units), problem.min_units.copy()
    groups, added = [], []
    for left in range(number, 0, -1):
        free = units < problem.max_units
        if missing.sum() >= left:
            free &= (problem.area >= 0) & (np.append(missing, 0)[problem.area] > 0)
        gain = np.where(free, problem.gains(units), -np.inf)
        group = int(gain.argmax())
        units[group] += 1
        if problem.area[group] >= 0:
            missing[problem.area[group]] = max(missing[problem.area[group]] - 1, 0)
        groups.append(group)
        added.append(max(float(gain[group]), 0.0))
    return groups, added


def reach_matrix(city: City, group: int, radius_m: float) -> "csc_array":
    """1 where a unit in a group reaches a cell, else 0; shape (cells, groups), both in C order.

    A unit reaches all cells of its own group, and every other cell whose middle is at most `radius_m` from the middle
    of the group.

    Args:
        city: with its grid.
        group: side of a group in cells; divides the grid's rows and columns.
        radius_m: metres.
    """
    from scipy.sparse import csc_array
    from scipy.spatial import KDTree

    rows, columns = city.shape
    row, column = np.indices(city.shape).reshape(2, -1)
    metres, groups = np.array(cell_metres(city)), np.indices((rows // group, columns // group)).reshape(2, -1).T
    cells = KDTree((np.column_stack([row, column]) + 0.5) * metres)
    near = cells.query_ball_point((groups + 0.5) * group * metres, radius_m)
    of_others = [np.concatenate(near).astype(np.int64), np.repeat(np.arange(len(groups)), [len(one) for one in near])]
    of_own = [np.arange(row.size), row // group * (columns // group) + column // group]
    pairs = np.unique(np.hstack([of_others, of_own]), axis=1)
    return csc_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(row.size, len(groups)))


def by_group(values: npt.NDArray, group: int) -> npt.NDArray:
    """Values of cells, (..., rows, columns), by group: (..., group rows, group columns, cells of the group)."""
    *axes, rows, columns = values.shape
    blocks = values.reshape(*axes, rows // group, group, columns // group, group).swapaxes(-3, -2)
    return blocks.reshape(*axes, rows // group, columns // group, group * group)


def areas_of_groups(
    areas: npt.NDArray[np.str_] | None, in_coverage: npt.NDArray[np.bool_], group: int
) -> tuple[Units, list[str]]:
    """The area of each group, an index into the sorted names or -1, shape (groups,); and the names of areas in coverage.

    A group that lies in several areas belongs to the one with most of its cells in coverage.
    """
    names = [] if areas is None else sorted(set(areas[in_coverage].tolist()) - {""})
    if areas is None or not names:
        return np.full(in_coverage.size // group**2, -1), []
    cells = np.stack([by_group(in_coverage & (areas == name), group).sum(axis=-1).ravel() for name in names])
    return np.where(cells.any(axis=0), cells.argmax(axis=0), -1), names
