"""What checks of days share: the stored rows that they are of, one result of all date ranges, and the check of a schema."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DateRange, Partitions, date_ranges

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.quality.finding import Finding

SHOWN_PARTITIONS: Final = 200
"""Partitions that a check's metadata lists."""


def stored_rows(
    store: StoreResource, date_range: DateRange, asset: str, file: str, columns: Sequence[str] | None = None
) -> "Iterator[pa.Table]":
    """What is stored of a file of the days that a check is of, a table for each of `DateRange.parts`."""
    opened, city = store.open(), date_range.city.name
    opened.require_window(asset, city, file, date_range.first, date_range.last)
    return (opened.read_window(asset, city, file, part.first, part.last, columns) for part in date_range.parts)


def keep_findings(store: StoreResource, name: str, findings: "Sequence[tuple[DateRange, bool, str]]") -> None:
    """Keep of each city whether the check passed, for `cities_are_well`; its own light is that of its newest run."""
    from shotspotter_assets.quality.city_state import keep_outcome

    for city in {date_range.city.name for date_range, _, _ in findings}:
        of_city = [finding for finding in findings if finding[0].city.name == city]
        failed = [message for _, passed, message in of_city if not passed]
        days = [day for date_range, _, _ in of_city for day in date_range.days]
        keep_outcome(store.open(), city, name, days, " ".join(failed) if failed else None)


def check_result(
    name: str, findings: "Sequence[tuple[DateRange, Finding]]", severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """One result of the findings of all of a run's date ranges, those that failed first.

    The UI plots each number under its name over all runs: with the name of the city, no plot mixes cities.
    """
    failed_first = sorted(findings, key=lambda pair: pair[1].passed)
    metadata: panel.Metadata = {}
    for date_range, finding in findings:
        several = sum(other.city.name == date_range.city.name for other, _ in findings) > 1
        prefix = f"{date_range.city.name}{f' {date_range.first}' if several else ''}: "
        metadata |= {prefix + number: value for number, value in finding.numbers.items()}
    days = {date_range.key(day): number for date_range, finding in findings for day, number in finding.days.items()}
    if days:
        metadata["partitions"] = dict(sorted(days.items())[:SHOWN_PARTITIONS])
    return dg.AssetCheckResult(
        passed=all(finding.passed for _, finding in findings),
        check_name=name,
        severity=severity,
        metadata=metadata,
        description=" ".join(f"{date_range.city.name}: {finding.message}" for date_range, finding in failed_first),
    )


def schema_check(partitions: Partitions, name: str, asset: str, file: str, meaning: str) -> dg.AssetChecksDefinition:
    """The check that stored tables are as the schema of its name in `quality.schemas` says."""

    @dg.asset_check(name=name, asset=asset, description=meaning, partitions_def=partitions.city_date, blocking=True)
    def check(
        context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
    ) -> dg.AssetCheckResult:
        from shotspotter_assets.quality.schemas import SCHEMAS, schema_finding

        findings = [
            (each, schema_finding(SCHEMAS[name](each.city), stored_rows(store, each, asset, file), asset))
            for each in date_ranges(context, cities)
        ]
        keep_findings(store, name, [(each, finding.passed, finding.message) for each, finding in findings])
        return check_result(name, findings, dg.AssetCheckSeverity.ERROR)

    return check
