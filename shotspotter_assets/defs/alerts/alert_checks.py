"""Checks of the alerts: no row is lost, the tables are what they should be, and the data are what they should be.

Each check reads the days of its run once, and the stored days of the year before where it compares.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.alerts.raw_alerts import cleaned_alerts, raw_alerts
from shotspotter_assets.defs.environment import CITIES, PARTITIONS
from shotspotter_assets.defs.partition_keys import Stretch, stretches
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.quality.finding import CHECKS
from shotspotter_assets.storage.file_names import ALERTS_FILE, REJECTED_FILE

if TYPE_CHECKING:
    from shotspotter_assets.quality.alerts import Window
    from shotspotter_assets.quality.finding import Finding
    from shotspotter_assets.quality.usual import Usual
    from shotspotter_assets.storage.store import Store

RHYTHM_DAYS: Final = 120
"""Stored days that tell a city's rhythm: four months hold enough ordinary days, and are quickly read for many cities."""

SHOWN_PARTITIONS: Final = 200
"""Partitions that a check's metadata lists."""


@dg.asset_check(asset=cleaned_alerts, partitions_def=PARTITIONS.city_date, blocking=True)
def rows_are_conserved(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """Rows received = rows cleaned + rows rejected + exact duplicates, on every day, counted from the stored files."""
    from shotspotter_assets.cleaning.conservation import unaccounted_rows

    wrong: dict[str, int] = {}
    rows = 0
    for stretch in stretches(context):
        window = (stretch.city.name, stretch.days[0], stretch.days[-1])
        opened = store.open()
        raw, alerts, rejected = (
            opened.read_window(asset, window[0], file, *window[1:])
            for asset, file in (
                ("raw_alerts", ALERTS_FILE),
                ("cleaned_alerts", ALERTS_FILE),
                ("cleaned_alerts", REJECTED_FILE),
            )
        )
        rows += raw.num_rows
        wrong |= {stretch.key(day): difference for day, difference in unaccounted_rows(raw, alerts, rejected).items()}
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"rows_received": rows, "unaccounted_rows_by_partition": wrong},
        description=f"Materialise cleaned_alerts again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )


@dg.asset_check(asset=raw_alerts, partitions_def=PARTITIONS.city_date, blocking=True)
def raw_schema(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The raw table has its columns, types and nulls, and no row of the source twice."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[Stretch, Finding]] = []
    for stretch in stretches(context):
        raw = _of_stretch(store, stretch, "raw_alerts", ALERTS_FILE)
        found.append((stretch, schemas.schema_finding("raw_schema", schemas.raw_schema(), raw, "raw_alerts")))
    return _result("raw_schema", found, dg.AssetCheckSeverity.ERROR)


@dg.asset_check(asset=cleaned_alerts, partitions_def=PARTITIONS.city_date, blocking=True)
def cleaned_schema(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The tidy table has its columns and types, points in the box, known type codes, and `user_id` in sequence."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[Stretch, Finding]] = []
    for stretch in stretches(context):
        alerts = _of_stretch(store, stretch, "cleaned_alerts", ALERTS_FILE)
        schema = schemas.cleaned_schema(stretch.city)
        found.append((stretch, schemas.schema_finding("cleaned_schema", schema, alerts, "cleaned_alerts")))
    return _result("cleaned_schema", found, dg.AssetCheckSeverity.ERROR)


@dg.asset_check(asset=cleaned_alerts, partitions_def=PARTITIONS.city_date, blocking=True)
def rejected_schema(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The rejected rows are as they were received, each with a known reason."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[Stretch, Finding]] = []
    for stretch in stretches(context):
        rejected = _of_stretch(store, stretch, "cleaned_alerts", REJECTED_FILE)
        schema = schemas.rejected_schema()
        found.append((stretch, schemas.schema_finding("rejected_schema", schema, rejected, "cleaned_alerts")))
    return _result("rejected_schema", found, dg.AssetCheckSeverity.ERROR)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=cleaned_alerts, description=text, partitions_def=PARTITIONS.city_date)
        for name, text in CHECKS.items()
    ]
)
def data_quality(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Iterator[dg.AssetCheckResult]:
    """What is odd about the data of the run's days, against the stored days of the year before them."""
    from shotspotter_assets.quality.alerts import alert_findings

    found = [(stretch, alert_findings(_window(store.open(), stretch))) for stretch in stretches(context)]
    for at, name in enumerate(CHECKS):
        yield _result(name, [(stretch, findings[at]) for stretch, findings in found], dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=raw_alerts, partitions_def=PARTITIONS.city_date)
def late_cities(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """No city's newest alerts are older than its rhythm allows, whichever cities this run is of."""
    from shotspotter_assets.quality.usual import late_cities as find_late_cities

    opened = store.open()
    served = {name: city for name, city in CITIES.items() if city.end is None}
    yesterdays = {name: _yesterday(city) for name, city in served.items()}
    finding = find_late_cities({name: _rhythm(opened, city) for name, city in served.items()}, yesterdays)
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=dict(finding.numbers),
        description=finding.message,
    )


def _of_stretch(store: StoreResource, stretch: Stretch, asset: str, file: str) -> pa.Table:
    return store.open().read_window(asset, stretch.city.name, file, stretch.days[0], stretch.days[-1])


def _window(store: "Store", stretch: Stretch) -> "Window":
    from shotspotter_assets.quality.alerts import ALERT_COLUMNS, Window
    from shotspotter_assets.quality.finding import HISTORY_DAYS

    city, first, last = stretch.city.name, stretch.days[0], stretch.days[-1]
    since = first - timedelta(days=HISTORY_DAYS)
    alerts = store.read_present("cleaned_alerts", city, ALERTS_FILE, since, last, ALERT_COLUMNS)
    assert alerts is not None
    stored = [day for day in store.days_present("cleaned_alerts", city, ALERTS_FILE) if since <= day <= last]
    raw = store.read_window("raw_alerts", city, ALERTS_FILE, first, last, ["received_row"])
    rejected = store.read_window("cleaned_alerts", city, REJECTED_FILE, first, last, ["reason"])
    return Window.of(stretch.city, stretch.days, stored, alerts, raw, rejected)


def _rhythm(store: "Store", city: City) -> "Usual | None":
    """The usual volume of the newest stored days; None where there are none."""
    from shotspotter_assets.calendar.local_time import days_between
    from shotspotter_assets.quality.shares import rows_of_each
    from shotspotter_assets.quality.usual import usual_volume

    stored = sorted(store.days_present("raw_alerts", city.name, ALERTS_FILE))
    if not stored:
        return None
    first = max(stored[0], stored[-1] - timedelta(days=RHYTHM_DAYS))
    rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, first, stored[-1], ["received_row"])
    assert rows is not None
    days = days_between(first, stored[-1])
    counts = rows_of_each(rows["date"].to_numpy().astype("datetime64[D]"), days)
    return usual_volume({day: counts[day] for day in stored if day >= first}, days, city)


def _result(
    name: str, found: "Sequence[tuple[Stretch, Finding]]", severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """One result of the findings of all of a run's stretches, those that failed first."""
    failed_first = sorted(found, key=lambda pair: pair[1].passed)
    metadata: dict[str, Any] = {}
    for stretch, finding in found:
        prefix = "" if len(found) == 1 else f"{stretch.city.name} {stretch.days[0]}: "
        metadata |= {prefix + number: value for number, value in finding.numbers.items()}
    days = {stretch.key(day): number for stretch, finding in found for day, number in finding.days.items()}
    if days:
        metadata["partitions"] = dict(sorted(days.items())[:SHOWN_PARTITIONS])
    return dg.AssetCheckResult(
        passed=all(finding.passed for _, finding in found),
        check_name=name,
        severity=severity,
        metadata=metadata,
        description=" ".join(f"{stretch.city.name}: {finding.message}" for stretch, finding in failed_first),
    )


def _yesterday(city: City) -> date:
    return datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
