"""Catch and burden of policies on past days: the top, caps on repeats, lots with known chances, and plans as shipped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.policies import (
    FLAGGED_SHARE,
    PLANS,
    Policy,
    capped_flags,
    flags_per_day,
    lot_chances,
    policies_of,
)
from shotspotter_assets.accountability.policy_sums import PolicySums, gini, ratio
from shotspotter_assets.accountability.residents import Population
from shotspotter_assets.arrays import Array
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.catalogue import FRONTIER

CAPS: Final = (Repeats(most=4, days=7), Repeats(most=2, days=7))
POWERS: Final = (4.0, 2.0, 1.5, 1.0)
TOP: Final = f"top {FLAGGED_SHARE:.0%}"


@dataclass(frozen=True)
class Burdened:
    """Populations by which the burden of a policy is measured."""

    everyone: Population
    areas: Sequence[Population]
    pair: tuple[Population, Population] | None  # both groups that are compared; None without groups
    prior: float  # residents with the mean exposure that shrink the ratio
    per: float  # residents, or cells, to which flagged cell-days without an alert refer


def frontier_table(audited: AuditedDays, burdened: Burdened, repeats: Repeats | None) -> pa.Table:
    """Return a row of `catalogue.FRONTIER` for each policy; `repeats` is the cap of the city's plans, if any.

    Lots are not drawn: their chances give the exact means over all draws.
    """
    occupied = (audited.alerts > 0).astype(np.float64)
    rows = [_row(audited, burdened, occupied, name, policy) for name, policy in _policies(audited, occupied, repeats)]
    return pa.Table.from_pylist(rows, FRONTIER.schema)


def _policies(audited: AuditedDays, occupied: Array, repeats: Repeats | None) -> Iterator[tuple[str, Policy]]:
    """Yield each policy with its name in words."""
    probability = audited.probability[SERVED]
    number = flags_per_day(probability)
    is_covered = np.isfinite(probability)
    policies = policies_of(audited, occupied)
    yield TOP, policies[SERVED]
    for cap in dict.fromkeys((*CAPS, *([] if repeats is None else [repeats]))):
        flags = capped_flags(probability, number, cap)
        shipped = ", as in the city's file" if cap == repeats else ""
        yield (
            f"{TOP}, a cell at most {cap.most} of {cap.days} days{shipped}",
            Policy(np.where(is_covered, flags, np.nan)),
        )
    for power in POWERS:
        chances = lot_chances(probability, number, power)
        yield f"by lot, chance as p^{power:g}", Policy(np.where(is_covered, chances, np.nan))
    if PLANS in policies and policies[PLANS].days:
        yield PLANS, policies[PLANS]


def _row(audited: AuditedDays, burdened: Burdened, occupied: Array, name: str, policy: Policy) -> dict[str, Any]:
    """Return one row of the table."""
    weekly = PolicySums.weekly(audited.days, policy, occupied)
    sums = weekly.drawn(np.ones((1, len(weekly.flags))))
    days = np.isfinite(policy.flags)
    alerts = np.where(days, audited.alerts, 0)
    caught = ratio(np.array([(np.nan_to_num(policy.flags) * alerts).sum()]), np.array([alerts.sum()]))
    by_area = np.array([sums.flagged_days(area.residents[:1])[0] for area in burdened.areas])
    row = {
        "policy": name,
        "days": policy.days,
        "flags": float(sums.flags.sum() / policy.days),
        "alerts_caught": _number(caught),
        "cells_caught": _number(1 - sums.missed(np.ones((1, occupied.shape[1])))),
        "without_alert": _number(sums.without_alert(burdened.everyone.part, burdened.per)),
        "gini": gini(by_area[np.isfinite(by_area)]),
    }
    return row if burdened.pair is None else row | _difference(sums, burdened)


def _difference(sums: PolicySums, burdened: Burdened) -> dict[str, Any]:
    """Return the columns about both groups."""
    assert burdened.pair is not None
    mean = sums.flagged_days(burdened.everyone.residents[:1])
    days = [sums.flagged_days(group.residents[:1]) for group in burdened.pair]
    numbers = [group.residents[0].sum() for group in burdened.pair]
    shrunk = [
        (number * value + burdened.prior * mean) / (number + burdened.prior)
        for number, value in zip(numbers, days, strict=True)
    ]
    first, second = burdened.pair
    return {
        "first": first.name,
        "second": second.name,
        "first_days": _number(days[0]),
        "second_days": _number(days[1]),
        "difference": _number(days[0] - days[1]),
        "ratio": _number(ratio(shrunk[0], shrunk[1])),
    }


def _number(values: Array) -> float | None:
    """Return the first value; None for NaN."""
    return float(values[0]) if np.isfinite(values[0]) else None


def frontier_picture(table: pa.Table) -> bytes:
    """Draw the share of cells with an alert that each policy catches against its burden, as PNG bytes."""
    from shotspotter_assets.evaluation.plots import COLOURS, as_png, new_figure

    rows = [row for row in table.to_pylist() if row["cells_caught"] is not None]
    has_groups = any(row["difference"] is not None for row in rows)
    measure = "difference" if has_groups else "gini"
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    for row in rows:
        if row[measure] is not None:
            burden = row[measure]
            caught = 100 * row["cells_caught"]
            colour = COLOURS[1] if row["policy"].startswith("by lot") else COLOURS[0]
            axes.plot(burden, caught, "o", color=colour)
            axes.annotate(row["policy"], (burden, caught), textcoords="offset points", xytext=(6, -3), fontsize=8)
    words = (
        f"flagged days a year: {rows[0]['first']} less {rows[0]['second']}"
        if has_groups
        else "Gini coefficient over areas"
    )
    axes.set_xlabel(words)
    axes.set_ylabel("cells with an alert that are caught (%)")
    axes.margins(x=0.3)
    return as_png(figure)
