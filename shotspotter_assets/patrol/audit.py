"""What a patrol plan does to a city, in numbers: units by area, repeats of cells, gain over the hottest cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_name
from shotspotter_assets.patrol.cover import reached_alerts
from shotspotter_assets.patrol.plan import DayPlan, days_patrolled
from shotspotter_assets.patrol.reach import areas_of_groups, by_group, reach_matrix

REPEATS_DAYS: Final = 7
MAX_NAMED_REPEATS: Final = 10


@dataclass(frozen=True)
class AreaAudit:
    """Units of all shifts in one area."""

    units: int
    share_of_units: float
    share_of_expected_alerts: float


@dataclass(frozen=True)
class CellRepeats:
    """On how many of the last days a cell (group) got units."""

    cell: str
    days: int


@dataclass(frozen=True)
class RepeatsAudit:
    """Cells (groups) that get units day after day.

    Attributes:
        days: looked back over, the plan's own included.
        most: days of the cell that was patrolled most often.
        patrolled: cells of this plan.
        patrolled_before: those of them that had units before.
        most_often: those of them with the most days.
    """

    days: int
    most: int
    patrolled: int
    patrolled_before: int
    most_often: list[CellRepeats]


@dataclass(frozen=True)
class ShiftAudit:
    """What a shift's plan reaches, beside the naive plan.

    The naive plan sends one unit to each of the cells (groups) that expect most alerts of their own, whatever a unit
    reaches beyond them and whatever the rules say; so a plan under strict rules may reach less than it.

    Attributes:
        covered: expected alerts that the plan reaches, and `naive` those that the naive plan reaches.
        over_naive: their ratio; None where the naive plan reaches none.
        one_more_unit: see `ShiftPlan.one_more`; `method`, `gap` and `greedy_ratio` are those of the plan too.
    """

    shift: str
    units: int
    recommended_units: int
    expected_alerts: float
    covered: float
    naive: float
    over_naive: float | None
    one_more_unit: float
    method: str
    gap: float | None
    greedy_ratio: float


@dataclass(frozen=True)
class PatrolAudit:
    """Audit numbers of a day's plan, stored as `audit.json`; the area "" stands for cells in no area."""

    day: str
    areas: dict[str, AreaAudit]
    repeats: RepeatsAudit
    shifts: list[ShiftAudit]


def patrol_audit(
    plan: DayPlan,
    city: City,
    expected: npt.NDArray[np.floating],
    in_coverage: npt.NDArray[np.bool_],
    *,
    areas: npt.NDArray[np.str_] | None = None,
    history: Mapping[date, npt.NDArray[np.bool_]] | None = None,
) -> PatrolAudit:
    """The audit of a plan; arguments as of `plan_day`."""
    if city.patrol is None:
        raise ValueError(f"City {city.name} has no patrol rules: give its file a section patrol.")
    alerts = np.where(in_coverage, expected, 0.0).astype(np.float64)
    group_alerts = by_group(alerts, plan.group).sum(axis=-1).reshape(len(plan.shifts), -1)
    reach = reach_matrix(city, plan.group, city.patrol.radius_m)
    usable = np.flatnonzero(by_group(in_coverage, plan.group).any(axis=-1))
    shifts = []
    for at, shift in enumerate(plan.shifts):
        hottest = usable[np.argsort(-group_alerts[at][usable], kind="stable")]
        sent = np.resize(hottest, int(shift.units.sum()) if len(hottest) else 0)
        units = np.bincount(sent, minlength=shift.units.size).astype(np.int64)
        naive = reached_alerts(alerts[at].ravel(), reach, city.patrol.shares, units)
        shifts.append(
            ShiftAudit(
                shift=shift.shift.name,
                units=int(shift.units.sum()),
                recommended_units=int(shift.recommended.sum()),
                expected_alerts=shift.total,
                covered=shift.reached,
                naive=naive,
                over_naive=shift.reached / naive if naive else None,
                one_more_unit=shift.one_more,
                method=shift.method,
                gap=shift.gap,
                greedy_ratio=shift.greedy_ratio,
            )
        )
    return PatrolAudit(
        day=plan.day.isoformat(),
        areas=_areas(plan, group_alerts.sum(axis=0), *areas_of_groups(areas, in_coverage, plan.group)),
        repeats=_repeats(plan, history or {}, city.shape),
        shifts=shifts,
    )


def _areas(
    plan: DayPlan, alerts: npt.NDArray[np.float64], area: npt.NDArray[np.int64], names: list[str]
) -> dict[str, AreaAudit]:
    units = np.bincount(area + 1, plan.units.ravel(), minlength=len(names) + 1)
    expected = np.bincount(area + 1, alerts, minlength=len(names) + 1)
    return {
        name: AreaAudit(
            units=int(units[at]),
            share_of_units=float(units[at] / max(units.sum(), 1)),
            share_of_expected_alerts=float(expected[at] / expected.sum()) if expected.any() else 0.0,
        )
        for at, name in enumerate(["", *names])
        if name or units[at] or expected[at]
    }


def _repeats(plan: DayPlan, history: Mapping[date, npt.NDArray[np.bool_]], shape: tuple[int, int]) -> RepeatsAudit:
    cell_days = days_patrolled(history, plan.day, REPEATS_DAYS - 1, shape) + plan.patrolled
    group_days = by_group(cell_days, plan.group).max(axis=-1)
    sent = plan.patrolled[:: plan.group, :: plan.group]
    row, column = np.nonzero(sent)
    ranked = sorted(zip((-group_days[sent]).tolist(), row.tolist(), column.tolist(), strict=True))
    return RepeatsAudit(
        days=REPEATS_DAYS,
        most=int(cell_days.max(initial=0)),
        patrolled=int(sent.sum()),
        patrolled_before=int((group_days[sent] > 1).sum()),
        most_often=[
            CellRepeats(cell_name(row * plan.group, column * plan.group, plan.group), -minus_days)
            for minus_days, row, column in ranked[:MAX_NAMED_REPEATS]
        ],
    )
