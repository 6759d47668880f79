"""Patrol plans: the number of units for each cell in each shift of a day, within the rules of a city's file."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.patrol.cover import CoverProblem, Units, Values, areas_of_groups, by_group, greedy, reach_matrix

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ShiftTotals:
    """The numbers of one shift's plan, the one source of all totals that pages, metadata and files show.

    Attributes:
        shift: name.
        units: placed.
        recommended_units: those that add at least the floor, or that the minimum of an area needs.
        expected_alerts: in all covered cells.
        within_reach: of these, in cells that any unit reaches.
        covered: of these, each cell counted by the shares of the units that reach it.
        one_more_unit: expected alerts that one more unit would add to `covered`.
    """

    shift: str
    units: int
    recommended_units: int
    expected_alerts: float
    within_reach: float
    covered: float
    one_more_unit: float


@dataclass(frozen=True)
class PatrolAudit:
    """The numbers of a day's plan, stored as `audit.json`."""

    day: str
    shifts: list[ShiftTotals]

    def totals(self) -> dict[str, Any]:
        """Sums over the shifts, by the names of `ShiftTotals`."""
        rows = [asdict(shift) for shift in self.shifts]
        return {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("shift", "one_more_unit")}


@dataclass(frozen=True)
class ShiftPlan:
    """Units of one shift. Arrays have the shape (group rows, group columns); a group is a cell where `group` is 1.

    Attributes:
        units: placed in each group.
        recommended: those of `units` that are worth placing, see `ShiftTotals`.
        rank: 1 for the group whose first unit adds most, then 2 and so on; 0 for groups without units.
        added: expected alerts that the units of a group add to those that are placed before them.
    """

    shift: Shift
    units: Units
    recommended: Units
    rank: Units
    added: Values
    totals: ShiftTotals


@dataclass(frozen=True)
class DayPlan:
    """The plans of the shifts that begin on one local day, for groups of `group` x `group` cells."""

    day: date
    group: int
    shifts: tuple[ShiftPlan, ...]
    audit: PatrolAudit

    @property
    def units(self) -> Units:
        """Of all shifts, shape (group rows, group columns)."""
        return np.sum([plan.units for plan in self.shifts], axis=0)


class _Groups(NamedTuple):
    """The groups of a day's plan: open for units, resting after too many patrols, and their areas; shape (groups,)."""

    is_open: Booleans
    is_resting: Booleans
    area: Units
    area_names: list[str]


def plan_day(
    city: City,
    day: date,
    expected: npt.NDArray[np.floating],
    in_coverage: Booleans,
    *,
    areas: npt.NDArray[np.str_] | None = None,
    history: Mapping[date, Booleans] | None = None,
) -> DayPlan:
    """The plan of all shifts that begin on the local `day`, by the rules in the city's file.

    Args:
        city: with patrol rules.
        day: local.
        expected: expected alerts of each shift, shape (shifts, rows, columns).
        in_coverage: cells that the sensors hear, shape (rows, columns); units go nowhere else.
        areas: name of the area (district) of each cell, "" for none, shape (rows, columns).
        history: cells patrolled on days before, `dispatch.patrolled_cells`; days that are absent had no patrols.

    Raises:
        ValueError: the rules cannot all be kept; the message names the rule that is in the way.
    """
    rules = city.patrol
    assert rules is not None
    rows, columns = city.shape
    if rows % rules.group or columns % rules.group:
        misfit = f"groups of {rules.group} x {rules.group} cells do not fill {rows} rows x {columns} columns"
        raise _refused(city, day, "group", misfit, "Choose a side that divides both.")
    groups = _groups(rules, day, in_coverage, areas, history or {})
    reach = reach_matrix(city, rules.group, rules.radius_m)
    alerts = np.where(in_coverage, expected, 0.0).astype(np.float64)
    has_groups = np.isin(np.arange(len(groups.area_names)), groups.area).astype(np.int64)
    plans = []
    for at, shift in enumerate(rules.shifts):
        problem = CoverProblem(
            expected=alerts[at].ravel(),
            reach=reach,
            shares=rules.shares,
            max_units=np.where(groups.is_open, rules.most_units_per_cell, 0),
            area=groups.area,
            min_units=has_groups * math.ceil(rules.least_share_per_area * shift.units - 1e-9),
        )
        _require_room(city, day, shift, rules.most_units_per_cell, problem, groups)
        plans.append(_plan_shift(shift, problem, rules.floor, (rows // rules.group, columns // rules.group)))
    return DayPlan(day, rules.group, tuple(plans), PatrolAudit(day.isoformat(), [plan.totals for plan in plans]))


def _plan_shift(shift: Shift, problem: CoverProblem, floor: float, shape: tuple[int, int]) -> ShiftPlan:
    order, added = greedy(problem, shift.units)
    recommended, rank = np.zeros((2, len(problem.max_units)), np.int64)
    missing = problem.min_units.copy()
    for group, gain in zip(order, added, strict=True):
        area = problem.area[group]
        is_needed = area >= 0 and missing[area] > 0
        if is_needed:
            missing[area] -= 1
        recommended[group] += (gain > 0 and gain >= floor) or is_needed
        rank[group] = rank[group] or rank.max() + 1
    units = np.bincount(np.array(order, np.int64), minlength=len(rank))
    totals = ShiftTotals(
        shift=shift.name,
        units=shift.units,
        recommended_units=int(recommended.sum()),
        expected_alerts=float(problem.expected.sum()),
        within_reach=problem.within_reach(units),
        covered=problem.value(units),
        one_more_unit=float(problem.gains(units)[units < problem.max_units].max(initial=0.0)),
    )
    return ShiftPlan(
        shift=shift,
        units=units.reshape(shape),
        recommended=recommended.reshape(shape),
        rank=rank.reshape(shape),
        added=np.bincount(np.array(order, np.int64), added, minlength=len(rank)).astype(np.float64).reshape(shape),
        totals=totals,
    )


def _groups(
    rules: PatrolRules,
    day: date,
    in_coverage: Booleans,
    areas: npt.NDArray[np.str_] | None,
    history: Mapping[date, Booleans],
) -> _Groups:
    usable = by_group(in_coverage, rules.group).any(axis=-1).ravel()
    is_resting = np.zeros_like(usable)
    if rules.repeats is not None:
        past_days = [day - timedelta(days=back) for back in range(1, rules.repeats.days)]
        patrols = sum((history[past].astype(np.int64) for past in past_days if past in history), 0 * in_coverage)
        is_resting = usable & (by_group(patrols, rules.group).max(axis=-1).ravel() >= rules.repeats.most)
    return _Groups(usable & ~is_resting, is_resting, *areas_of_groups(areas, in_coverage, rules.group))


def _require_room(city: City, day: date, shift: Shift, per_cell: int, problem: CoverProblem, groups: _Groups) -> None:
    """Refuse rules that leave no room for the shift's units; the last rule that takes it away is the one named."""
    units = f"shift {shift.name} has {shift.units} units"
    if int(problem.min_units.sum()) > shift.units:
        wishes = f"{np.count_nonzero(problem.min_units)} areas want at least {problem.min_units.max()} each"
        raise _refused(city, day, "least_share_per_area", f"{units}, and {wishes}", "Lower the share or add units.")
    places = {"all areas": (np.ones_like(groups.is_open), shift.units)}
    for at, name in enumerate(groups.area_names):
        places[f"area {name}"] = groups.area == at, int(problem.min_units[at])
    for place, (inside, wanted) in places.items():
        room, resting = int(groups.is_open[inside].sum()) * per_cell, int(groups.is_resting[inside].sum())
        if room < wanted:
            rule = "repeats" if room + resting * per_cell >= wanted else "most_units_per_cell"
            reason = (
                f"{units}, {wanted} of them for {place}, where {resting} cells rest and the others have room for {room}"
            )
            raise _refused(city, day, rule, reason, "Allow more repeats, more units per cell or fewer units.")


def _refused(city: City, day: date, rule: str, problem: str, remedy: str) -> ValueError:
    return ValueError(f"City {city.name}, patrol plan of {day}, rule patrol.{rule}: {problem}. {remedy}")
