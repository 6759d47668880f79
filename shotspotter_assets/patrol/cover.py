"""The maximum coverage problem of one shift: its value, a greedy answer, and the exact one by mixed-integer programming.

n units that reach a cell cover the share G(n) = s_1 + ... + s_n of its expected alerts, with s_1 >= s_2 >= ...
The value of a plan is the sum of that over all cells, which has diminishing returns in every unit.

After Church and ReVelle (1974), "The maximal covering location problem", with several units per cell.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Units = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Method = Literal["exact", "time limit", "greedy"]
"""Proven best (within the solver's tolerance of 1e-6); the best that the solver found in its time; or the greedy plan,
which was better than that."""


@dataclass(frozen=True)
class CoverProblem:
    """Where units may go and which cells they reach from there."""

    expected: Values
    """Expected alerts of each cell, shape (cells,); zero where nothing is to be reached."""
    reach: "csc_array"
    """1 where a unit in a group reaches a cell, shape (cells, groups)."""
    shares: tuple[float, ...]
    """s_1, s_2, ...: never rising, in sum at most 1."""
    max_units: Units
    """Of each group, shape (groups,); 0 where none may go."""
    area: Units
    """Area of each group, an index into `min_units`, or -1; shape (groups,)."""
    min_units: Units
    """Of each area, shape (areas,)."""

    def value(self, units: Units) -> float:
        """Expected alerts that `units`, shape (groups,), reach."""
        return reached_alerts(self.expected, self.reach, self.shares, units)

    def gains(self, units: Units) -> Values:
        """Expected alerts that one more unit in each group would add to `units`, shape (groups,)."""
        reaching = self.reach @ units
        added = _reached_share(reaching + 1, self.shares) - _reached_share(reaching, self.shares)
        gains: Values = self.reach.T @ (self.expected * added)
        return gains


@dataclass(frozen=True)
class Solution:
    """An answer of the solver."""

    units: Units | None
    """None if the time was over before any plan was found."""
    method: Method
    bound: float | None
    """No plan is worth more than this; None if that is unknown."""


def reached_alerts(expected: Values, reach: "csc_array", shares: tuple[float, ...], units: Units) -> float:
    """The value of a plan; arguments as the fields of `CoverProblem`, `units` of shape (groups,)."""
    return float(expected @ _reached_share(reach @ units, shares))


def _reached_share(units: Values, shares: tuple[float, ...]) -> Values:
    return np.interp(units, np.arange(len(shares) + 1), np.cumsum([0.0, *shares]))


def greedy(problem: CoverProblem, number: int) -> tuple[list[int], list[float]]:
    """Place `number` units one by one, each where it adds most; areas keep enough units for their minimum.

    Without minima, at least 1 - 1/e of the best value. Needs limits that can be met.

    Returns:
        The groups in the order in which they get their units, and what each unit added.
    """
    units = np.zeros_like(problem.max_units)
    missing = problem.min_units.copy()
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


def in_order_of_value(problem: CoverProblem, units: Units) -> tuple[list[int], list[float]]:
    """The units of a plan, each time the one that adds most to those before it; what they add never rises."""
    return greedy(replace(problem, max_units=units, min_units=np.zeros_like(problem.min_units)), int(units.sum()))


def exact(problem: CoverProblem, number: int, time_limit_s: float) -> Solution:
    """The best plan of `number` units by mixed-integer programming (HiGHS).

    G is concave, so levels 0 <= y_k <= 1 of each cell with falling prices s_k, in sum at most n, make it up exactly:
    the best levels fill from the first. Only the units have to be whole.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron

    groups, cells = np.flatnonzero(problem.max_units), np.flatnonzero(problem.expected)
    levels = len(problem.shares)
    reach = csr_array(problem.reach)[cells][:, groups]
    # The solver's tolerances are absolute, and expected alerts may be thousandths.
    scale = 1_000 / max(float(problem.expected.sum()), 1e-300)
    price = np.outer(problem.expected[cells], problem.shares).ravel()
    objective = -scale * np.concatenate([np.zeros(len(groups)), price])
    sum_of_levels = kron(eye_array(len(cells)), np.ones((1, levels)))
    levels_of_units = LinearConstraint(hstack([-reach, sum_of_levels], format="csr"), ub=0.0)
    all_units = np.concatenate([np.ones(len(groups)), np.zeros(len(cells) * levels)])[None]
    in_area = np.flatnonzero(problem.area[groups] >= 0)
    area_units = csr_array(
        (np.ones(len(in_area)), (problem.area[groups][in_area], in_area)),
        shape=(len(problem.min_units), len(objective)),
    )
    constraints = [levels_of_units, LinearConstraint(all_units, number, number)]
    if len(problem.min_units):
        constraints.append(LinearConstraint(area_units, lb=problem.min_units))
    result = milp(
        objective,
        integrality=np.concatenate([np.ones(len(groups)), np.zeros(len(cells) * levels)]),
        bounds=Bounds(0, np.concatenate([problem.max_units[groups], np.ones(len(cells) * levels)])),
        constraints=constraints,
        options={"time_limit": time_limit_s, "mip_rel_gap": 1e-6},
    )
    bound = None
    if result.mip_dual_bound is not None and np.isfinite(result.mip_dual_bound):
        bound = -float(result.mip_dual_bound) / scale
    if result.x is None:
        return Solution(None, "time limit", bound)
    units = np.zeros_like(problem.max_units)
    units[groups] = np.rint(result.x[: len(groups)]).astype(np.int64)
    return Solution(units, "exact" if result.status == 0 else "time limit", bound)
