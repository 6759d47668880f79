"""A burden audit as a record and tables, from audited days, areas and an audit layer."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.audited_days import CONFIRMED, AuditedDays
from shotspotter_assets.accountability.burden_audit import MEASURES, BurdenAudit
from shotspotter_assets.accountability.burden_measures import BurdenMeasures
from shotspotter_assets.accountability.burden_sentences import CONCLUSION, findings, frontier_sentences
from shotspotter_assets.accountability.frontier import frontier_table
from shotspotter_assets.accountability.policies import DRAWS, OBSERVED, flags_per_day
from shotspotter_assets.accountability.residents import COVERED_CELLS, MIN_SHARE_OF_CELL, Population, Residents
from shotspotter_assets.arrays import Names
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.catalogue import BURDEN

ALERTS: Final = "alerts"
MAX_YEARS_BEFORE: Final = 5  # of the layer's figures before the first audited day
ABOUT_ALERTS: Final = ("without_alert", "longest_run", "false_alarms", "missed")


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
    populations = list(_populations(audited, areas.ravel()[audited.cells], residents))
    measures = BurdenMeasures.of(audited, (audited.alerts > 0).astype(np.float64), populations)
    rows = [row | {"counted": ALERTS} for row in measures.rows]
    if audited.confirmed is not None:
        is_reported = np.isfinite(audited.confirmed[:, 0])
        is_confirmed = (audited.confirmed[is_reported] > 0).astype(np.float64)
        confirmed = BurdenMeasures.of(audited.on(is_reported), is_confirmed, populations).rows
        about_alerts = [row for row in confirmed if row["policy"] == OBSERVED or row["measure"] in ABOUT_ALERTS]
        rows += [row | {"counted": CONFIRMED} for row in about_alerts]
    frontier = frontier_table(audited, measures, populations, city.patrol.repeats if city.patrol else None)
    unit = "cell" if residents is None else "resident"
    left_out: dict[tuple[str, str], list[str]] = {}
    for row in measures.rows:
        if row["measure"] == "flagged_days" and row["left_out"]:
            name = row["group"] if row["kind"] == "city" else f"{row['kind']} {row['group']}"
            left_out.setdefault((name, row["left_out"]), []).append(row["policy"])
    audit = BurdenAudit(
        city=city.name,
        first=audited.days[0].astype(object),
        last=audited.days[-1].astype(object),
        days=len(audited.days),
        cells=len(audited.cells),
        flags_per_day=float(flags_per_day(audited.probability[SERVED]).mean()),
        unit=unit,
        figures_of=None if city.audit is None or residents is None else city.audit.year,
        comparisons=tuple(sorted(measures.comparisons, key=lambda one: one.policy != SERVED)),
        sentences=tuple(findings(measures.comparisons, unit, city.event)),
        conclusion=CONCLUSION.format(event=city.event),
        frontier=tuple(frontier_sentences(frontier.to_pylist(), city.event)),
        visits=tuple(visits),
        left_out=(
            *problems,
            *_problems(city, residents, audited),
            *(f"Left out: {name} ({', '.join(policies)}): {why}." for (name, why), policies in left_out.items()),
        ),
        measures=MEASURES,
    )
    return BurdenFiles(audit, pa.Table.from_pylist(rows, BURDEN.schema), frontier)


def _populations(audited: AuditedDays, areas: Names, residents: Residents | None) -> Iterator[Population]:
    """Yield all residents or cells, then areas, groups and incomes; `areas` names each cell's area, shape (cells,)."""
    everyone = Population("city", COVERED_CELLS, np.ones((1, len(areas))), np.ones((1, len(areas))))
    groups: list[Population] = []
    if residents is not None:
        everyone, *groups = residents.populations(audited.cells, np.random.default_rng(0), DRAWS)
    yield everyone
    for name in sorted(set(areas.tolist()) - {""}):
        part = (areas == name)[None].astype(np.float64)
        yield Population("area", name, everyone.residents * part, part)
    yield from groups


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
