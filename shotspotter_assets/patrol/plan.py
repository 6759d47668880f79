"""Patrol plans: how many units to send to which cells in each shift of a day, within a city's rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.patrol.cover import CoverProblem, Method, Units, exact, greedy, in_order_of_value
from shotspotter_assets.patrol.reach import areas_of_groups, by_group, reach_matrix, to_cells

if TYPE_CHECKING:
    from scipy.sparse import csc_array


class PatrolRulesError(ValueError):
    """The rules of a city cannot all be kept; `rule` is the one that is in the way."""

    def __init__(self, city: str, day: date, rule: str, problem: str, remedy: str) -> None:
        super().__init__(f"City {city}, patrol plan of {day}, rule patrol.{rule}: {problem}. {remedy}")
        self.city, self.day, self.rule = city, day, rule


@dataclass(frozen=True)
class ShiftPlan:
    """Units of one shift. Arrays have the shape (group rows, group columns); a group is a cell where `group` is 1."""

    shift: Shift
    units: Units
    recommended: Units
    """Those of `units` that are worth it: each adds at least the floor, or its area's minimum needs it."""
    rank: Units
    """1 for the group whose first unit adds most, then 2 and so on; 0 for groups without units."""
    added: npt.NDArray[np.float64]
    """Expected alerts that each unit adds to those ranked before it, shape (units,); never rising."""
    added_by_group: npt.NDArray[np.float64]
    """`added`, summed over the units of each group."""
    reached: float
    """Expected alerts that the plan reaches."""
    best: float
    """Expected alerts reached by the best plan found; `reached` is at most the near-tie share below it."""
    total: float
    """Expected alerts of all cells in coverage."""
    one_more: float
    """Expected alerts that the best plan with one unit more would reach beyond `best`; at least so many if not exact."""
    method: Method
    gap: float | None
    """How far above `best`, as a share of it, the true best may lie; 0 for exact, None if unknown."""
    greedy_ratio: float
    """What the greedy plan reaches, as a share of `best`."""


@dataclass(frozen=True)
class DayPlan:
    """The plans of the shifts that begin on one local day."""

    day: date
    group: int
    """Side, in cells, of the groups that units are sent to."""
    shifts: tuple[ShiftPlan, ...]

    @property
    def units(self) -> Units:
        """Of all shifts, shape (group rows, group columns)."""
        return np.sum([plan.units for plan in self.shifts], axis=0)

    @property
    def patrolled(self) -> npt.NDArray[np.bool_]:
        """Cells to whose group any shift sends a unit, shape (rows, columns)."""
        return to_cells(self.units > 0, self.group)


@dataclass(frozen=True)
class _Groups:
    """The groups of a day's plan, the same for all its shifts."""

    reach: "csc_array"
    is_open: npt.NDArray[np.bool_]
    """Whether units may be sent to a group, shape (groups,)."""
    is_resting: npt.NDArray[np.bool_]
    """Whether it would be open but for the cap on repeats, shape (groups,)."""
    area: Units
    area_names: list[str]

    @property
    def areas_with_groups(self) -> Units:
        """1 for each area that has a group, 0 for one whose cells all lie in groups of other areas; shape (areas,)."""
        return np.isin(np.arange(len(self.area_names)), self.area).astype(np.int64)


def plan_day(
    city: City,
    day: date,
    expected: npt.NDArray[np.floating],
    in_coverage: npt.NDArray[np.bool_],
    *,
    areas: npt.NDArray[np.str_] | None = None,
    history: Mapping[date, npt.NDArray[np.bool_]] | None = None,
    time_limit_s: float = 10.0,
) -> DayPlan:
    """The plan of all shifts that begin on the local `day`, by the rules in the city's file.

    Every shift is planned for itself, with all its units; `recommended` tells those worth placing. Among plans that
    reach nearly as much as the best one, chance chooses, the same way for the same seed, day and shift.

    Args:
        expected: expected alerts of each shift, shape (shifts, rows, columns).
        in_coverage: cells that the sensors hear, shape (rows, columns); units go nowhere else.
        areas: name of the area (district) of each cell, "" for none, shape (rows, columns).
        history: cells patrolled on days before, `DayPlan.patrolled`; days that are absent had no patrols.
        time_limit_s: limit of each run of the solver, of which a shift takes at most two.

    Raises:
        PatrolRulesError: the rules cannot all be kept.
        ValueError: the city has no patrol rules, or an array does not fit its grid or holds impossible numbers.
    """
    rules = city.patrol
    if rules is None:
        raise ValueError(f"City {city.name} has no patrol rules: give its file a section patrol.")
    _check_arrays(city, rules, day, expected, in_coverage, areas, history or {})
    groups = _groups(city, rules, day, in_coverage, areas, history or {})
    plans = []
    for at, shift in enumerate(rules.shifts):
        problem = CoverProblem(
            expected=np.where(in_coverage, expected[at], 0.0).astype(np.float64).ravel(),
            reach=groups.reach,
            shares=rules.shares,
            max_units=np.where(groups.is_open, rules.most_units_per_cell, 0),
            area=groups.area,
            min_units=groups.areas_with_groups * math.ceil(rules.least_share_per_area * shift.units - 1e-9),
        )
        _check_feasible(city, rules, day, shift, problem, groups)
        generator = np.random.default_rng([rules.seed, day.toordinal(), at])
        plans.append(_plan_shift(city, rules, shift, problem, generator, time_limit_s))
    return DayPlan(day, rules.group, tuple(plans))


def _plan_shift(
    city: City,
    rules: PatrolRules,
    shift: Shift,
    problem: CoverProblem,
    generator: np.random.Generator,
    time_limit_s: float,
) -> ShiftPlan:
    greedy_units = np.bincount(greedy(problem, shift.units)[0], minlength=len(problem.max_units)).astype(np.int64)
    best, method, gap = _best(problem, greedy_units, time_limit_s)
    best_value = problem.value(best)
    chosen = _near_tie(problem, best, rules.near_tie, generator)
    one_more = float(problem.gains(best)[best < problem.max_units].max(initial=0.0))
    if method == "exact":  # else the solver's next run would be out of time as well
        one_more = max(one_more, _with_one_more(problem, shift.units, time_limit_s) - best_value)
    groups, added = in_order_of_value(problem, chosen)
    shape = (city.grid.rows // rules.group, city.grid.columns // rules.group)
    return ShiftPlan(
        shift=shift,
        units=chosen.reshape(shape),
        recommended=_recommended(problem, groups, added, rules.floor).reshape(shape),
        rank=_ranks(groups, len(chosen)).reshape(shape),
        added=np.array(added),
        added_by_group=np.bincount(groups, added, minlength=len(chosen)).astype(np.float64).reshape(shape),
        reached=problem.value(chosen),
        best=best_value,
        total=float(problem.expected.sum()),
        one_more=one_more,
        method=method,
        gap=gap,
        greedy_ratio=problem.value(greedy_units) / best_value if best_value else 1.0,
    )


def _best(problem: CoverProblem, greedy_units: Units, time_limit_s: float) -> tuple[Units, Method, float | None]:
    number, greedy_value = int(greedy_units.sum()), problem.value(greedy_units)
    if not number or not greedy_value:
        return greedy_units, "exact", 0.0
    solution = exact(problem, number, time_limit_s)
    units, method = solution.units, solution.method
    if units is None or (method != "exact" and problem.value(units) < greedy_value):
        units, method = greedy_units, "greedy"
    gap = None if solution.bound is None else max(solution.bound / problem.value(units) - 1, 0.0)
    return units, method, gap


def _near_tie(problem: CoverProblem, best: Units, near_tie: float, generator: np.random.Generator) -> Units:
    """A plan drawn among those that reach at least 1 - `near_tie` of what `best` reaches.

    One unit after the other, in random order, is taken out and put to a group drawn in proportion to what it adds
    there, among the groups where the plan loses no more than the unit's part of what may be lost.
    """
    number, best_value, units = int(best.sum()), problem.value(best), best.copy()
    if not near_tie or not best_value:
        return units
    for step, group in enumerate(generator.permutation(np.repeat(np.arange(len(best)), best)), start=1):
        units[group] -= 1
        gains = problem.gains(units)
        may_go = (units < problem.max_units) & (
            problem.value(units) + gains >= best_value * (1 - near_tie * step / number)
        )
        area = problem.area[group]
        if area >= 0 and units[problem.area == area].sum() < problem.min_units[area]:
            may_go &= problem.area == area
        # Where it was is always among them; rounding and units that add nothing must not leave it without a chance.
        chance = np.where(may_go, np.maximum(gains, 0.0), 0.0)
        units[generator.choice(len(best), p=chance / chance.sum()) if chance.any() else group] += 1
    return units


def _with_one_more(problem: CoverProblem, number: int, time_limit_s: float) -> float:
    """Value of the best plan found with one unit more, areas keeping their minimum; 0 where no cell has room for it."""
    if number >= problem.max_units.sum() or not problem.expected.any():
        return 0.0
    units = exact(problem, number + 1, time_limit_s).units
    return 0.0 if units is None else problem.value(units)


def _recommended(problem: CoverProblem, groups: list[int], added: list[float], floor: float) -> Units:
    """Units per group, shape (groups,), that add something and at least `floor`, or that their area's minimum needs."""
    missing = problem.min_units.copy()
    recommended = np.zeros_like(problem.max_units)
    for group, gain in zip(groups, added, strict=True):
        area = problem.area[group]
        needed = area >= 0 and missing[area] > 0
        if needed:
            missing[area] -= 1
        recommended[group] += (gain > 0 and gain >= floor) or needed
    return recommended


def _ranks(groups: list[int], number: int) -> Units:
    rank = np.zeros(number, dtype=np.int64)
    in_order = list(dict.fromkeys(groups))
    rank[in_order] = np.arange(1, len(in_order) + 1)
    return rank


def _groups(
    city: City,
    rules: PatrolRules,
    day: date,
    in_coverage: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.str_] | None,
    history: Mapping[date, npt.NDArray[np.bool_]],
) -> _Groups:
    usable = by_group(in_coverage, rules.group).any(axis=-1).ravel()
    is_resting = np.zeros_like(usable)
    if rules.repeats is not None:
        days = days_patrolled(history, day, rules.repeats.days - 1, city.shape)
        is_resting = usable & (by_group(days, rules.group).max(axis=-1).ravel() >= rules.repeats.most)
    area, names = areas_of_groups(areas, in_coverage, rules.group)
    return _Groups(
        reach=reach_matrix(city, rules.group, rules.radius_m),
        is_open=usable & ~is_resting,
        is_resting=is_resting,
        area=area,
        area_names=names,
    )


def days_patrolled(
    history: Mapping[date, npt.NDArray[np.bool_]], day: date, days: int, shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """On how many of the `days` days before `day` each cell was patrolled, shape (rows, columns)."""
    recent = [history[past] for back in range(1, days + 1) if (past := day - timedelta(days=back)) in history]
    return np.sum(recent, axis=0, dtype=np.int64) if recent else np.zeros(shape, dtype=np.int64)


def _check_arrays(
    city: City,
    rules: PatrolRules,
    day: date,
    expected: npt.NDArray[np.floating],
    in_coverage: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.str_] | None,
    history: Mapping[date, npt.NDArray[np.bool_]],
) -> None:
    if city.grid.rows % rules.group or city.grid.columns % rules.group:
        side, (rows, columns) = rules.group, city.shape
        problem = f"groups of {side} x {side} cells do not fill {rows} rows x {columns} columns"
        raise PatrolRulesError(city.name, day, "group", problem, "Choose a side that divides both.")
    for name, array, shape in (
        ("expected alerts", expected, (len(rules.shifts), *city.shape)),
        ("cells in coverage", in_coverage, city.shape),
        ("areas", areas, city.shape),
        *((f"cells patrolled on {past}", patrolled, city.shape) for past, patrolled in history.items()),
    ):
        if array is not None and array.shape != shape:
            raise ValueError(f"City {city.name}, {day}: the {name} have shape {array.shape}, the plan needs {shape}.")
    wrong = ~(np.isfinite(expected) & (expected >= 0)) & in_coverage
    if wrong.any():
        shift, row, column = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"City {city.name}, {day}: {int(wrong.sum())} expected alerts in covered cells are negative or no numbers, "
            f"the first in shift {rules.shifts[shift].name}, row {row}, column {column}. Make the forecast again."
        )


def _check_feasible(
    city: City, rules: PatrolRules, day: date, shift: Shift, problem: CoverProblem, groups: _Groups
) -> None:
    """Refuse rules that leave no room for the shift's units; the last rule that takes it away is the one named."""
    per_cell, refused = rules.most_units_per_cell, partial(PatrolRulesError, city.name, day)
    units = f"shift {shift.name} has {shift.units} units"
    if int(problem.min_units.sum()) > shift.units:
        wishes = f"{np.count_nonzero(problem.min_units)} areas want at least {problem.min_units.max()} each"
        raise refused("least_share_per_area", f"{units}, and {wishes}", "Lower the share or add units.")
    places = [("all areas", np.ones_like(groups.is_open), shift.units)]
    places += [
        (f"area {name}", groups.area == at, int(problem.min_units[at])) for at, name in enumerate(groups.area_names)
    ]
    for place, inside, wanted in places:
        room = int(groups.is_open[inside].sum()) * per_cell
        if room >= wanted:
            continue
        resting = int(groups.is_resting[inside].sum())
        if room + resting * per_cell >= wanted:
            cells = f"{resting} cells were patrolled as often as allowed and the others have room for {room}"
            remedy = "Allow more repeats, more units per cell or fewer units."
            raise refused("repeats", f"{units}, {wanted} of them for {place}, where {cells}", remedy)
        problem_there = f"{units}, {wanted} of them for {place}, where covered cells have room for {room}"
        raise refused("most_units_per_cell", problem_there, "Allow more units per cell or fewer units.")
