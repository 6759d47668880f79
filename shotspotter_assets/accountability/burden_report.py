"""A burden audit as record, tables and sentences, from audited days, areas and an audit layer."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.account import NO_SENSORS
from shotspotter_assets.accountability.audited_days import CELL_MEAN, LAST_YEAR, AuditedDays
from shotspotter_assets.accountability.burden_audit import (
    MEASURES,
    MIN_RESIDENTS,
    TOO_FEW_FLAGS,
    BurdenAudit,
    Comparison,
    Row,
    burden_row,
    calibration_rows,
    comparison_rows,
    comparisons,
    pairs_of,
    population_rows,
    widest_pair,
)
from shotspotter_assets.accountability.policies import (
    DRAWS,
    OBSERVED,
    flags_per_day,
    frontier_table,
    policies_of,
    sums_of_draws,
)
from shotspotter_assets.accountability.residents import COVERED_CELLS, MIN_SHARE_OF_CELL, Population, Residents
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.arrays import Names
from shotspotter_assets.storage.catalogue import BURDEN
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
MIN_CELLS: Final = 5  # of an area, where cells count alike
MIN_DAYS: Final = 28  # of a policy
MAX_YEARS_BEFORE: Final = 5  # of the layer's figures before the first audited day


def findings(comparisons: Sequence[Comparison], rows: Sequence[dict[str, Any]], unit: str, event: str) -> Iterator[str]:
    """Yield for each pair of groups or incomes what the served forecast flags, beside alerts and simple maps; then areas.

    `rows` are those of `catalogue.BURDEN`.
    """
    for pair in comparisons:
        if pair.policy == SERVED and pair.kind != "area":
            yield _difference(pair, unit)
            ratios = {one.policy: one.ratio.text() for one in comparisons if one.name == pair.name and one.ratio}
            others = [
                f"{ratios[policy]} for {words.format(event=event)}"
                for policy, words in OTHERS.items()
                if policy in ratios
            ]
            if pair.ratio and others:
                yield f"The same ratio is {', '.join(others)}."
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
            f"{_tied(by_days[least], least)}; in {shown} of {len(differing)} areas the interval excludes the mean of the "
            "others."
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


def frontier_sentences(rows: Sequence[dict[str, Any]], event: str) -> Iterator[str]:
    """Yield one sentence for each policy on past days."""
    for row in rows:
        caught = "" if row["cells_caught"] is None else f"caught {row['cells_caught']:.1%} of the cells with an {event}"
        burden = f"flagged {row['flags']:.0f} cells a day"
        if row["difference"] is not None:
            pair = f"{row['first']} less {row['second']}"
            burden = f"had a difference of {row['difference']:.1f} flagged days a year ({pair})"
        yield f"{row['policy'][:1].upper()}{row['policy'][1:]}: {' and '.join(filter(None, (caught, burden)))}."


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
        cells=len(audited.cells),
        flags_per_day=float(flags_per_day(audited.probability[SERVED]).mean()),
        unit=unit,
        figures_of=None if city.audit is None or residents is None else city.audit.year,
        comparisons=tuple(sorted(compared, key=lambda one: one.policy != SERVED)),
        sentences=tuple(findings(compared, rows, unit, city.event)),
        conclusion=CONCLUSION.format(event=city.event),
        frontier=tuple(frontier_sentences(frontier.to_pylist(), city.event)),
        visits=tuple(visits),
        left_out=(
            *problems,
            *_problems(city, residents, audited),
            *(
                f"Left out: {row['policy'] or ' '.join((row['kind'], row['group']))}: {row['left_out']}."
                for row in left_out
            ),
        ),
        measures=MEASURES,
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
