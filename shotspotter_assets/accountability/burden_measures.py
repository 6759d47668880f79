"""Measures of burden of areas, groups and quarters of incomes, by policy, as rows of `catalogue.BURDEN`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Final

import numpy as np

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.burden_audit import MIN_RESIDENTS, Comparison, Estimate
from shotspotter_assets.accountability.policies import (
    OBSERVED,
    PLANS,
    Policy,
    Sums,
    draws_of_weeks,
    gini,
    longest_runs,
    policies_of,
    rate,
    ratio,
    weekly_sums,
)
from shotspotter_assets.accountability.residents import COVERED_CELLS, QUARTERS, Population
from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.calendar.dates import YEAR_DAYS
from shotspotter_assets.evaluation.forecasts_table import SERVED

MIN_CELLS: Final = 5  # of an area, where cells count alike
MIN_DAYS: Final = 28  # of a policy
PER_RESIDENTS: Final = 1_000
LORENZ_PERCENT: Final = (5, 10, 20, 50)
ACCURACY: Final = ("calibration", "false_alarms", "missed")


@dataclass(frozen=True)
class BurdenMeasures:
    """Measures of populations by policy on audited days; `rows` and `comparisons` grow as populations are added."""

    policies: Mapping[str, Policy]
    sums: Mapping[str, Sums]  # of all weeks and of draws of weeks, by policy
    occupied: Array  # 1 on days with an alert that counts, else 0; (days, cells)
    everyone: Population  # residents of the city, or its cells
    exposures: dict[tuple[str, str], tuple[Array, Array]] = field(default_factory=dict)
    """Flagged days a year, and these shrunk to the mean of all, by population and policy; shape (1 + draws,)."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @classmethod
    def of(cls, audited: AuditedDays, occupied: Array, populations: Sequence[Population]) -> "BurdenMeasures":
        """Return the measures of all residents (first), areas, groups and quarters of incomes, and their comparisons."""
        policies = policies_of(audited, occupied)
        usable = {name: policy for name, policy in policies.items() if policy.days >= MIN_DAYS}
        times = draws_of_weeks(audited.days, np.random.default_rng(0))
        sums = {
            name: {layer: times @ weekly for layer, weekly in weekly_sums(audited.days, policy, occupied).items()}
            for name, policy in usable.items()
        }
        measures = cls(usable, sums, occupied, populations[0])
        for name in policies.keys() - usable.keys():
            reason = f"{policies[name].days} days; at least {MIN_DAYS} are needed"
            measures.add_row("flagged_days", "city", populations[0].name, name, reason=reason)
        measures.add_concentration()
        for population in populations:
            measures.add(population)
        measures.compare(populations)
        return measures

    @cached_property
    def longest_runs(self) -> dict[str, Integers]:
        """The largest number of successive flags of each cell without an alert, by policy; shape (cells,)."""
        return {name: longest_runs(policy.flags, self.occupied) for name, policy in self.policies.items()}

    @property
    def has_residents(self) -> bool:
        """True if residents are known; else all cells count alike."""
        return self.everyone.name != COVERED_CELLS

    @property
    def least(self) -> int:
        """Minimum of residents, or of cells, of a population."""
        return MIN_RESIDENTS if self.has_residents else MIN_CELLS

    def add(self, population: Population) -> None:
        """Add the measures of a population; too small a one is left out with its size."""
        kind, name, residents, part = population
        number = residents.sum(axis=1)
        self.add_row("residents", kind, name, "", number)
        self.add_row("share_of_residents", kind, name, "", ratio(number, self.everyone.residents.sum(axis=1)))
        if number[0] < self.least:
            noun = "residents in covered cells" if self.has_residents else "covered cells"
            reason = f"{number[0]:,.0f} {noun}; at least {self.least:,} are needed"
            self.add_row("flagged_days", kind, name, "", reason=reason)
            return
        self.expose(name, residents)
        for policy, sums in self.sums.items():
            self.add_row("flagged_days", kind, name, policy, self.exposures[name, policy][0])
            self.add_row(
                "share", kind, name, policy, ratio((part * sums["flags"]).sum(axis=1), sums["flags"].sum(axis=1))
            )
            if policy == PLANS:
                self.add_row("unit_hours", kind, name, policy, rate(sums, "unit_hours", residents))
            if policy != OBSERVED:
                years = sums["covered"].max(axis=1) / YEAR_DAYS
                per = number[0] / (PER_RESIDENTS if self.has_residents else 1)
                self.add_row(
                    "without_alert", kind, name, policy, ratio((part * sums["wrong"]).sum(axis=1), per * years)
                )
        if kind in ("city", "area"):
            self.add_accuracy(kind, name, part)
        if kind == "group":
            self.add_quarters(name, part[0])

    def expose(self, name: str, residents: Array) -> None:
        """Keep the exposures of some residents, (1 + draws, cells) or (1, cells), under a name.

        Shrunk ones are as if `least` further residents had the mean exposure of all: raw ratios explode near zero.
        """
        number = max(float(residents[0].sum()), 0.0)
        weight = number / (number + self.least)
        for policy, sums in self.sums.items():
            days = rate(sums, "flagged_days", residents)
            mean = rate(sums, "flagged_days", self.everyone.residents)
            self.exposures[name, policy] = (days, weight * days + (1 - weight) * mean)

    def add_accuracy(self, kind: str, name: str, part: Array) -> None:
        """Add calibration, errors and longest runs in some cells, flagged by `part`, shape (1, cells)."""
        for policy, sums in self.sums.items():
            for measure in ACCURACY:
                is_defined = measure != "calibration" or self.policies[policy].probability is not None
                if policy != OBSERVED and is_defined:
                    self.add_row(measure, kind, name, policy, rate(sums, measure, part))
            if policy != OBSERVED:
                longest = (self.longest_runs[policy] * part[0]).max(keepdims=True)
                self.add_row("longest_run", kind, name, policy, longest)

    def add_quarters(self, name: str, share: Array) -> None:
        """Add the accuracy in quarters of the cells with residents, by a group's share of them, shape (cells,)."""
        is_inhabited = self.everyone.residents[0] > 0
        quarter = np.searchsorted(np.quantile(share[is_inhabited], [0.25, 0.5, 0.75]), share)
        for number, title in enumerate(QUARTERS):
            cells = (is_inhabited & (quarter == number)).astype(np.float64)
            self.add_accuracy("quarter", f"{title} share of {name}", cells[None])

    def add_concentration(self) -> None:
        """Add Gini coefficients and points of Lorenz curves of flags over cells."""
        for policy, sums in self.sums.items():
            flags = np.sort(sums["flags"][0])[::-1]
            self.add_row("gini", "city", "cells", policy, np.array([gini(flags)]))
            for percent in LORENZ_PERCENT:
                largest = flags[: max(round(len(flags) * percent / 100), 1)]
                share = ratio(largest.sum(keepdims=True), flags.sum(keepdims=True))
                self.add_row("lorenz", "city", f"top {percent}% of cells", policy, share)

    def compare(self, populations: Sequence[Population]) -> None:
        """Compare each area with all others, each two groups, and the lowest with the highest incomes."""
        by_kind = {kind: [one for one in populations if one.kind == kind] for kind in ("area", "group", "income")}
        for area in by_kind["area"]:
            self.expose(f"outside {area.name}", self.everyone.residents - area.residents)
            self._compare("area", area.name, f"outside {area.name}")
        for one, other in combinations(by_kind["group"], 2):
            self._compare("group", one.name, other.name)
        if by_kind["income"]:
            self._compare("income", by_kind["income"][0].name, by_kind["income"][-1].name)

    def _compare(self, kind: str, first: str, second: str) -> None:
        """Add the difference and the shrunk ratio of two exposures; nothing if one was left out or is undefined.

        The first of two groups or incomes is the one that the served forecast flags more; an area stays the first.
        """
        served = [self.exposures[name, SERVED][0][0] for name in (first, second) if (name, SERVED) in self.exposures]
        if kind != "area" and served != sorted(served, reverse=True):
            first, second = second, first
        for policy in self.sums:
            if (first, policy) not in self.exposures or (second, policy) not in self.exposures:
                continue
            days, shrunk = self.exposures[first, policy]
            other_days, other_shrunk = self.exposures[second, policy]
            self.add_row("difference", kind, f"{first} and {second}", policy, days - other_days)
            self.add_row("ratio", kind, f"{first} and {second}", policy, ratio(shrunk, other_shrunk))
            difference = Estimate.of(days - other_days)
            times = Estimate.of(ratio(shrunk, other_shrunk))
            if difference is not None and times is not None:
                exposure = (float(days[0]), float(other_days[0]))
                self.comparisons.append(
                    Comparison(
                        kind=kind,
                        policy=policy,
                        first=first,
                        second=second,
                        exposure=exposure,
                        difference=difference,
                        ratio=times,
                    )
                )

    def add_row(
        self, measure: str, kind: str, group: str, policy: str, values: Array | None = None, reason: str = ""
    ) -> None:
        """Add a row of `catalogue.BURDEN`; without defined values, it gives the reason."""
        estimate = None if values is None else Estimate.of(values)
        ends = {"value": None, "low": None, "high": None} if estimate is None else estimate.model_dump()
        undefined = reason or "undefined, because nothing was counted there"
        left_out = undefined if estimate is None else None
        row = {"measure": measure, "kind": kind, "group": group, "policy": policy, "left_out": left_out}
        self.rows.append(row | ends)

    def widest_pair(self) -> tuple[str, str] | None:
        """Return the groups that the served forecast flags most unequally, the first one more; None without groups."""
        served = [one for one in self.comparisons if (one.policy, one.kind) == (SERVED, "group")]
        if not served:
            return None
        widest = max(served, key=lambda one: one.difference.value)
        return widest.first, widest.second
