"""The record of a burden audit: comparisons of areas, groups and incomes, and its findings in sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, Field

from shotspotter_assets.accountability.policies import (
    CELL_MEAN,
    LAST_YEAR,
    OBSERVED,
    PLANS,
    Sums,
    rate,
    ratio,
)
from shotspotter_assets.accountability.residents import (
    QUARTERS,
    Population,
)
from shotspotter_assets.evaluation.estimates import Estimate
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.catalogue import BURDEN_AUDIT
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import first_of, number_of

CONCLUSION: Final = (
    "These figures show where flags fell on past days, beside {event}s and residents; they do not show why, whether a flag or "
    "an {event} was right, what officers did, or who was there, because residents are spread over cells by area and are not "
    "the people on the street."
)
OTHERS: Final = {
    OBSERVED: "days with an {event}",
    CELL_MEAN: "flags by the mean of each cell's history",
    LAST_YEAR: "flags by last year's map",
}
_LABELS: Final = {"group": "in group", "income": "in the quarter with the"}

MIN_RESIDENTS: Final = 1_000  # of a population
# Flagged cell-days of either population, for a ratio: 20 events have a relative error of 22%, and the US National Center
# for Health Statistics marks rates of fewer as unreliable.
MIN_FLAGGED_DAYS: Final = 20
TOO_FEW_FLAGS: Final = f"either of the two has fewer than {MIN_FLAGGED_DAYS} flagged days"
MIN_SHOWN_RATIO: Final = 1.1  # smaller ratios are not reported: residents are spread over cells by area
Row = dict[str, Any]
Pair = tuple[Population, Population]
UNDEFINED: Final = "undefined, because nothing was counted there"


class Comparison(BaseModel, frozen=True, extra="forbid"):
    """Exposure of one population beside another one, by one policy."""

    kind: str = Field(description="area, group or income.")
    policy: str = Field(description="Forecast that flags cells, or `observed` for days with an alert.")
    first: str = Field(description="Name of the population that the served forecast flags more.")
    second: str = Field(description="Name of the population that it is compared with.")
    exposure: tuple[float, float] = Field(description="Flagged days a year of both.")
    difference: Estimate = Field(description="Flagged days a year of the first, less those of the second.")
    ratio: Estimate | None = Field(
        None, description="Flagged days of the first over those of the second; null if either has too few."
    )

    @property
    def name(self) -> str:
        """Both populations, as tables name them."""
        return f"{self.first} and {self.second}"

    @property
    def is_shown(self) -> bool:
        """True if the interval of the difference excludes zero, and that of the ratio, if there is one, small ratios."""
        is_large = self.ratio is None or self.ratio.nearest_to(1.0) >= MIN_SHOWN_RATIO
        return self.difference.low is not None and self.difference.nearest_to(0.0) != 0 and is_large


class BurdenAudit(StoredRecord):
    """Facts of a city's burden audit in sentences; all numbers are in `burden.parquet` and `frontier.parquet`."""

    stored_as = BURDEN_AUDIT

    note: str = Field("", description="Why there is no audit; empty if there is one.")
    first: date | None = Field(None, description="First audited day.")
    last: date | None = Field(None, description="Last audited day.")
    days: int = Field(0, description="Number of audited days.")
    unit: str = Field("resident", description="resident with an audit layer; else cell: all cells count alike.")
    comparisons: tuple[Comparison, ...] = Field((), description="Populations compared, the served forecast first.")
    sentences: tuple[str, ...] = Field((), description="Findings, the most careful end of each interval first.")
    conclusion: str = Field("", description="One sentence about what can and what cannot be concluded.")
    visits: tuple[str, ...] = Field((), description="Effect of a visit on alerts, or why it is not known yet.")
    left_out: tuple[str, ...] = Field((), description="Cells, areas, groups and polygons left out, with reasons.")


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


def pairs_of(populations: Sequence[Population], served: Sums) -> list[Pair]:
    """Return each area with all others, each two groups, and the lowest with the highest incomes.

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
    pairs = []
    for pair in (*zip(areas, outside, strict=True), *groups, *combinations(incomes, 2)):
        first, second = sorted(pair, key=lambda one: -rate(served, "flagged_days", one.residents)[0])
        pairs.append((first, second))
    return pairs


def comparisons(pairs: Sequence[Pair], policies: Mapping[str, Sums]) -> Iterator[Comparison]:
    """Compare both populations of each pair by policy."""
    for first, second in pairs:
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
    return row | ({"left_out": reason} if estimate is None else vars(estimate))


def widest_pair(pairs: Sequence[Pair], compared: Sequence[Comparison]) -> Pair | None:
    """Return the pair, of any kind, that the served forecast flags most unequally; None without any."""
    differences = {(one.first, one.second): one.difference.value for one in compared if one.policy == SERVED}
    return max(pairs, key=lambda pair: differences.get((pair[0].name, pair[1].name)) or 0.0, default=None)


def findings(comparisons: Sequence[Comparison], rows: Sequence[dict[str, Any]], unit: str, event: str) -> Iterator[str]:
    """Yield for each pair of groups or incomes what the served forecast flags, beside alerts and simple maps; then areas.

    `rows` are those of `catalogue.BURDEN`.
    """
    for pair in comparisons:
        if pair.policy == SERVED and pair.kind != "area":
            yield _difference(pair, unit)
            others = beside(pair, comparisons, lambda one: one.ratio, event)
            if pair.ratio and others:
                yield f"The same ratio is {others}."
    by_days: dict[str, list[str]] = {}
    areas = [row for row in rows if (row["measure"], row["kind"], row["policy"]) == ("flagged_days", "area", SERVED)]
    for row in sorted((row for row in areas if row.get("value") is not None), key=lambda row: -row["value"]):
        by_days.setdefault(f"{row['value']:.1f}", []).append(row["group"])
    if len(by_days) > 1:
        most, *_, least = by_days
        differing = [one for one in comparisons if (one.policy, one.kind) == (SERVED, "area")]
        shown = sum(area.is_shown for area in differing)
        yield (
            f"By area, {cell_in_words(unit)} was flagged most in {_tied(by_days[most], most + ' days a year')} and least in "
            f"{_tied(by_days[least], least)}; in {shown} of {number_of(len(differing), 'area')} a "
            "difference from the mean of the others is shown: beyond chance, and "
            f"{MIN_SHOWN_RATIO:g} times or more where there is a ratio."
        )


def beside(
    pair: Comparison, comparisons: Sequence[Comparison], estimate: Callable[[Comparison], Estimate | None], event: str
) -> str:
    """Return the estimates of a pair by alerts and simple maps, in words; "" without any."""
    same = {one.policy: estimate(one) for one in comparisons if (one.kind, one.name) == (pair.kind, pair.name)}
    texts = {policy: value.text() for policy, value in same.items() if value}
    return ", ".join(
        f"{texts[policy]} for {words.format(event=event)}" for policy, words in OTHERS.items() if policy in texts
    )


def cell_in_words(unit: str) -> str:
    """Return the cell that an audit counts, with its article: of a resident, or of the city if all cells count alike."""
    return "a cell" if unit == "cell" else f"a {unit}'s cell"


def _tied(areas: Sequence[str], days: str) -> str:
    """Return an area with its flagged days, or how many areas tie and which."""
    return f"{areas[0]} ({days})" if len(areas) == 1 else f"{number_of(len(areas), 'area')} ({days}: {first_of(areas)})"


def _difference(served: Comparison, unit: str) -> str:
    """Return the sentence about one pair by the served forecast."""
    days = f"{served.exposure[0]:.1f} against {served.exposure[1]:.1f} days"
    intervals = f"90% intervals: difference {served.difference.text()}"
    if not served.is_shown:
        return f"No difference is shown between {served.first} and {served.second}: {days} a year; {intervals}."
    place = _LABELS[served.kind]
    more = f"{served.difference.nearest_to(0.0):.1f} days a year more than {place} {served.second}"
    flagged = f"{place.capitalize()} {served.first}, a {unit}'s cell was flagged at least {more}"
    if served.ratio is None:
        return f"{flagged}: {days}; {intervals}. No ratio is given, because {TOO_FEW_FLAGS}."
    times = f"{served.ratio.nearest_to(1.0):.1f} times as often"
    return f"{flagged}, and at least {times}: {days}; {intervals}, ratio {served.ratio.text()}."
