"""Catch and burden of policies on past days: the top, caps on repeats, lots with known chances, and plans as shipped."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.burden_measures import BurdenMeasures
from shotspotter_assets.accountability.policies import (
    FLAGGED_SHARE,
    PLANS,
    Policy,
    capped_flags,
    flags_per_day,
    gini,
    lot_chances,
    top_flags,
    weekly_sums,
)
from shotspotter_assets.accountability.residents import Population
from shotspotter_assets.arrays import Array, Booleans
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.catalogue import FRONTIER

CAPS: Final = (Repeats(most=4, days=7), Repeats(most=2, days=7))
POWERS: Final = (4.0, 2.0, 1.5, 1.0)
TOP: Final = f"top {FLAGGED_SHARE:.0%}"


def frontier_table(
    audited: AuditedDays, measures: BurdenMeasures, populations: Sequence[Population], repeats: Repeats | None
) -> pa.Table:
    """Return a row of `catalogue.FRONTIER` for each policy; `repeats` is the cap of the city's plans, if any.

    Lots are not drawn: their chances give the exact means over all draws. Residents are as counted.
    """
    counted = [one._replace(residents=one.residents[:1]) for one in populations]
    pair = measures.widest_pair()
    rows = []
    for name, policy in _policies(audited, measures, repeats):
        weekly = weekly_sums(audited.days, policy, measures.occupied)
        sums = {layer: values.sum(axis=0, keepdims=True) for layer, values in weekly.items()}
        of_policy = BurdenMeasures({name: policy}, {name: sums}, measures.occupied, counted[0])
        of_policy.add(counted[0])
        for population in counted[1:]:
            if population.residents.sum() >= of_policy.least:
                of_policy.expose(population.name, population.residents)
        rows.append(_row(audited, name, of_policy, [one.name for one in counted if one.kind == "area"], pair))
    return pa.Table.from_pylist(rows, FRONTIER.schema)


def _policies(audited: AuditedDays, measures: BurdenMeasures, repeats: Repeats | None) -> Iterator[tuple[str, Policy]]:
    """Yield each policy with its name in words."""
    probability = audited.probability[SERVED]
    number = flags_per_day(probability)

    def policy(flags: Array | Booleans) -> Policy:
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
    if PLANS in measures.policies:
        yield PLANS, measures.policies[PLANS]


def _row(
    audited: AuditedDays, name: str, measures: BurdenMeasures, areas: Sequence[str], pair: tuple[str, str] | None
) -> dict[str, Any]:
    """Return the row of one policy, whose measures are given."""
    policy = measures.policies[name]
    values = {row["measure"]: row["value"] for row in reversed(measures.rows) if row["group"] == measures.everyone.name}
    alerts = np.where(np.isfinite(policy.flags), audited.alerts, 0)
    caught = float((np.nan_to_num(policy.flags) * alerts).sum())
    by_area = np.array([measures.exposures[area, name][0][0] for area in areas if (area, name) in measures.exposures])
    spread = gini(by_area[np.isfinite(by_area)])
    row = {
        "policy": name,
        "days": policy.days,
        "flags": float(np.nansum(policy.flags) / policy.days),
        "alerts_caught": caught / float(alerts.sum()) if alerts.any() else None,
        "cells_caught": None if values["missed"] is None else 1 - values["missed"],
        "without_alert": values["without_alert"],
        "gini": spread if np.isfinite(spread) else None,
    }
    if pair is None:
        return row
    first, second = (measures.exposures[group, name] for group in pair)
    return row | {
        "first": pair[0],
        "second": pair[1],
        "first_days": float(first[0][0]),
        "second_days": float(second[0][0]),
        "difference": float(first[0][0] - second[0][0]),
        "ratio": float(first[1][0] / second[1][0]),
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
