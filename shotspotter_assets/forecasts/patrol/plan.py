"""Patrol plans: units of each cell and shift of a day, within the rules of a city's file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.forecasts.patrol.cover import (
    CoverProblem,
    greedy,
    reach_matrix,
)
from shotspotter_assets.forecasts.patrol.lottery import Lots, draw_lots, lot_seed
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Names


@dataclass(frozen=True)
class ShiftTotals:
    """Totals of one shift's plan."""

    shift: str
    units: int
    expected_alerts: float  # in all covered cells
    within_reach: float  # expected alerts in cells that any unit reaches
    covered: float  # expected alerts times the shares of the units that reach their cell
    one_more_unit: float  # expected alerts that one more unit would add to `covered`


@dataclass(frozen=True)
class ShiftPlan:
    """Units of one shift; arrays have shape (rows, columns)."""

    shift: Shift
    units: Integers
    rank: Integers  # 1 for the cell whose first unit adds most, then 2 and so on; 0 for cells without units
    added: Array  # expected alerts that the units of a cell add to earlier ones
    totals: ShiftTotals
    lots: Lots | None = None  # None for a plan without a lottery
    covered_without_lottery: float | None = None  # `covered` of the plan that a lottery replaces

    def chance(self, row: int, column: int) -> float | None:
        """Return the chance with which the lottery sends a unit to a cell; None without a lottery."""
        return None if self.lots is None else float(self.lots.chance.reshape(self.units.shape)[row, column])


@dataclass(frozen=True)
class DayPlan:
    """Plans of the shifts that begin on one local day."""

    forecast_date: date
    shifts: tuple[ShiftPlan, ...]

    @property
    def units(self) -> Integers:
        """Units of all shifts, shape (rows, columns)."""
        return np.sum([plan.units for plan in self.shifts], axis=0)

    @property
    def covered_without_lottery(self) -> float | None:
        """Expected events that the units would cover without the lottery; None without one."""
        covered = [plan.covered_without_lottery for plan in self.shifts if plan.covered_without_lottery is not None]
        return sum(covered) if covered else None


def plan_day(
    city: City,
    forecast_date: date,
    expected: npt.NDArray[np.floating],  # alerts of each shift, shape (shifts, rows, columns)
    in_coverage: Booleans,  # units go nowhere else, shape (rows, columns)
    *,
    areas: Names | None = None,  # area of each cell, "" for none, shape (rows, columns)
    history: Mapping[date, Booleans] | None = None,  # `dispatch.patrolled_cells` of days with patrols
) -> DayPlan:
    """Plan all shifts that begin on a local day; raise ValueError with the rule of the city's file that cannot be kept."""
    rules = city.patrol
    assert rules is not None
    is_resting = _resting(rules, forecast_date, in_coverage, history or {})
    area_of_cells: Names = np.where(in_coverage, "" if areas is None else areas, "")
    names = sorted(set(area_of_cells.ravel().tolist()) - {""})
    area = np.searchsorted(np.array(names, area_of_cells.dtype), area_of_cells)
    area[area_of_cells == ""] = -1
    reach = reach_matrix(city, rules.radius_m)
    plans = []
    for shift, alerts in zip(rules.shifts, np.where(in_coverage, expected, 0.0).astype(np.float64), strict=True):
        problem = CoverProblem(
            expected=alerts.ravel(),
            reach=reach,
            shares=rules.shares,
            max_units=np.where(in_coverage & ~is_resting, rules.most_units_per_cell, 0).ravel(),
            area=area.ravel(),
            min_units=np.full(len(names), math.ceil(rules.least_share_per_area * shift.units - 1e-9)),
        )
        _require_room(city, forecast_date, shift, problem, is_resting.ravel(), names)
        plans.append(
            _plan_shift(shift, problem, city.shape)
            if rules.lottery is None
            else _drawn_shift(shift, problem, city.shape, rules.lottery, lot_seed(city.name, forecast_date, shift.name))
        )
    return DayPlan(forecast_date, tuple(plans))


def _resting(
    rules: PatrolRules, forecast_date: date, in_coverage: Booleans, history: Mapping[date, Booleans]
) -> Booleans:
    """Return the cells that were patrolled as often as the cap on repeats allows, shape (rows, columns)."""
    if rules.repeats is None:
        return np.zeros_like(in_coverage)
    first = forecast_date - timedelta(days=rules.repeats.days - 1)
    recent = [cells for day, cells in history.items() if first <= day < forecast_date]
    return in_coverage & (np.sum(recent, axis=0) >= rules.repeats.most)


def _drawn_shift(shift: Shift, problem: CoverProblem, shape: tuple[int, int], power: float, seed: int) -> ShiftPlan:
    """Draw the places of a shift by lot; their ranks and gains are those of a greedy plan among the drawn units."""
    places = np.column_stack(np.unravel_index(np.arange(len(problem.max_units)), shape))
    lots = draw_lots(problem, places, shift.units, power, seed)
    without = _plan_shift(shift, problem, shape).totals.covered
    plan = _plan_shift(shift, problem, shape, replace(problem, max_units=lots.units, min_units=0 * problem.min_units))
    return replace(plan, lots=lots, covered_without_lottery=without)


def _plan_shift(
    shift: Shift, problem: CoverProblem, shape: tuple[int, int], drawn: CoverProblem | None = None
) -> ShiftPlan:
    """Place the units of a shift greedily on a grid of some shape (rows, columns), or only where they were drawn."""
    cells, gains = greedy(problem if drawn is None else drawn, shift.units)
    size = len(problem.max_units)
    order = np.array(cells, np.int64)
    units = np.bincount(order, minlength=size)
    added = np.bincount(order, gains, minlength=size).astype(np.float64)
    rank = np.zeros(size, np.int64)
    rank[list(dict.fromkeys(cells))] = np.arange(1, np.count_nonzero(units) + 1)
    totals = ShiftTotals(
        shift=shift.name,
        units=shift.units,
        expected_alerts=float(problem.expected.sum()),
        within_reach=problem.within_reach(units),
        covered=problem.value(units),
        one_more_unit=float(problem.gains(units)[units < problem.max_units].max(initial=0.0)),
    )
    return ShiftPlan(shift, units.reshape(shape), rank.reshape(shape), added.reshape(shape), totals)


def _require_room(
    city: City, day: date, shift: Shift, problem: CoverProblem, is_resting: Booleans, names: list[str]
) -> None:
    """Raise ValueError with the rule of the city's file that leaves too little room for the units of a shift."""

    def refused(rule: str, problem: str, remedy: str) -> ValueError:
        return ValueError(f"City {city.name}, patrol plan of {day}, rule patrol.{rule}: {problem}. {remedy}")

    units = f"shift {shift.name} has {shift.units} units"
    if int(problem.min_units.sum()) > shift.units:
        wishes = f"{len(names)} areas want at least {problem.min_units.max()} each"
        raise refused("least_share_per_area", f"{units}, and {wishes}", "Lower the share or add units.")
    places = [("all areas", np.ones_like(is_resting), shift.units)]
    places += [
        (f"area {name}", problem.area == number, int(problem.min_units[number])) for number, name in enumerate(names)
    ]
    for place, inside, wanted in places:
        room = int(problem.max_units[inside].sum())
        resting = int(is_resting[inside].sum())
        if room < wanted:
            rule = "repeats" if room + resting * problem.max_units.max() >= wanted else "most_units_per_cell"
            reason = f"{units}, {wanted} for {place}, where {resting} cells rest and the others have room for {room}"
            raise refused(rule, reason, "Allow more repeats, more units per cell or fewer units.")
