"""Raw alerts, by city and local day: what the source gave, with when it was received."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.dagster_patches.partition_versions import add_version
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import ONE_RUN, DateRange, Partitions, date_ranges
from shotspotter_assets.sources.columns import RAW_COLUMNS
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE, WITHDRAWN_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.quality.finding import Finding
    from shotspotter_assets.quality.usual import Usual
    from shotspotter_assets.storage.store import Store

SOURCE_VERSION: Final = "source_version"
"""Metadata of a day: the live source's own version of it when it was read."""

SILENT_DAYS: Final = 7
"""So many days without a row at the end of a range are worth a warning."""

RHYTHM_DAYS: Final = 120
"""Stored days that tell a city's rhythm: four months hold enough ordinary days, and are quickly read for many cities."""


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its checks."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        backfill_policy=ONE_RUN,
        group_name="alerts",
        kinds={"parquet"},
        code_version="1",
        metadata=panel.column_schema(RAW_COLUMNS),
    )
    schema_check = dg.asset_check(asset="raw_alerts", partitions_def=partitions.city_date, blocking=True)
    check = dg.asset_check(asset="raw_alerts", partitions_def=partitions.city_date)
    return dg.Definitions(assets=[asset(raw_alerts)], asset_checks=[schema_check(raw_schema), check(late_cities)])


def raw_alerts(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource, sources: SourcesResource
) -> None:
    """Alerts as the city's source gives them, filed under local days, with where and when they were received.

    One run reads a whole range of days with one scan of the source. A day without alerts is a file without rows. The
    data version of a day is a hash of its rows: asking again makes only those days stale whose rows have changed.
    """
    from shotspotter_assets.calendar.local_time import rows_of_days
    from shotspotter_assets.sources.receive import receive
    from shotspotter_assets.sources.schema import PUBLISHED
    from shotspotter_assets.sources.seen import unreadable_versions
    from shotspotter_assets.storage.fingerprints import day_fingerprints

    for date_range in date_ranges(context, cities):
        city, days, opened = date_range.city, date_range.days, store.open()
        place = (context.asset_key.path[-1], city.name)
        readers = sources.readers(city, unreadable_versions(opened, city.name))
        received = receive(readers, days, _stored_before(context, opened, place, days))
        _warn_of_unread_files(context, received.unread_files)
        _keep_withdrawn(opened, place, received.withdrawn)
        by_day = rows_of_days(received.rows, days)
        opened.write_tables(*place, ALERTS_FILE, by_day)
        versions = day_fingerprints(received.rows.select(PUBLISHED), days)
        for day, table in by_day.items():
            add_version(context, date_range.key(day), versions[day])
            metadata: dict[str, int | str] = {"dagster/partition_row_count": table.num_rows}
            if received.source_versions is not None:
                metadata[SOURCE_VERSION] = received.source_versions.get(day, "")
            context.add_asset_metadata(metadata, partition_key=date_range.key(day))
        _warn_of_silence(context, date_range, [day for day, table in by_day.items() if table.num_rows])
        withdrawn = received.withdrawn.num_rows
        context.log.info(
            f"{city.name}: {received.rows.num_rows:,} rows of {len(days):,} days to {days[-1]}"
            + (f"; {withdrawn:,} earlier rows were changed or taken back" if withdrawn else "")
        )


def raw_schema(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The raw table has its columns, types and nulls, and no row of the source twice."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[DateRange, Finding]] = []
    for date_range in date_ranges(context, cities):
        raw = store.open().read_window(
            "raw_alerts", date_range.city.name, ALERTS_FILE, date_range.first, date_range.last
        )
        found.append((date_range, schemas.schema_finding(schemas.raw_schema(), raw, "raw_alerts")))
    return panel.check_result("raw_schema", found, dg.AssetCheckSeverity.ERROR)


def late_cities(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """No city's newest alerts are older than its rhythm allows, whichever cities this run is of."""
    from shotspotter_assets.quality.overdue_cities import overdue_cities

    opened = store.open()
    served = {name: city for name, city in cities.items() if city.end is None}
    yesterdays = {name: _yesterday(city) for name, city in served.items()}
    finding = overdue_cities({name: _rhythm(opened, city) for name, city in served.items()}, yesterdays)
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=dict(finding.numbers),
        description=finding.message,
    )


def _stored_before(
    context: dg.AssetExecutionContext, store: "Store", place: tuple[str, str], days: list[date]
) -> "pa.Table":
    """The rows stored of the days; none where a file is damaged, as this run makes it anew."""
    from shotspotter_assets.sources.schema import RAW_SCHEMA

    try:
        stored = store.read_present(*place, ALERTS_FILE, days[0], days[-1])
    except CorruptObjectError as error:
        context.log.warning(f"{error} The days are read anew; when their rows were first seen is lost.")
        stored = None
    return RAW_SCHEMA.empty_table() if stored is None else stored


def _warn_of_unread_files(context: dg.AssetExecutionContext, files: Sequence[str]) -> None:
    if files:
        context.log.warning(
            f"Rows of files that cannot be read now are kept as they were: {', '.join(files[:5])}"
            f"{f' and {len(files) - 5} more' if len(files) > 5 else ''}. To take rows back, land the file again without them."
        )


def _keep_withdrawn(store: "Store", place: tuple[str, str], withdrawn: "pa.Table") -> None:
    """Add to the rows that the source once had; most days have none, and no file."""
    import pyarrow as pa

    from shotspotter_assets.calendar.local_time import rows_of_days

    days = sorted(set(withdrawn["date"].to_pylist()))
    if not days:
        return
    earlier = store.read_present(*place, WITHDRAWN_FILE, days[0], days[-1])
    all_withdrawn = pa.concat_tables([withdrawn] if earlier is None else [earlier.cast(withdrawn.schema), withdrawn])
    by_day = rows_of_days(all_withdrawn.sort_by([("date", "ascending"), ("withdrawn_at", "ascending")]), days)
    store.write_tables(*place, WITHDRAWN_FILE, by_day)


def _warn_of_silence(context: dg.AssetExecutionContext, date_range: DateRange, days_with_rows: list[date]) -> None:
    """Days after the end of a file look like days without alerts."""
    last = days_with_rows[-1] if days_with_rows else None
    silent = date_range.days if last is None else date_range.days[date_range.days.index(last) + 1 :]
    if len(silent) >= SILENT_DAYS:
        context.log.warning(
            f"{date_range.city.name}: the source has no row for the last {len(silent):,} days, {silent[0]} to {silent[-1]}. They "
            "are stored as days without alerts; if the source ends before, do not train or test on them."
        )


def _rhythm(store: "Store", city: City) -> "Usual | None":
    """The usual volume of the newest stored days; None where there are none."""
    from shotspotter_assets.calendar.local_time import days_between
    from shotspotter_assets.quality.usual import usual_volume
    from shotspotter_assets.quality.window import dates_of, rows_by_day

    stored = sorted(store.days_present("raw_alerts", city.name, ALERTS_FILE))
    if not stored:
        return None
    first = max(stored[0], stored[-1] - timedelta(days=RHYTHM_DAYS))
    rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, first, stored[-1], ["received_row"])
    assert rows is not None
    days = days_between(first, stored[-1])
    counts = rows_by_day(dates_of(rows), days)
    return usual_volume({day: counts[day] for day in stored if day >= first}, days, city)


def _yesterday(city: City) -> date:
    return datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
