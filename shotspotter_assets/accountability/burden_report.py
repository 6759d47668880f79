"""A burden audit as record and tables, from audited days, areas and an audit layer, with the frontier of policies."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.account import NO_SENSORS
from shotspotter_assets.accountability.burden_audit import (
    CONCLUSION,
    MIN_RESIDENTS,
    BurdenAudit,
    Row,
    burden_row,
    calibration_rows,
    comparison_rows,
    comparisons,
    findings,
    pairs_of,
    population_rows,
    widest_pair,
)
from shotspotter_assets.accountability.policies import (
    DRAWS,
    PLANS,
    AuditedDays,
    Policy,
    capped_flags,
    flags_per_day,
    gini,
    lot_chances,
    policies_of,
    rate,
    sums_of_draws,
    top_flags,
)
from shotspotter_assets.accountability.residents import COVERED_CELLS, MIN_SHARE_OF_CELL, Population, Residents
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.storage.arrays import Array, Integers, Names
from shotspotter_assets.storage.catalogue import BURDEN, FRONTIER

CAPS: Final = (Repeats(most=4, days=7), Repeats(most=2, days=7))
POWERS: Final = (4.0, 2.0, 1.5, 1.0)
TOP: Final = f"top {FLAGGED_PERCENT}%"
MIN_CELLS: Final = 5  # of an area, where cells count alike
MIN_DAYS: Final = 28  # of a policy
MAX_YEARS_BEFORE: Final = 5  # of the layer's figures before the first audited day


class BurdenFiles(NamedTuple):
    """The record of an audit and its tables, `catalogue.BURDEN` and `catalogue.FRONTIER`."""

    audit: BurdenAudit
    burden: pa.Table
    frontier: pa.Table


def burden_files(
    city: City,
    audited: AuditedDays,
    areas: Names,
    residents: Residents | None,
    problems: Sequence[str] = (),
    visits: Sequence[str] = (),
) -> BurdenFiles:
    """Return the audit of some days, by areas (the name of each cell's area, "" for none, (rows, columns)) and residents.

    Without `residents`, cells count alike; `problems` are lines about layers that could not be used, `visits`
    sentences about their effect.
    """
    everyone, *parts = _populations(audited, areas.ravel(), residents)
    reasons = [_why_left_out(city, one, residents) for one in parts]
    measured = [everyone, *(one for one, reason in zip(parts, reasons, strict=True) if not reason)]
    occupied = (audited.alerts > 0).astype(np.float64)
    policies = policies_of(audited, occupied)
    usable = {name: policy for name, policy in policies.items() if policy.days >= MIN_DAYS}
    sums = sums_of_draws(audited.days, usable, occupied)
    pairs = pairs_of(measured, sums[SERVED]) if sums else []
    compared = list(comparisons(pairs, sums))
    left_out: list[Row] = [
        burden_row("flagged_days", one.kind, one.name, "", None, reason)
        for one, reason in zip(parts, reasons, strict=True)
        if reason
    ]
    for name in policies.keys() - usable.keys():
        reason = f"{policies[name].days} days; at least {MIN_DAYS} are needed"
        left_out.append(burden_row("flagged_days", "city", everyone.name, name, None, reason))
    rows = [
        *chain.from_iterable(population_rows(one, sums) for one in measured),
        *chain.from_iterable(calibration_rows(one, everyone, sums) for one in measured if one.kind == "group"),
        *chain.from_iterable(comparison_rows(one) for one in compared),
        *left_out,
    ]
    frontier = frontier_table(
        audited, policies, measured, widest_pair(pairs, compared), city.patrol.repeats if city.patrol else None
    )
    unit = "cell" if residents is None else "resident"
    audit = BurdenAudit(
        city=city.name,
        first=audited.days[0].astype(object),
        last=audited.days[-1].astype(object),
        days=len(audited.days),
        unit=unit,
        comparisons=tuple(sorted(compared, key=lambda one: one.policy != SERVED)),
        sentences=tuple(findings(compared, rows, unit, city.event)),
        conclusion=CONCLUSION.format(event=city.event),
        visits=tuple(visits),
        left_out=(
            *problems,
            *_problems(city, residents, audited),
            *(
                f"Left out: {row['policy'] or ' '.join((row['kind'], row['group']))}: {row['left_out']}."
                for row in left_out
            ),
        ),
    )
    return BurdenFiles(audit, pa.Table.from_pylist(rows, BURDEN.schema), frontier)


def _populations(audited: AuditedDays, areas: Names, residents: Residents | None) -> Iterator[Population]:
    """Yield all residents or cells, then areas, groups and incomes; `areas` names the area of each cell of the grid."""
    of_cells = areas[audited.cells]
    everyone = Population("city", COVERED_CELLS, np.ones((1, len(of_cells))), np.ones((1, len(of_cells))))
    groups: list[Population] = []
    if residents is not None:
        everyone, *groups = residents.populations(audited.cells, np.random.default_rng(0), DRAWS)
    yield everyone
    for name in sorted(set(areas.tolist()) - {""}):
        part = (of_cells == name)[None].astype(np.float64)
        yield Population("area", name, everyone.residents * part, part)
    yield from groups


def _why_left_out(city: City, population: Population, residents: Residents | None) -> str:
    """Return why a population is not measured: it has no sensors, or too few residents or cells; "" for one that is."""
    if not population.part.any():
        return NO_SENSORS if city.is_of_gunfire else "no covered cell"
    number = population.residents[0].sum()
    least, noun = (MIN_CELLS, "covered cells") if residents is None else (MIN_RESIDENTS, "residents in covered cells")
    return f"{number:,.0f} {noun}; at least {least:,} are needed" if number < least else ""


def _problems(city: City, residents: Residents | None, audited: AuditedDays) -> Iterator[str]:
    """Yield lines about an audit layer that does not fit the audited days and cells."""
    if residents is None or city.audit is None:
        return
    yield from residents.problems
    place = f"{city.name}.yaml, audit: {city.audit.path.name}"
    outside = int((residents.cover[audited.cells] < MIN_SHARE_OF_CELL).sum())
    if outside:
        yield (
            f"{place}: {outside:,} of {len(audited.cells):,} covered cells lie mostly outside its polygons, so that their "
            "flags fall on few residents or none. Use a layer of the whole city."
        )
    first = audited.days[0].astype(object).year
    if first - city.audit.year > MAX_YEARS_BEFORE:
        yield (
            f"{place}: the figures are of {city.audit.year}, and the first audited day is in {first}. Use figures of at most "
            f"{MAX_YEARS_BEFORE} years before, and correct `audit.year`."
        )


def frontier_table(
    audited: AuditedDays,
    policies: Mapping[str, Policy],
    populations: Sequence[Population],
    pair: tuple[Population, Population] | None,
    repeats: Repeats | None,
) -> pa.Table:
    """Return a row of `catalogue.FRONTIER` for each policy; `repeats` is the cap of the city's plans, if any.

    `policies` has the plans, if any, and `pair` are the populations to compare. Lots are not drawn: their chances give the
    exact means over all draws. Residents are as counted.
    """
    rows = [
        _frontier_row(name, policy, audited.alerts, populations, pair)
        for name, policy in _frontier_policies(audited.probability[SERVED], policies.get(PLANS), repeats)
    ]
    return pa.Table.from_pylist(rows, FRONTIER.schema)


def _frontier_policies(
    probability: Array, plans: Policy | None, repeats: Repeats | None
) -> Iterator[tuple[str, Policy]]:
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


def _frontier_row(
    name: str,
    policy: Policy,
    alerts: Integers,
    populations: Sequence[Population],
    pair: tuple[Population, Population] | None,
) -> dict[str, Any]:
    """Return the row of one policy; `alerts` have shape (days, cells)."""
    is_covered = np.isfinite(policy.flags)
    flags = np.nan_to_num(policy.flags)
    counted = np.where(is_covered, alerts, 0)
    sums = {"flags": flags.sum(axis=0, keepdims=True), "covered": is_covered.sum(axis=0, keepdims=True)}

    def days(one: Population) -> float:
        return float(rate(sums, "flagged_days", one.residents[:1])[0])

    by_area = np.array([days(one) for one in populations if one.kind == "area"])
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
    more, fewer = map(days, pair)
    return row | {
        "first": pair[0].name,
        "second": pair[1].name,
        "first_days": more,
        "second_days": fewer,
        "difference": more - fewer,
    }
