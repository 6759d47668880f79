"""Catch and burden of policies on past days: the top, caps on repeats, lots with known chances, and plans as shipped."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.policies import (
    PLANS,
    Policy,
    capped_flags,
    flags_per_day,
    gini,
    lot_chances,
    rate,
    top_flags,
)
from shotspotter_assets.accountability.residents import Population
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import FRONTIER

CAPS: Final = (Repeats(most=4, days=7), Repeats(most=2, days=7))
POWERS: Final = (4.0, 2.0, 1.5, 1.0)
TOP: Final = f"top {FLAGGED_PERCENT}%"


def frontier_table(
    audited: AuditedDays,
    policies: Mapping[str, Policy],
    populations: Sequence[Population],
    pair: tuple[str, str] | None,
    repeats: Repeats | None,
) -> pa.Table:
    """Return a row of `catalogue.FRONTIER` for each policy; `repeats` is the cap of the city's plans, if any.

    `policies` has the plans, if any, and `pair` names the groups to compare. Lots are not drawn: their chances give the
    exact means over all draws. Residents are as counted.
    """
    rows = [
        _row(name, policy, audited.alerts, populations, pair)
        for name, policy in _policies(audited.probability[SERVED], policies.get(PLANS), repeats)
    ]
    return pa.Table.from_pylist(rows, FRONTIER.schema)


def _policies(probability: Array, plans: Policy | None, repeats: Repeats | None) -> Iterator[tuple[str, Policy]]:
    """Yield each policy with its name in words."""
    number = flags_per_day(probability)

    def policy(flags: Array) -> Policy:
        return Policy(np.where(np.isfinite(probability), flags, np.nan))

    yield TOP, policy(top_flags(probability, number))
    for cap in dict.fromkeys((*CAPS, *([] if repeats is None else [repeats]))):
        shipped = " (city's file)" if cap == repeats else ""
        yield (
            f"{TOP}, a cell at most {cap.most} of {cap.days} days{shipped}",
            policy(capped_flags(probability, number, cap)),
        )
    for power in POWERS:
        yield f"by lot, likelier with more risk (power {power:g})", policy(lot_chances(probability, number, power))
    if plans is not None:
        yield PLANS, plans


def _row(
    name: str, policy: Policy, alerts: Integers, populations: Sequence[Population], pair: tuple[str, str] | None
) -> dict[str, Any]:
    """Return the row of one policy; `alerts` have shape (days, cells)."""
    is_covered = np.isfinite(policy.flags)
    flags = np.nan_to_num(policy.flags)
    counted = np.where(is_covered, alerts, 0)
    sums = {"flags": flags.sum(axis=0, keepdims=True), "covered": is_covered.sum(axis=0, keepdims=True)}
    days = {one.name: float(rate(sums, "flagged_days", one.residents[:1])[0]) for one in populations}
    by_area = np.array([days[one.name] for one in populations if one.kind == "area"])
    spread = gini(by_area[np.isfinite(by_area)])
    row = {
        "policy": name,
        "days": policy.days,
        "flags": float(flags.sum() / policy.days),
        "alerts_caught": float((flags * counted).sum() / counted.sum()) if counted.any() else None,
        "cells_caught": float(flags[counted > 0].sum() / (counted > 0).sum()) if counted.any() else None,
        "gini": spread if np.isfinite(spread) else None,
    }
    if pair is None:
        return row
    more, fewer = (days[group] for group in pair)
    return row | {
        "first": pair[0],
        "second": pair[1],
        "first_days": more,
        "second_days": fewer,
        "difference": more - fewer,
    }


def frontier_picture(table: pa.Table) -> bytes:
    """Draw the share of cells with an alert that each policy catches against its burden, as PNG bytes."""
    from shotspotter_assets.evaluation.plots import COLOURS, as_png, new_figure

    rows = table.to_pylist()
    has_groups = rows[0]["first"] is not None
    measure = "difference" if has_groups else "gini"
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    for row in rows:
        if row[measure] is not None and row["cells_caught"] is not None:
            point = (row[measure], 100 * row["cells_caught"])
            axes.scatter([point[0]], [point[1]], color=COLOURS["lot" in row["policy"]])
            axes.annotate(row["policy"], point, textcoords="offset points", xytext=(6, -3), fontsize=8)
    difference = f"flagged days a year: {rows[0]['first']} less {rows[0]['second']}"
    axes.set_xlabel(difference if has_groups else "Gini coefficient of flagged days over areas")
    axes.set_ylabel("cells with an alert that are caught (%)")
    axes.margins(x=0.5)
    return as_png(figure)
