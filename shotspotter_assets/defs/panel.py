"""How values look in the metadata panel of the UI."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.resources import Store
from shotspotter_assets.storage.catalogue import NOWCAST_HOURS
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets.storage.wording import plain

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.finding import Finding
    from shotspotter_assets.alerts.days.day_table import Day
    from shotspotter_assets.forecasts.nowcasting import NowcastRecord

SIGNIFICANT_DIGITS: Final = 4
SHOWN_DAYS: Final = 200

Metadata = dict[str, Any]  # entries of the panel by name; the type that Dagster gives their values is not public


def of_targets(panels: Sequence[tuple[City, Metadata]]) -> Metadata:
    """Join the panels of a city by target; names start with the target if there are several."""
    from shotspotter_assets.storage.fingerprints import sha256

    joined: Metadata = {}
    for city, panel in panels:
        before = f"{city.target}: " if len(panels) > 1 else ""
        joined |= {before + name: value for name, value in panel.items() if name != "data_version"}
    versions = [panel["data_version"] for _, panel in panels if "data_version" in panel]
    if versions:
        joined["data_version"] = versions[0] if len(versions) == 1 else sha256("".join(versions))[:16]
    return joined


def sentences(panels: Sequence[tuple[City, str]]) -> str:
    """Join texts by target, which they start with if there are several; texts may be empty."""
    before = "{}: " if len(panels) > 1 else ""
    return " ".join(before.format(city.target) + text for city, text in panels if text)


def column_schema(table: StoredTable) -> dict[str, dg.TableSchema]:
    """Return the columns of a table with types and meanings, for the page of its asset."""
    columns = [*table.own_columns.items(), *([] if table.others is None else [("<model>", table.others)])]
    schema = dg.TableSchema([dg.TableColumn(name, column.kind, column.meaning) for name, column in columns])
    return {"dagster/column_schema": schema}


def day_state(day: "Day") -> dict[str, bool | str]:
    """Return entries about the state of a day; a day that is known for its rows has none."""
    if day.rows and day.state == "known":
        return {}
    return {"known": day.is_counted, "state": day.state, "why_known" if day.is_counted else "why_not_known": day.why}


def picture(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG held in the metadata itself."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")


def bullets(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return lines as a list, or "None."; they may hold texts of errors and names of files."""
    return dg.MetadataValue.md("\n".join(f"- {plain(line)}" for line in lines) or "None.")


def rounded(values: Mapping[str, Any]) -> Metadata:
    """Round floats to four significant digits; the stored files keep all of them."""
    digits = f".{SIGNIFICANT_DIGITS}g"
    return {name: float(f"{value:{digits}}") if isinstance(value, float) else value for name, value in values.items()}


def table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Return rows of equal names as a table; floats are rounded."""
    records = [dg.TableRecord(rounded(row)) for row in rows]
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("None.")


def check_result(finding: "Finding", severity: str = "WARN", check: str | None = None) -> dg.AssetCheckResult:
    """Return the result of a check, or of the named one of several, with the first days on which it found something."""
    days = {str(day): number for day, number in sorted(finding.days.items())[:SHOWN_DAYS]}
    return dg.AssetCheckResult(
        passed=finding.passed,
        check_name=check,
        metadata={**finding.numbers, **({"days": days} if days else {})},
        severity=dg.AssetCheckSeverity(severity),
        description=finding.message,
    )


def nowcast(store: Store, record: "NowcastRecord") -> Metadata:
    """Return the facts of a stored nowcast."""
    return {
        **record.model_dump(mode="json", exclude={"format_version"}),
        "path": dg.MetadataValue.path(store.uri(NOWCAST_HOURS, record.city)),
    }


def stored_rows(store: Store, city: City, table: StoredTable, key: date | None, rows: int) -> Metadata:
    """Return the address and the number of rows of a table under the names that Dagster displays."""
    name = "dagster/row_count" if key is None else "dagster/partition_row_count"
    return {"dagster/uri": store.uri(table, city.name, key), name: rows}
