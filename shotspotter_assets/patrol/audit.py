"""What a patrol plan does to a city, in numbers: units by area, repeats of cells, gain over the hottest cells."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.patrol.cover import covered_alerts
from shotspotter_assets.patrol.plan import DayPlan, cell_days
from shotspotter_assets.patrol.reach import areas_of_groups, by_group, group_name, reach_matrix

_NAMED_REPEATS: Final = 10


def patrol_audit(
    plan: DayPlan,
    city: City,
    expected: npt.NDArray[np.floating],
    covered: npt.NDArray[np.bool_],
    *,
    areas: npt.NDArray[np.str_] | None = None,
    history: Mapping[date, npt.NDArray[np.bool_]] | None = None,
    days: int = 7,
) -> dict[str, Any]:
    """Audit numbers of a plan, ready for JSON; arguments as of `plan_day`.

    The naive plan sends one unit to each of the cells (groups) that expect most alerts of their own, whatever a unit
    reaches beyond them and whatever the rules say; so a plan under strict rules may cover less than it.

    Returns:
        "areas": by name, units, their share, and the share of expected alerts ("" stands for cells in no area);
        "repeats": most days of one cell among the last `days` (the plan's day included), cells (groups) of this plan,
        how many of them had units before, and which were patrolled most often;
        "shifts": expected alerts covered, those that the naive plan covers and their ratio (null where that is 0),
        the value of one more unit, how the plan was found.
    """
    if city.patrol is None:
        raise ValueError(f"City {city.name} has no patrol rules: give its file a section patrol.")
    alerts = np.where(covered, expected, 0.0).astype(np.float64)
    own = by_group(alerts, plan.group).sum(axis=-1).reshape(len(plan.shifts), -1)
    reach = reach_matrix(city, plan.group, city.patrol.radius_m)
    usable = np.flatnonzero(by_group(covered, plan.group).any(axis=-1))
    shifts = []
    for at, shift in enumerate(plan.shifts):
        hottest = usable[np.argsort(-own[at][usable], kind="stable")]
        sent = np.resize(hottest, int(shift.units.sum()) if len(hottest) else 0)
        units = np.bincount(sent, minlength=shift.units.size).astype(np.int64)
        naive = covered_alerts(alerts[at].ravel(), reach, city.patrol.shares, units)
        shifts.append(
            {
                "shift": shift.shift.name,
                "units": int(shift.units.sum()),
                "recommended_units": int(shift.recommended.sum()),
                "expected_alerts": shift.total,
                "covered": shift.covered,
                "naive": naive,
                "over_naive": shift.covered / naive if naive else None,
                "one_more_unit": shift.one_more,
                "method": shift.method,
                "gap": shift.gap,
                "greedy_ratio": shift.greedy_ratio,
            }
        )
    return {
        "day": plan.day.isoformat(),
        "areas": _areas(plan, own.sum(axis=0), areas_of_groups(areas, covered, plan.group)),
        "repeats": _repeats(plan, history or {}, days, city.shape),
        "shifts": shifts,
    }


def _areas(
    plan: DayPlan, alerts: npt.NDArray[np.float64], of_groups: tuple[npt.NDArray[np.int64], list[str]]
) -> dict[str, dict[str, float]]:
    area, names = of_groups
    units = np.sum([shift.units for shift in plan.shifts], axis=0).ravel()
    in_area = np.bincount(area + 1, units, minlength=len(names) + 1)
    expected = np.bincount(area + 1, alerts, minlength=len(names) + 1)
    return {
        name: {
            "units": int(in_area[at]),
            "share_of_units": float(in_area[at] / max(in_area.sum(), 1)),
            "share_of_expected_alerts": float(expected[at] / expected.sum()) if expected.any() else 0.0,
        }
        for at, name in enumerate(["", *names])
        if name or in_area[at] or expected[at]
    }


def _repeats(
    plan: DayPlan, history: Mapping[date, npt.NDArray[np.bool_]], days: int, shape: tuple[int, int]
) -> dict[str, Any]:
    before = cell_days(history, plan.day, days - 1, shape)
    times = by_group(before + plan.patrolled, plan.group).max(axis=-1)
    sent = plan.patrolled[:: plan.group, :: plan.group]
    row, column = np.nonzero(sent)
    often = sorted(zip((-times[sent]).tolist(), row.tolist(), column.tolist(), strict=True))[:_NAMED_REPEATS]
    return {
        "days": days,
        "most": int((before + plan.patrolled).max(initial=0)),
        "patrolled": int(sent.sum()),
        "patrolled_before": int((times[sent] > 1).sum()),
        "most_often": [
            {"cell": group_name(r * plan.group, c * plan.group, plan.group), "days": -days_} for days_, r, c in often
        ],
    }
