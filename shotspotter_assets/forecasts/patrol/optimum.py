"""Best possible plan of a shift: the problem of `patrol.cover` solved by mixed-integer programming (HiGHS).

The covered share of a cell is concave in the units that reach it. So levels 0 <= y_k <= 1 with prices s_1 >= s_2 >= ..., in
sum at most the units that reach the cell, make up that share exactly, and only the units have to be whole (Church and
ReVelle 1974, with several units per cell).

The comparison is within one shift, given the cells that rest. It says nothing about rules that connect shifts or days: when a
cap on repeats spends its visits, and a lottery, which gives up the best places on purpose.
"""

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack, kron

from shotspotter_assets.forecasts.patrol.cover import CoverProblem
from shotspotter_assets.storage.arrays import Integers

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

    from shotspotter_assets.forecasts.patrol.plan import DayPlan

MAX_SECONDS: Final = 1.0  # of a day's shifts together
MAX_PAIRS: Final = 100_000  # of cells in reach of each other; with more, the solver does not heed its limit
TOLERANCE: Final = 1e-6  # of a proved optimum, as a share of its value
_SCALE: Final = 1_000.0  # expected alerts of a scaled problem; the tolerances of the solver are absolute


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


def gap_of_day(plan: "DayPlan", seconds: float = MAX_SECONDS) -> float | None:
    """Return how far the greedy plans of a day lie below the best ones, as a share; None if the time does not suffice.

    Larger plans than `MAX_PAIRS` are not tried. With a lottery, this is the gap of the plans that the lottery replaces.
    """
    if any(shift.problem.reach.nnz > MAX_PAIRS for shift in plan.shifts):
        return None
    ends = monotonic() + seconds
    best = 0.0
    for shift in plan.shifts:
        of_shift = optimum(shift.problem, shift.totals.units, ends - monotonic())
        if not of_shift.is_proved:
            return None
        best += of_shift.bound
    covered = plan.covered_without_lottery  # by the greedy plans
    if covered is None:
        covered = sum(shift.totals.covered for shift in plan.shifts)
    return Optimum(best, is_proved=True).gap(covered)
