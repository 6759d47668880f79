"""Measures of burden of areas, groups and quarters of incomes, by policy, as rows of `catalogue.BURDEN`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.burden_audit import MIN_RESIDENTS, Comparison, Estimate
from shotspotter_assets.accountability.policies import OBSERVED, PLANS, Policy, policies_of
from shotspotter_assets.accountability.policy_sums import (
    PolicySums,
    draws_of_weeks,
    gini,
    longest_runs,
    ratio,
    top_share,
)
from shotspotter_assets.accountability.residents import QUARTERS, Population
from shotspotter_assets.arrays import Array

MIN_CELLS: Final = 5  # of an area, where cells count alike
MIN_DAYS: Final = 28  # of a policy
PER_RESIDENTS: Final = 1_000
LORENZ_PERCENT: Final = (5, 10, 20, 50)


class Row(NamedTuple):
    """One row of `catalogue.BURDEN`, without the events that are counted."""

    measure: str
    kind: str
    group: str
    policy: str
    estimate: Estimate | None
    left_out: str = ""


class Exposure(NamedTuple):
    """Flagged days a year of a population by one policy, shape (1 + draws,)."""

    days: Array
    shrunk: Array  # towards the mean of all residents


@dataclass(frozen=True)
class BurdenMeasures:
    """Measures of populations by policy on audited days; `rows` and `comparisons` grow as populations are added."""

    policies: Mapping[str, Policy]
    sums: Mapping[str, PolicySums]  # of all weeks and of draws of weeks, by policy
    occupied: Array  # 1 on days with an alert that counts, else 0; (days, cells)
    everyone: Population  # residents of the city, or its cells
    exposures: dict[tuple[str, str], Exposure] = field(default_factory=dict)  # by population and policy
    rows: list[Row] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @classmethod
    def of(
        cls, audited: AuditedDays, occupied: Array, everyone: Population, random: np.random.Generator
    ) -> "BurdenMeasures":
        """Return the measures of all residents; a policy with fewer than `MIN_DAYS` is left out with its number of days."""
        policies = policies_of(audited, occupied)
        usable = {name: policy for name, policy in policies.items() if policy.days >= MIN_DAYS}
        times = draws_of_weeks(audited.days, random)
        sums = {name: PolicySums.weekly(audited.days, policy, occupied).drawn(times) for name, policy in usable.items()}
        measures = cls(usable, sums, occupied, everyone)
        for name in policies.keys() - usable.keys():
            reason = f"{policies[name].days} days; at least {MIN_DAYS} are needed"
            measures.rows.append(Row("flagged_days", "city", everyone.name, name, None, reason))
        measures.add(everyone)
        measures._add_concentration()
        return measures

    @property
    def is_of_residents(self) -> bool:
        """True if residents are known; else all cells count alike."""
        return self.everyone.kind == "city"

    @property
    def least(self) -> int:
        """Minimum of residents, or of cells, of a population."""
        return MIN_RESIDENTS if self.is_of_residents else MIN_CELLS

    def expose(self, name: str, residents: Array) -> None:
        """Keep the exposures of some residents, (1 + draws, cells) or (1, cells), under a name for `compare`.

        Shrunk ones are as if `least` further residents had the mean exposure of all: raw ratios explode near zero.
        """
        number = max(float(residents[0].sum()), 0.0)
        weight = number / (number + self.least)
        for policy, sums in self.sums.items():
            days = sums.flagged_days(residents)
            mean = sums.flagged_days(self.everyone.residents)
            self.exposures[name, policy] = Exposure(days, weight * days + (1 - weight) * mean)

    def add(self, population: Population) -> None:
        """Add the measures of a population; too small a one is left out with its size."""
        kind = population.kind
        name = population.name
        number = population.residents.sum(axis=1)
        share = ratio(number, self.everyone.residents.sum(axis=1))
        self._row("residents", kind, name, "", number)
        self._row("share_of_residents", kind, name, "", share)
        if number[0] < self.least:
            noun = "residents in covered cells" if self.is_of_residents else "covered cells"
            reason = f"{number[0]:,.0f} {noun}; at least {self.least:,} are needed"
            self.rows.append(Row("flagged_days", kind, name, "", None, reason))
            return
        self.expose(name, population.residents)
        per = float(number[0]) / (PER_RESIDENTS if self.is_of_residents else 1)
        for policy, sums in self.sums.items():
            self._row("flagged_days", kind, name, policy, self.exposures[name, policy].days)
            self._row("share", kind, name, policy, sums.share(population.part))
            if policy == PLANS:
                self._row("unit_hours", kind, name, policy, sums.unit_hours(population.residents))
            if policy != OBSERVED:
                self._row("without_alert", kind, name, policy, sums.without_alert(population.part, per))

    def add_cells(self, kind: str, name: str, part: Array) -> None:
        """Add the measures of accuracy of some cells, flagged by `part`, shape (1, cells)."""
        for policy, sums in self.sums.items():
            if policy == OBSERVED:
                continue
            if self.policies[policy].probability is not None:
                self._row("calibration", kind, name, policy, sums.calibration(part))
            self._row("false_alarms", kind, name, policy, sums.false_alarms(part))
            self._row("missed", kind, name, policy, sums.missed(part))
            runs = longest_runs(self.policies[policy].flags, self.occupied)
            self._row("longest_run", kind, name, policy, (runs * part[0]).max(keepdims=True).astype(np.float64))

    def add_quarters(self, population: Population) -> None:
        """Add the accuracy in quarters of the cells with residents, by a group's share of them."""
        share = population.part[0]
        is_inhabited = self.everyone.residents[0] > 0
        edges = np.quantile(share[is_inhabited], [0.25, 0.5, 0.75])
        quarter = np.searchsorted(edges, share, side="left")
        for number, name in enumerate(QUARTERS):
            cells = (is_inhabited & (quarter == number))[None].astype(np.float64)
            self.add_cells("quarter", f"{name} share of {population.name}", cells)

    def compare(self, kind: str, first: str, second: str) -> None:
        """Add the difference and the shrunk ratio of the exposures of two populations, unless one was left out."""
        for policy in self.sums:
            one = self.exposures.get((first, policy))
            other = self.exposures.get((second, policy))
            if one is None or other is None:
                continue
            difference = Estimate.of(one.days - other.days)
            shrunk = Estimate.of(ratio(one.shrunk, other.shrunk))
            if difference is None or shrunk is None:
                continue
            means = (float(one.days[0]), float(other.days[0]))
            comparison = Comparison(
                kind=kind,
                policy=policy,
                first=first,
                second=second,
                exposure=means,
                difference=difference,
                ratio=shrunk,
            )
            self.comparisons.append(comparison)
            self.rows.append(Row("difference", kind, comparison.name, policy, difference))
            self.rows.append(Row("ratio", kind, comparison.name, policy, shrunk))

    def _add_concentration(self) -> None:
        """Add Gini coefficients and points of Lorenz curves of flags over cells, and accuracy in all cells."""
        for policy, sums in self.sums.items():
            by_cell = sums.flags[0]
            self._row("gini", "city", "cells", policy, np.array([gini(by_cell)]))
            for percent in LORENZ_PERCENT:
                point = np.array([top_share(by_cell, percent)])
                self._row("lorenz", "city", f"top {percent}% of cells", policy, point)
        self.add_cells("city", self.everyone.name, np.ones((1, self.occupied.shape[1])))

    def _row(self, measure: str, kind: str, name: str, policy: str, values: Array) -> None:
        """Add a row; values that are undefined are left out with the reason."""
        estimate = Estimate.of(values)
        reason = "" if estimate is not None else "undefined, because nothing was counted there"
        self.rows.append(Row(measure, kind, name, policy, estimate, reason))
