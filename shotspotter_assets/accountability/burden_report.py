"""A burden audit as a record and tables, from audited days, areas and an audit layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import AuditedDays
from shotspotter_assets.accountability.burden_audit import MEASURES, BurdenAudit
from shotspotter_assets.accountability.burden_measures import PER_RESIDENTS, BurdenMeasures, Row
from shotspotter_assets.accountability.burden_sentences import (
    CONCLUSION,
    area_sentence,
    comparison_sentences,
    frontier_sentences,
)
from shotspotter_assets.accountability.frontier import Burdened, frontier_table
from shotspotter_assets.accountability.policies import OBSERVED, flags_per_day
from shotspotter_assets.accountability.policy_sums import DRAWS
from shotspotter_assets.accountability.residents import INCOME, Population, Residents
from shotspotter_assets.arrays import Names
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.catalogue import BURDEN

ALERTS: Final = "alerts"
CONFIRMED: Final = "confirmed"
MAX_YEARS_BEFORE: Final = 5  # of the layer's figures before the first audited day
ABOUT_ALERTS: Final = ("without_alert", "longest_run", "false_alarms", "missed")


class BurdenFiles(NamedTuple):
    """The record of an audit and its tables, `catalogue.BURDEN` and `catalogue.FRONTIER`."""

    audit: BurdenAudit
    burden: pa.Table
    frontier: pa.Table


@dataclass(frozen=True)
class _Populations:
    """Populations of a city in its audited cells."""

    everyone: Population
    areas: Sequence[Population]
    groups: Sequence[Population]  # groups, then quarters of incomes


def burden_files(
    city: City, audited: AuditedDays, areas: Names, residents: Residents | None, problems: Sequence[str] = ()
) -> BurdenFiles:
    """Return the audit of some days, by areas (the name of each cell's area, "" for none, (rows, columns)) and residents.

    Without `residents`, cells count alike; `problems` are lines about an audit layer that could not be used.
    """
    populations = _populations(audited, areas.ravel()[audited.cells], residents)
    measures = _measured(audited, (audited.alerts > 0).astype(np.float64), populations)
    rows = [(ALERTS, row) for row in measures.rows]
    if audited.confirmed is not None:
        confirmed = _measured(audited, (audited.confirmed > 0).astype(np.float64), populations)
        is_about = [row for row in confirmed.rows if row.policy == OBSERVED or row.measure in ABOUT_ALERTS]
        rows += [(CONFIRMED, row) for row in is_about]
    frontier = frontier_table(audited, _burdened(measures, populations), city.patrol.repeats if city.patrol else None)
    unit = "resident" if residents is not None else "cell"
    first = audited.days[0].astype(object)
    warnings = [*problems, *([] if residents is None else _problems(city, residents, audited))]
    audit = BurdenAudit(
        city=city.name,
        first=first,
        last=audited.days[-1].astype(object),
        days=len(audited.days),
        cells=len(audited.cells),
        flags_per_day=float(flags_per_day(audited.probability[SERVED]).mean()),
        unit=unit,
        figures_of=city.audit.year if city.audit is not None and residents is not None else None,
        comparisons=tuple(sorted(measures.comparisons, key=lambda one: one.policy != SERVED)),
        sentences=tuple(_sentences(measures, unit)),
        conclusion=CONCLUSION,
        frontier=tuple(frontier_sentences(frontier.to_pylist())),
        left_out=(*warnings, *_left_out(measures.rows)),
        measures=MEASURES,
    )
    return BurdenFiles(audit, _table(rows), frontier)


def _populations(audited: AuditedDays, areas: Names, residents: Residents | None) -> _Populations:
    """Return the populations of an audit; `areas` are the names of the cells' areas, shape (cells,)."""
    everyone = Population("cells", "covered cells", np.ones((1, len(areas))), np.ones((1, len(areas))))
    groups: list[Population] = []
    if residents is not None:
        everyone, *groups = residents.populations(audited.cells, np.random.default_rng(0), DRAWS)
    of_areas = []
    for name in sorted(set(areas.tolist()) - {""}):
        part = (areas == name)[None].astype(np.float64)
        of_areas.append(Population("area", name, everyone.residents * part, part))
    return _Populations(everyone, of_areas, groups)


def _measured(audited: AuditedDays, occupied: Any, populations: _Populations) -> BurdenMeasures:
    """Return the measures and comparisons of all populations."""
    measures = BurdenMeasures.of(audited, occupied, populations.everyone, np.random.default_rng(0))
    for area in populations.areas:
        measures.add(area)
        measures.add_cells("area", area.name, area.part)
        measures.expose(f"outside {area.name}", populations.everyone.residents - area.residents)
        if len(populations.areas) > 1:
            measures.compare("area", area.name, f"outside {area.name}")
    for group in populations.groups:
        measures.add(group)
        if group.kind == "group":
            measures.add_quarters(group)
    for one, other in _pairs(populations.groups):
        measures.compare(one.kind, one.name, other.name)
    return measures


def _pairs(groups: Sequence[Population]) -> Iterator[tuple[Population, Population]]:
    """Yield the populations to compare: each two groups, and the lowest with the highest incomes."""
    yield from combinations([group for group in groups if group.kind == "group"], 2)
    incomes = [group for group in groups if group.kind == INCOME]
    if incomes:
        yield incomes[0], incomes[-1]


def _burdened(measures: BurdenMeasures, populations: _Populations) -> Burdened:
    """Return the populations of the frontier: the groups that the served forecast flags most unequally, the first more."""
    served = [one for one in measures.comparisons if one.policy == SERVED and one.kind == "group"]
    by_name = {group.name: group for group in populations.groups}
    pair = None
    if served:
        widest = max(served, key=lambda one: abs(one.difference.value))
        names = (widest.first, widest.second) if widest.difference.value >= 0 else (widest.second, widest.first)
        pair = (by_name[names[0]], by_name[names[1]])
    number = float(populations.everyone.residents[0].sum())
    return Burdened(
        everyone=populations.everyone,
        areas=[area for area in populations.areas if area.residents[0].sum() >= measures.least],
        pair=pair,
        prior=measures.least,
        per=number / (PER_RESIDENTS if measures.is_of_residents else 1),
    )


def _sentences(measures: BurdenMeasures, unit: str) -> Iterator[str]:
    """Yield the findings of an audit."""
    yield from comparison_sentences(measures.comparisons, unit)
    if by_area := area_sentence(measures.comparisons, unit):
        yield by_area


def _problems(city: City, residents: Residents, audited: AuditedDays) -> Iterator[str]:
    """Yield lines about an audit layer that does not fit the audited days and cells."""
    assert city.audit is not None
    yield from residents.problems
    place = f"{city.name}.yaml, audit: {city.audit.path}"
    if uncovered := residents.uncovered(audited.cells):
        yield f"{place}: {uncovered}"
    first = int(audited.days[0].astype("datetime64[Y]").astype(np.int64)) + 1970
    if first - city.audit.year > MAX_YEARS_BEFORE:
        yield (
            f"{place}: the figures are of {city.audit.year}, and the first audited day is in {first}. Use figures of at most "
            f"{MAX_YEARS_BEFORE} years before, and correct `audit.year`."
        )


def _left_out(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each population and policy without exposure."""
    for row in rows:
        if row.measure == "flagged_days" and row.left_out:
            named = " ".join(filter(None, (row.kind, row.group, row.policy and f"({row.policy})")))
            yield f"Left out: {named}: {row.left_out}."


def _table(rows: Sequence[tuple[str, Row]]) -> pa.Table:
    """Return the rows of `catalogue.BURDEN` with the events that they count."""
    records = []
    for counted, row in rows:
        estimate = row.estimate
        records.append(
            {
                "measure": row.measure,
                "kind": row.kind,
                "group": row.group,
                "policy": row.policy,
                "counted": counted,
                "value": None if estimate is None else estimate.value,
                "low": None if estimate is None else estimate.low,
                "high": None if estimate is None else estimate.high,
                "left_out": row.left_out or None,
            }
        )
    return pa.Table.from_pylist(records, BURDEN.schema)
