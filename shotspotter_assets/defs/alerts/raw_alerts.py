"""Raw alerts of a city by local day: the rows of its sources, with when they were received."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import SINGLE_RUN, asset_key, day_partitions, run_days
from shotspotter_assets.sources.columns import RAW_COLUMNS
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.sources.known_days import DayStates
    from shotspotter_assets.sources.unreadable import Unreadable
    from shotspotter_assets.storage.store import Store

SILENT_DAYS: Final = 7
"""Days without a row at the end of a range that are worth a warning, however plausible."""


def definitions(city: City) -> dg.Definitions:
    """The asset and its checks."""
    key, days = asset_key(city, "raw_alerts"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        backfill_policy=SINGLE_RUN,
        group_name=city.name,
        kinds={"parquet"},
        code_version="1",
        metadata=panel.column_schema(RAW_COLUMNS) | {"automation": city.automation},
    )
    def raw_alerts(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource) -> None:
        """Alerts as the city's sources publish them, filed under local days, with where and when they were received.

        One run reads a whole range of days with one scan of the sources. A day without alerts is a file without rows; a
        day that the source has not published yet says `known: false` and is nobody's input. The data version of a day is
        a hash of its rows and of whether it is known.
        """
        from shotspotter_assets.quality.on_time import keep_rhythm

        opened = store.open()
        _read(context, opened, sources, city, run_days(context, city))
        keep_rhythm(opened, city)

    @dg.asset_check(asset=key, partitions_def=days)
    def alerts_are_on_time(store: StoreResource) -> dg.AssetCheckResult:
        """The city's newest alerts are not older than its rhythm and its publication rule allow."""
        return _as_result(late_evaluation(store.open(), city))

    @dg.asset_check(asset=key, partitions_def=days)
    def files_are_readable(store: StoreResource) -> dg.AssetCheckResult:
        """No landed file of the city is left out because it cannot be read."""
        from shotspotter_assets.sources.unreadable import read_unreadable

        return _as_result(unreadable_evaluation(city, read_unreadable(store.open(), city.name)))

    return dg.Definitions(assets=[raw_alerts], asset_checks=[alerts_are_on_time, files_are_readable])


def late_evaluation(store: "Store", city: City) -> dg.AssetCheckEvaluation:
    """Evaluate `alerts_are_on_time`; the arrivals sensors do too, as a silent source starts no run."""
    from shotspotter_assets.quality.on_time import alerts_on_time, kept_rhythm

    yesterday = datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
    issued = max(store.days_present("risk_forecasts", city.name, FORECAST_FILE), default=None)
    finding = alerts_on_time(kept_rhythm(store, city), city, yesterday, issued)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(city, "raw_alerts"),
        check_name="alerts_are_on_time",
        passed=finding.passed or city.end is not None,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=dict(finding.numbers),
        description=finding.message,
    )


def unreadable_evaluation(city: City, files: "Mapping[str, Unreadable]") -> dg.AssetCheckEvaluation:
    """Evaluate `files_are_readable` from the unreadable files by path."""
    from shotspotter_assets.quality.on_time import readable_files

    finding = readable_files(files)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(city, "raw_alerts"),
        check_name="files_are_readable",
        passed=finding.passed,
        metadata=dict(finding.numbers),
        description=finding.message,
    )


def _as_result(evaluation: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=evaluation.passed,
        severity=evaluation.severity,
        metadata=evaluation.metadata,
        description=evaluation.description,
    )


def _read(
    context: dg.AssetExecutionContext, store: "Store", sources: SourcesResource, city: City, days: Sequence[date]
) -> None:
    """Read and store the days of a run."""
    from shotspotter_assets.calendar.local_time import rows_of_days
    from shotspotter_assets.cleaning.day_settings import SETTINGS, days_of_other_settings, refuse_days, settings_hash
    from shotspotter_assets.sources.known_days import day_states, mark_states, state_version
    from shotspotter_assets.sources.receive import receive
    from shotspotter_assets.sources.schema import PUBLISHED
    from shotspotter_assets.sources.unreadable import read_unreadable, write_unreadable
    from shotspotter_assets.storage.fingerprints import day_fingerprints

    known_unreadable = read_unreadable(store, city.name)
    readers = sources.readers(city, {path: file.version for path, file in known_unreadable.items()})
    stored = _stored_before(context, store, city.name, days)
    received = receive(readers, days[0], days[-1], stored)
    if broken := {path: file for reader in readers for path, file in reader.unreadable().items()}:
        write_unreadable(store, city.name, known_unreadable | broken)  # for the check and the sensor
    if received.unread_files:
        file = received.unread_files[0]
        stale = days_of_other_settings(stored.schema.metadata, days, city, "raw_alerts")
        refuse_days(stale, city, "raw_alerts", f"rows of {file} (land it again)")
    known = day_states(store, city, readers, received.rows.select(["date", "received_at"]), days)
    by_day = mark_states(rows_of_days(received.rows, days), known.states)
    by_day = mark_states(by_day, dict.fromkeys(days, settings_hash(city, "raw_alerts")), SETTINGS)
    with store.alone("raw_alerts", city.name):
        store.write_tables("raw_alerts", city.name, ALERTS_FILE, by_day)
    versions = day_fingerprints(received.rows.select(PUBLISHED), list(by_day))
    for day, table in by_day.items():
        state = known.states.get(day)
        metadata: panel.Metadata = {
            "dagster/partition_row_count": table.num_rows,
            "data_version": state_version(versions[day], state),
            **panel.day_state(state, known.why),
        }
        context.add_asset_metadata(metadata, partition_key=str(day))
    _warn_of_unread_files(context, received.unread_files)
    _warn_of_unknown_days(context, city, days, known)
    context.log.info(f"{city.name}: {received.rows.num_rows:,} rows of {len(days):,} days to {days[-1]}")


def _stored_before(context: dg.AssetExecutionContext, store: "Store", city: str, days: Sequence[date]) -> "pa.Table":
    """The rows stored of the days; none where a file is damaged, as this run replaces it."""
    from shotspotter_assets.sources.schema import RAW_SCHEMA

    try:
        stored = store.read_present("raw_alerts", city, ALERTS_FILE, days[0], days[-1])
    except CorruptObjectError as error:
        context.log.warning(f"{error} The days are read again; when their rows were first received is lost.")
        stored = None
    return RAW_SCHEMA.empty_table() if stored is None else stored


def _warn_of_unread_files(context: dg.AssetExecutionContext, files: Sequence[str]) -> None:
    if files:
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        context.log.warning(
            f"These files cannot be read now, and their stored rows stay as they were: {', '.join(files[:5])}{more}. To "
            "withdraw rows, land the file again without them."
        )


def _warn_of_unknown_days(
    context: dg.AssetExecutionContext, city: City, days: Sequence[date], known: "DayStates"
) -> None:
    unknown = [day for day, state in sorted(known.states.items()) if state == "unknown"]
    silent = [day for day, state in sorted(known.states.items()) if state == "silent"]
    if unknown:
        context.log.warning(
            f"{city.name}: {unknown[0]} to {unknown[-1]} ({len(unknown):,} days) are not known yet. {known.why} Models are "
            "neither trained nor scored on them; the sensor requests them again when newer rows come."
        )
    elif len(silent) >= SILENT_DAYS:
        context.log.warning(
            f"{city.name}: the source has no row for the last {len(silent):,} of {len(days):,} days, {silent[0]} to "
            f"{silent[-1]}. {known.why} They count as days without alerts; if the source ends before them, set `end` in the "
            "city's file."
        )
