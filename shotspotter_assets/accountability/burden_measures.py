"""Measures of burden of areas, groups and incomes by policy, as rows of `catalogue.BURDEN`, and their comparisons."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from shotspotter_assets.accountability.burden_audit import MIN_FLAGGED_DAYS, TOO_FEW_FLAGS, Comparison, Estimate
from shotspotter_assets.accountability.policies import OBSERVED, PLANS, Sums, rate, ratio
from shotspotter_assets.accountability.residents import QUARTERS, Population
from shotspotter_assets.evaluation.forecasts_table import SERVED

Row = dict[str, Any]
UNDEFINED: Final = "undefined, because nothing was counted there"


def population_rows(population: Population, policies: Mapping[str, Sums]) -> Iterator[Row]:
    """Yield the residents of one population, and its flagged days, share of the flags and hours of units by policy."""
    kind, name, residents, part = population
    yield burden_row("residents", kind, name, "", Estimate.of(residents.sum(axis=1)))
    for policy, sums in policies.items():
        yield burden_row("flagged_days", kind, name, policy, Estimate.of(rate(sums, "flagged_days", residents)))
        share = ratio((part * sums["flags"]).sum(axis=1), sums["flags"].sum(axis=1))
        yield burden_row("share", kind, name, policy, Estimate.of(share))
        if policy == PLANS:
            yield burden_row("unit_hours", kind, name, policy, Estimate.of(rate(sums, "unit_hours", residents)))


def calibration_rows(group: Population, everyone: Population, policies: Mapping[str, Sums]) -> Iterator[Row]:
    """Yield the calibration of forecasts in quarters of the cells with residents, by a group's share of these."""
    share = group.part[0]
    is_inhabited = everyone.residents[0] > 0
    quarter = np.searchsorted(np.quantile(share[is_inhabited], [0.25, 0.5, 0.75]), share)
    for number, title in enumerate(QUARTERS):
        cells = (is_inhabited & (quarter == number)).astype(np.float64)[None]
        for policy, sums in policies.items():
            if policy not in (OBSERVED, PLANS):
                predicted = Estimate.of(rate(sums, "calibration", cells))
                yield burden_row("calibration", "quarter", f"{title} share of {group.name}", policy, predicted)


def comparisons(populations: Sequence[Population], policies: Mapping[str, Sums]) -> Iterator[Comparison]:
    """Compare each area with all others, each two groups, and the lowest with the highest incomes, by policy.

    The city comes first among the populations. The first of a pair is the one that the served forecast flags more.
    """
    everyone = populations[0]
    areas = [one for one in populations if one.kind == "area"]
    outside = [
        Population("area", f"outside {one.name}", everyone.residents - one.residents, everyone.part - one.part)
        for one in areas
    ]
    incomes = [one for one in populations if one.name in (f"{QUARTERS[0]} incomes", f"{QUARTERS[-1]} incomes")]
    groups = combinations([one for one in populations if one.kind == "group"], 2)
    for pair in (*zip(areas, outside, strict=True), *groups, *combinations(incomes, 2)):
        first, second = sorted(pair, key=lambda one: -rate(policies[SERVED], "flagged_days", one.residents)[0])
        for policy, sums in policies.items():
            days = [rate(sums, "flagged_days", one.residents) for one in (first, second)]
            difference = Estimate.of(days[0] - days[1])
            if difference is not None:
                fewest = min(float((one.part * sums["flags"][:1]).sum()) for one in (first, second))
                yield Comparison(
                    kind=first.kind,
                    policy=policy,
                    first=first.name,
                    second=second.name,
                    exposure=(float(days[0][0]), float(days[1][0])),
                    difference=difference,
                    ratio=Estimate.of(ratio(days[0], days[1])) if fewest >= MIN_FLAGGED_DAYS else None,
                )


def comparison_rows(pair: Comparison) -> Iterator[Row]:
    """Yield the difference and the ratio of a comparison."""
    yield burden_row("difference", pair.kind, pair.name, pair.policy, pair.difference)
    yield burden_row("ratio", pair.kind, pair.name, pair.policy, pair.ratio, reason=TOO_FEW_FLAGS)


def burden_row(
    measure: str, kind: str, group: str, policy: str, estimate: Estimate | None, reason: str = UNDEFINED
) -> Row:
    """Return a row of `catalogue.BURDEN`; without an estimate, it gives the reason."""
    row = {"measure": measure, "kind": kind, "group": group, "policy": policy}
    return row | ({"left_out": reason} if estimate is None else estimate.model_dump())


def widest_pair(compared: Sequence[Comparison]) -> tuple[str, str] | None:
    """Return the groups that the served forecast flags most unequally, the first one more; None without groups."""
    served = [one for one in compared if (one.policy, one.kind) == (SERVED, "group")]
    if not served:
        return None
    widest = max(served, key=lambda one: one.difference.value)
    return widest.first, widest.second
