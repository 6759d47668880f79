"""Raw alerts, by city and local day: what the source gave, with when it was received."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.publication import NOT_KNOWN
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.dagster_patches.partition_versions import add_version
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.checks import schema_check
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import ONE_RUN, DateRange, Partitions, date_ranges, with_progress
from shotspotter_assets.sources.columns import RAW_COLUMNS
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE, WITHDRAWN_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.sources.arrivals import Unreadable
    from shotspotter_assets.sources.day_states import DayStates
    from shotspotter_assets.sources.protocol import AlertSource
    from shotspotter_assets.storage.store import Store

RAW_SCHEMA_HOLDS: Final = "The raw table has its columns, types and nulls, and no row of the source twice."
SILENT_DAYS: Final = 7
"""So many days without a row at the end of a range are worth a warning, however plausible."""

SOURCE_VERSION: Final = "source_version"
"""Metadata of a day: the live source's own version of it when it was read."""


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
    check = dg.asset_check(asset="raw_alerts", partitions_def=partitions.city_date)
    schema = schema_check(partitions, "raw_schema", "raw_alerts", ALERTS_FILE, RAW_SCHEMA_HOLDS)
    return dg.Definitions(
        assets=[asset(raw_alerts)], asset_checks=[schema, check(late_cities), check(unreadable_files)]
    )


def raw_alerts(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource, sources: SourcesResource
) -> None:
    """Alerts as the city's source gives them, filed under local days, with where and when they were received.

    One run reads a whole range of days with one scan of the source. A day without alerts is a file without rows; one that
    the source has not published yet says `known: false` and is nobody's input. The data version of a day is a hash of
    its rows and of whether it is known: asking again makes only those days stale for which that has changed.
    """
    from shotspotter_assets.cities.memory import require_memory
    from shotspotter_assets.quality.rhythm import keep_rhythm
    from shotspotter_assets.sources.seen import unreadable_versions

    opened = store.open()
    for date_range in date_ranges(context, cities):
        city = date_range.city
        require_memory(city, date_range.last)
        _read_range(context, opened, date_range, sources.readers(city, unreadable_versions(opened, city.name)))
        keep_rhythm(opened, city)


def _read_range(
    context: dg.AssetExecutionContext, store: "Store", date_range: DateRange, readers: "Sequence[AlertSource]"
) -> None:
    """Read and store the days of a range; of landed files, the rows of a part of them are in memory at a time."""
    import pyarrow as pa

    from shotspotter_assets.calendar.local_time import rows_of_days
    from shotspotter_assets.cleaning.day_settings import days_of_other_settings, refuse_days, with_settings
    from shotspotter_assets.sources.day_states import DayStates, day_states
    from shotspotter_assets.sources.known_days import mark_states, silent_at_end
    from shotspotter_assets.sources.protocol import PartwiseSource
    from shotspotter_assets.sources.receive import receive
    from shotspotter_assets.sources.schema import PUBLISHED
    from shotspotter_assets.storage.fingerprints import day_fingerprints

    city, days = date_range.city, date_range.days
    parts = date_range.parts if all(isinstance(reader, PartwiseSource) for reader in readers) else [date_range]
    stored = partial(_stored_before, context, store, city.name)
    seen: list[pa.Table] = []
    pending: dict[date, pa.Table] = {}
    known = DayStates({}, "", "")
    unread: set[str] = set()
    withdrawn = 0
    of_parts = receive(readers, [part.days for part in parts], stored)
    for part, received in zip(with_progress(context, parts, "read"), of_parts, strict=True):
        if received.unread_files:
            stale = days_of_other_settings(stored(part.days).schema.metadata, part.days, city, "raw_alerts")
            refuse_days(stale, city, "raw_alerts", f"rows of {received.unread_files[0]} (land it again)")
        seen.append(received.rows.select(["date", "received_at"]))
        by_day = pending | rows_of_days(received.rows, part.days)
        if part.last == date_range.last:
            known = day_states(store, city, readers, pa.concat_tables(seen), days)
            by_day, pending = mark_states(by_day, known.states), {}
        else:
            # Whether these days are known depends on the parts after them.
            silent = silent_at_end(received.rows["date"], list(by_day))
            pending = {day: by_day.pop(day) for day in silent}
        with store.alone("raw_alerts", city.name):
            _keep_withdrawn(store, city.name, received.withdrawn)
            store.write_tables("raw_alerts", city.name, ALERTS_FILE, with_settings(by_day, city, "raw_alerts"))
        versions = day_fingerprints(received.rows.select(PUBLISHED), list(by_day))
        rows = {day: table.num_rows for day, table in by_day.items()}
        _report_days(context, date_range, rows, versions, received.source_versions, known)
        unread |= set(received.unread_files)
        withdrawn += received.withdrawn.num_rows
    _warn_of_unread_files(context, sorted(unread))
    _warn_of_unknown_days(context, date_range, known)
    context.log.info(
        f"{city.name}: {sum(table.num_rows for table in seen):,} rows of {len(days):,} days to {days[-1]}"
        + (f"; {withdrawn:,} earlier rows were changed or taken back" if withdrawn else "")
    )


def _report_days(
    context: dg.AssetExecutionContext,
    date_range: DateRange,
    rows: Mapping[date, int],
    versions: Mapping[date, str],
    source_versions: Mapping[date, str] | None,
    known: "DayStates",
) -> None:
    """Data version and metadata of each day."""
    from shotspotter_assets.sources.known_days import state_version

    for day, number in rows.items():
        state = known.states.get(day)
        metadata: dict[str, int | str | bool] = {
            "dagster/partition_row_count": number,
            **panel.day_state(state, known.why),
        }
        if source_versions is not None:
            metadata[SOURCE_VERSION] = source_versions.get(day, "")
        if state == "unknown":
            metadata[SOURCE_VERSION] = NOT_KNOWN
        if known.publishes and day == date_range.last:
            metadata["publishes"] = known.publishes
        add_version(context, date_range.key(day), state_version(versions[day], state))
        context.add_asset_metadata(metadata, partition_key=date_range.key(day))


def late_cities(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """No automated city's newest alerts are older than its rhythm allows, whichever cities this run is of."""
    from shotspotter_assets.quality.city_state import failed_cities, keep_outcome
    from shotspotter_assets.quality.overdue_cities import late_city, overdue_cities
    from shotspotter_assets.quality.rhythm import kept_rhythms

    opened, now = store.open(), datetime.now(UTC)
    served = {name: city for name, city in cities.items() if city.end is None and city.is_automated}
    yesterdays = {name: now.astimezone(city.zone).date() - timedelta(days=1) for name, city in served.items()}
    finding = overdue_cities(
        kept_rhythms(opened, served),
        served,
        yesterdays,
        lambda name: max(opened.days_present("risk_forecasts", name, FORECAST_FILE), default=None),
    )
    were_late = failed_cities(opened, "late_cities")
    for name, yesterday in yesterdays.items():
        late = late_city(finding, name)
        if late is not None or name in were_late:
            keep_outcome(opened, name, "late_cities", [yesterday], late)
    manual = [name for name, city in cities.items() if city.end is None and not city.is_automated]
    not_judged = f" Not judged, as nothing is to come by itself (automation: manual): {', '.join(manual)}."
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=dict(finding.numbers),
        description=finding.message + (not_judged if manual else ""),
    )


def unreadable_files(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """No landed file of an automated city was left out because it cannot be read, whichever cities this run is of.

    Told by the sensor of the landing folders too, as soon as a file is found bad or is mended.
    """
    from shotspotter_assets.sources.seen import read_all_unreadable

    files = read_all_unreadable(store.open())
    told = unreadable_evaluation({name: files.get(name, {}) for name, city in cities.items() if city.is_automated})
    return dg.AssetCheckResult(passed=told.passed, metadata=told.metadata, description=told.description)


def unreadable_evaluation(files: "Mapping[str, Mapping[str, Unreadable]]") -> dg.AssetCheckEvaluation:
    """The check's outcome, of the unreadable files of each city by path."""
    from shotspotter_assets.quality import unreadable_files as check

    finding = check.unreadable_files(files)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("raw_alerts"),
        check_name="unreadable_files",
        passed=finding.passed,
        metadata=dict(finding.numbers),
        description=finding.message,
    )


def _stored_before(context: dg.AssetExecutionContext, store: "Store", city: str, days: Sequence[date]) -> "pa.Table":
    """The rows stored of the days; none where a file is damaged, as this run makes it anew."""
    from shotspotter_assets.sources.schema import RAW_SCHEMA

    try:
        stored = store.read_present("raw_alerts", city, ALERTS_FILE, days[0], days[-1])
    except CorruptObjectError as error:
        context.log.warning(f"{error} The days are read anew; when their rows were first seen is lost.")
        stored = None
    return RAW_SCHEMA.empty_table() if stored is None else stored


def _keep_withdrawn(store: "Store", city: str, withdrawn: "pa.Table") -> None:
    """Add to the rows that the source once had; most days have none, and no file.

    Before the days' alerts, in which a run that is cut off in between then finds the rows to be withdrawn once more.
    """
    from shotspotter_assets.calendar.local_time import rows_of_days
    from shotspotter_assets.sources.receive import all_withdrawn

    days = sorted(set(withdrawn["date"].to_pylist()))
    by_day = rows_of_days(withdrawn.sort_by("date"), days)
    store.add_to_tables("raw_alerts", city, WITHDRAWN_FILE, by_day, all_withdrawn)


def _warn_of_unread_files(context: dg.AssetExecutionContext, files: Sequence[str]) -> None:
    if files:
        context.log.warning(
            f"Rows of files that cannot be read now are kept as they were: {', '.join(files[:5])}"
            f"{f' and {len(files) - 5} more' if len(files) > 5 else ''}. To take rows back, land the file again without them."
        )


def _warn_of_unknown_days(context: dg.AssetExecutionContext, date_range: DateRange, known: "DayStates") -> None:
    unknown = [day for day, state in sorted(known.states.items()) if state == "unknown"]
    silent = [day for day, state in sorted(known.states.items()) if state == "silent"]
    if unknown:
        context.log.warning(
            f"{date_range.city.name}: {unknown[0]} to {unknown[-1]} ({len(unknown):,} days) are not known yet. {known.why} "
            "Nothing is trained on or scored with them; they are asked for again when newer rows come."
        )
    elif len(silent) >= SILENT_DAYS:
        context.log.warning(
            f"{date_range.city.name}: the source has no row for the last {len(silent):,} days, {silent[0]} to {silent[-1]}. "
            f"{known.why} They count as days without alerts; if the source ends before, do not train or test on them."
        )
