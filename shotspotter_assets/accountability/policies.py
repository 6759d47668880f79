"""Policies that flag cells by their probabilities: the top, caps on repeats, and lots with known chances."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.arrays import Array, Booleans, Integers
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.forecasts_table import SERVED

FLAGGED_SHARE: Final = 0.05  # share of the covered cells that are flagged each day: those with the highest probability
OBSERVED: Final = "observed"  # days with an alert, as if these cells had been flagged
PLANS: Final = "plans"  # cells to which plans sent units


@dataclass(frozen=True)
class Policy:
    """Flags of one policy or the chances of them, shape (days, cells), with what they were chosen by."""

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
    return np.minimum(np.maximum((covered * FLAGGED_SHARE).astype(np.int64), 1), covered)


def top_flags(probability: Array, number: Integers) -> Booleans:
    """Flag the likeliest cells of each day, `number` of them, shape (days, cells); NaN is never flagged."""
    order = np.argsort(np.where(np.isfinite(probability), -probability, np.inf), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return (ranks < number[:, None]) & np.isfinite(probability)


def capped_flags(probability: Array, number: Integers, repeats: Repeats) -> Booleans:
    """Flag the likeliest cells that were flagged on fewer than `most` of the audited days before, within `days`."""
    flags = np.zeros(probability.shape, dtype=bool)
    for day in range(len(probability)):
        recent = flags[max(day - repeats.days + 1, 0) : day].sum(axis=0)
        rested = np.where(recent < repeats.most, probability[day], np.nan)
        flags[day] = top_flags(rested[None], number[day : day + 1])[0]
    return flags


def lot_chances(probability: Array, number: Integers, power: float) -> Array:
    """Return the chance of each cell to be drawn, proportional to its probability to a power and at most 1.

    Chances of a day sum to `number`, so that means over draws are known exactly, without drawing. Shape (days, cells).
    """
    weights = np.nan_to_num(probability) ** power
    is_certain = np.zeros(weights.shape, dtype=bool)
    while True:
        left = np.where(is_certain, 0.0, weights)
        free = np.maximum(number - is_certain.sum(axis=1), 0)
        total = left.sum(axis=1)
        chances = left * np.divide(free, total, out=np.zeros_like(total), where=total > 0)[:, None] + is_certain
        is_over = (chances > 1) & ~is_certain
        if not is_over.any():
            return np.asarray(chances)
        is_certain |= is_over
