"""Sums of a policy's flags and of alerts by week and cell, draws of whole weeks, and the measures that follow from them.

Arrays of draws hold the sums of all weeks first and then those of each draw: shape (1 + draws,) or (1 + draws, cells).
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from shotspotter_assets.accountability.policies import Policy
from shotspotter_assets.arrays import Array, Days, Integers
from shotspotter_assets.calendar.dates import YEAR_DAYS, weeks
from shotspotter_assets.evaluation.gains import MIN_WEEKS_FOR_INTERVAL

DRAWS: Final = 400


@dataclass(frozen=True)
class PolicySums:
    """Sums of one policy by cell, in each week or each draw of weeks; shape (weeks, cells) or (1 + draws, cells)."""

    covered: Array  # days on which the policy could flag the cell
    flags: Array  # flagged days; their expected number for lots
    alerts: Array  # covered days with an alert
    hits: Array  # flagged days with an alert
    expected: Array  # probabilities of an alert; 0 for policies without them
    hours: Array  # hours of units

    @classmethod
    def weekly(cls, days: Days, policy: Policy, occupied: Array) -> Self:
        """Return the sums of each calendar week, Monday to Sunday; `occupied` is 1 on days with an alert, (days, cells)."""
        is_covered = np.isfinite(policy.flags)
        starts = _starts_of_weeks(days)

        def summed(values: Array | None) -> Array:
            by_day = np.zeros(is_covered.shape) if values is None else np.where(is_covered, values, 0.0)
            return np.asarray(np.add.reduceat(by_day, starts, axis=0))

        return cls(
            covered=summed(is_covered.astype(np.float64)),
            flags=summed(policy.flags),
            alerts=summed(occupied),
            hits=summed(policy.flags * occupied),
            expected=summed(policy.probability),
            hours=summed(policy.hours),
        )

    def drawn(self, times: Array) -> Self:
        """Return the sums of drawn weeks; `times` are those of `draws_of_weeks`, shape (1 + draws, weeks)."""
        parts = (self.covered, self.flags, self.alerts, self.hits, self.expected, self.hours)
        covered, flags, alerts, hits, expected, hours = (times @ part for part in parts)
        return type(self)(covered, flags, alerts, hits, expected, hours)

    def flagged_days(self, residents: Array) -> Array:
        """Return the flagged days a year of a resident's cell; `residents` are (1 + draws, cells) or (1, cells)."""
        return YEAR_DAYS * ratio((residents * self.flags).sum(axis=1), (residents * self.covered).sum(axis=1))

    def unit_hours(self, residents: Array) -> Array:
        """Return the hours of units a year in a resident's cell."""
        return YEAR_DAYS * ratio((residents * self.hours).sum(axis=1), (residents * self.covered).sum(axis=1))

    def share(self, part: Array) -> Array:
        """Return the share of the flags that falls on a part of each cell, shape (1, cells)."""
        return ratio((part * self.flags).sum(axis=1), self.flags.sum(axis=1))

    def without_alert(self, part: Array, per: float) -> Array:
        """Return flagged cell-days a year without an alert in a part of each cell, over `per`."""
        years = self.covered.max(axis=1) / YEAR_DAYS
        return ratio((part * (self.flags - self.hits)).sum(axis=1), per * years)

    def calibration(self, part: Array) -> Array:
        """Return predicted over observed days with an alert in a part of the cells."""
        return ratio((part * self.expected).sum(axis=1), (part * self.alerts).sum(axis=1))

    def false_alarms(self, part: Array) -> Array:
        """Return the flagged share of the cell-days without an alert in a part of the cells."""
        misses = (part * (self.flags - self.hits)).sum(axis=1)
        return ratio(misses, (part * (self.covered - self.alerts)).sum(axis=1))

    def missed(self, part: Array) -> Array:
        """Return the share of the cell-days with an alert that were not flagged in a part of the cells."""
        return 1.0 - ratio((part * self.hits).sum(axis=1), (part * self.alerts).sum(axis=1))


def draws_of_weeks(days: Days, random: np.random.Generator) -> Array:
    """Return ones, and how often each draw has each week, shape (1 + DRAWS, weeks); ones alone for too few weeks.

    Weeks are drawn whole, because neighbouring days and cells depend on each other.
    """
    number = len(_starts_of_weeks(days))
    draws = DRAWS if number >= MIN_WEEKS_FOR_INTERVAL else 0
    times = random.multinomial(number, np.full(number, 1 / number), size=draws)
    return np.vstack([np.ones((1, number)), times])


def ratio(part: Array, whole: Array) -> Array:
    """Return part over whole, NaN where the whole is not above zero; same shape."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def gini(values: Array) -> float:
    """Return the Gini coefficient of values that are not below zero, shape (n,); NaN if all are zero."""
    number = len(values)
    ranks: Integers = np.arange(1, number + 1)
    total = values.sum()
    return float((2 * ranks - number - 1) @ np.sort(values) / (number * total)) if total > 0 else float("nan")


def top_share(values: Array, percent: float) -> float:
    """Return the share of a sum that falls on the largest values, `percent` of them: a point of the Lorenz curve."""
    largest = np.sort(values)[::-1][: max(round(len(values) * percent / 100), 1)]
    return float(largest.sum() / values.sum()) if values.sum() > 0 else float("nan")


def longest_runs(flags: Array, occupied: Array) -> Integers:
    """Return the largest number of successive flags of each cell without an alert on any; both are (days, cells)."""
    is_flagged = flags > 0
    number = np.cumsum(is_flagged, axis=0)
    at_last_hit = np.maximum.accumulate(np.where(is_flagged & (occupied > 0), number, 0), axis=0)
    return np.asarray((number - at_last_hit).max(axis=0))


def _starts_of_weeks(days: Days) -> Integers:
    """Return the indexes of the first day of each calendar week among sorted days."""
    number = weeks(days)
    return np.flatnonzero(np.diff(number, prepend=number[0] - 1))
