"""Policies that flag cells by their probabilities (the top, caps on repeats, lots), their sums by week, catch and burden."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.residents import Population
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.estimates import MIN_WEEKS_FOR_INTERVAL, draws_of_weeks
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT, flagged_cells, ranks_within_days
from shotspotter_assets.forecasts.patrol.lottery import capped_shares
from shotspotter_assets.grid.dates import YEAR_DAYS, weeks
from shotspotter_assets.storage.arrays import Array, Days, Integers
from shotspotter_assets.storage.catalogue import FRONTIER

OBSERVED: Final = "observed"  # days with an alert, as if these cells had been flagged
PLANS: Final = "plans"  # cells to which plans sent units
DRAWS: Final = 400
Sums = dict[str, Array]
"""Sums of one policy by cell, in each week or draw of weeks, shape (weeks, cells) or (1 + draws, cells): days covered, with
flags, with alerts, summed probabilities (expected), and hours of units. Draws follow the sums of all weeks."""
RATES: Final = {
    "flagged_days": ("flags", "covered", YEAR_DAYS),
    "unit_hours": ("hours", "covered", YEAR_DAYS),
    "calibration": ("expected", "alerts", 1.0),
}
"""Measures that are a factor times the ratio of two weighted sums."""
CAPS: Final = (Repeats(most=4, days=7), Repeats(most=2, days=7))
POWERS: Final = (4.0, 2.0, 1.5, 1.0)
TOP: Final = f"top {FLAGGED_PERCENT}%"


class Policy(NamedTuple):
    """Flags of one policy, or the chances of them, shape (days, cells), with what they were chosen by."""

    flags: Array  # NaN where it could not flag
    probability: Array | None = None
    hours: Array | None = None  # of units

    @property
    def days(self) -> int:
        """Number of days on which it could flag."""
        return int(np.isfinite(self.flags).any(axis=1).sum())


def policies_of(audited: AuditedDays, occupied: Array) -> dict[str, Policy]:
    """Return the policies of an audit by name: the top of each forecast, plans, and days with an alert (`occupied`)."""
    policies = {}
    for name, probability in audited.probability.items():
        flags = top_flags(probability, flags_per_day(probability))
        policies[name] = Policy(np.where(np.isfinite(probability), flags, np.nan), probability)
    is_covered = np.isfinite(audited.probability[SERVED])
    if audited.unit_hours is not None:
        is_planned = is_covered & np.isfinite(audited.unit_hours)
        policies[PLANS] = Policy(np.where(is_planned, audited.unit_hours > 0, np.nan), hours=audited.unit_hours)
    policies[OBSERVED] = Policy(np.where(is_covered, occupied, np.nan))
    return policies


def flags_per_day(probability: Array) -> Integers:
    """Return the number of flagged cells of each day, 0 without a forecast; probabilities are (days, cells)."""
    covered = np.isfinite(probability).sum(axis=1)
    return np.minimum(flagged_cells(covered, FLAGGED_PERCENT), covered).astype(np.int64)


def top_flags(probability: Array, number: Integers) -> Array:
    """Flag the likeliest cells of each day, `number` of them, shape (days, cells); tied cells share places, NaN has none."""
    is_covered = np.isfinite(probability)
    day = np.nonzero(is_covered)[0]
    flags = np.zeros(probability.shape)
    flags[is_covered] = ranks_within_days(probability[is_covered], day).top(number[day])
    return flags


def capped_flags(probability: Array, number: Integers, repeats: Repeats) -> Array:
    """Flag the likeliest cells, none more often than on `most` of `days` audited days."""
    flags = np.zeros(probability.shape)
    for day in range(len(probability)):
        recent = flags[max(day - repeats.days + 1, 0) : day].sum(axis=0)
        rested = np.where(recent <= repeats.most - 1, probability[day], np.nan)
        flags[day] = top_flags(rested[None], number[day : day + 1])[0]
    return flags


def lot_chances(probability: Array, number: Integers, power: float) -> Array:
    """Return the chance of each cell to be drawn, proportional to its probability to a power and at most 1.

    Chances of a day sum to `number`, so that means over draws are known exactly, without drawing. Shape (days, cells).
    """
    weights = np.nan_to_num(probability) ** power
    room = np.isfinite(probability).astype(np.int64)
    return np.array([capped_shares(weights[day], room[day], int(number[day])) for day in range(len(weights))])


def _sums_by_week(days: Days, policy: Policy, occupied: Array) -> Sums:
    """Return the sums of each calendar week, Monday to Sunday; `occupied` is 1 on days with an alert, (days, cells)."""
    is_covered = np.isfinite(policy.flags)
    flags = np.nan_to_num(policy.flags)
    layers = {
        "covered": np.ones(flags.shape),
        "flags": flags,
        "alerts": occupied,
        "expected": 0 * flags if policy.probability is None else policy.probability,
        "hours": 0 * flags if policy.hours is None else policy.hours,
    }
    starts = _starts_of_weeks(days)
    return {name: np.add.reduceat(np.where(is_covered, layer, 0.0), starts, axis=0) for name, layer in layers.items()}


def sums_of_draws(days: Days, policies: Mapping[str, Policy], occupied: Array) -> dict[str, Sums]:
    """Return the sums of each policy in all weeks and, unless there are too few, in draws of weeks, alike for all policies."""
    weeks = len(_starts_of_weeks(days))
    draws = draws_of_weeks(weeks, DRAWS if weeks >= MIN_WEEKS_FOR_INTERVAL else 0)
    times = np.vstack([np.ones((1, weeks)), draws])
    return {
        name: {layer: times @ weekly for layer, weekly in _sums_by_week(days, policy, occupied).items()}
        for name, policy in policies.items()
    }


def rate(sums: Sums, measure: str, weights: Array) -> Array:
    """Return one of `RATES` in all weeks and each draw, shape (1 + draws,); `weights` are (1 + draws, cells) or (1, cells)."""
    part, whole, factor = RATES[measure]
    return factor * ratio((weights * sums[part]).sum(axis=1), (weights * sums[whole]).sum(axis=1))


def ratio(part: Array, whole: Array) -> Array:
    """Return part over whole, NaN where the whole is not above zero; same shape."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def gini(values: Array) -> float:
    """Return the Gini coefficient of values that are not below zero, shape (n,); NaN if all are zero."""
    number = len(values)
    ranks = 2 * np.arange(1, number + 1) - number - 1
    return float(ranks @ np.sort(values) / (number * values.sum())) if values.sum() > 0 else float("nan")


def _starts_of_weeks(days: Days) -> Integers:
    """Return the indexes of the first day of each calendar week among sorted days."""
    number = weeks(days)
    return np.flatnonzero(np.diff(number, prepend=number[0] - 1))


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
