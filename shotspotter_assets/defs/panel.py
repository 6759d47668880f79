"""How values and findings look in the UI: metadata of assets, results of checks."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.partitions import DateRange

if TYPE_CHECKING:
    from shotspotter_assets.quality.finding import Finding

SIGNIFICANT_DIGITS: Final = 4

SHOWN_PARTITIONS: Final = 200
"""Partitions that a check's metadata lists."""


def column_schema(columns: Mapping[str, str]) -> dict[str, dg.TableSchema]:
    """The columns of an asset's table and their types, for its page; the day is the partition's."""
    shown = [dg.TableColumn(name, kind) for name, kind in columns.items() if name != "date"]
    return {"dagster/column_schema": dg.TableSchema(shown)}


def check_result(
    name: str, findings: "Sequence[tuple[DateRange, Finding]]", severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """One result of the findings of all of a run's date ranges, those that failed first."""
    failed_first = sorted(findings, key=lambda pair: pair[1].passed)
    metadata: dict[str, Any] = {}
    for date_range, finding in findings:
        prefix = "" if len(findings) == 1 else f"{date_range.city.name} {date_range.first}: "
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


def picture(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG, held in the metadata itself."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")


def bullets(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    """A list, or "None."."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "None.")


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with floats of four significant digits; the stored files keep all of them."""
    return {name: _rounded(value) for name, value in values.items()}


def table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows of equal names, of which there is at least one; floats are rounded."""
    records = [dg.TableRecord(rounded(row)) for row in rows]
    columns = {name: [record.data[name] for record in records] for name in records[0].data}
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema([dg.TableColumn(name, _kind(values)) for name, values in columns.items()])
    )


def _rounded(value: Any) -> Any:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def _kind(values: Sequence[Any]) -> str:
    known = [value for value in values if value is not None]
    for kind, name in ((str, "string"), (int, "int")):
        if known and all(isinstance(value, kind) for value in known):
            return name
    return "float"
