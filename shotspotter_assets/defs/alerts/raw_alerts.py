"""Raw alerts of a city by local day: the rows of its sources, with when they were received."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import asset_decorator
from shotspotter_assets.defs.partitions import asset_key, day_partitions, run_days
from shotspotter_assets.defs.resources import SourcesResource, Store, StoreResource
from shotspotter_assets.storage.catalogue import RAW_ROWS, Asset
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.wording import number_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.sources.day_table import Day
    from shotspotter_assets.sources.snapshot import Snapshot

MIN_WARNED_SILENCE_DAYS: Final = 7  # minimum length of a silence that is logged as a warning
STATES_WARNED_OF: Final = {
    "held_back": "They count in no model and no score until the landed file or the city's file is corrected.",
    "unknown": "Models are neither trained nor scored on them; they are rebuilt when newer rows come.",
    "silent": "They count as days without alerts; if the source ends before them, set `end` in the city's file.",
}
"""Consequence and remedy by state of a day."""


def definitions(city: City) -> dg.Definitions:
    """Build the asset and its checks."""
    key = asset_key(city, Asset.RAW_ALERTS)
    days = day_partitions(city)

    @asset_decorator(city, Asset.RAW_ALERTS, kinds={"parquet"}, code_version="2", table=RAW_ROWS)
    def raw_alerts(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource) -> None:
        """Alerts as the city's sources publish them, filed under local days, with where and when they were received.

        One run reads a whole range of days with one scan of the sources. A day without alerts is a file without rows. The
        table of days says of each day whether it is known, silent, not known yet, or held back because most of its rows
        cannot be used, and why. The data version of a day is a hash of its rows and of its state.
        """
        from shotspotter_assets.calendar.dates import rows_of_days
        from shotspotter_assets.cities.stored_settings import SETTINGS, settings_hash
        from shotspotter_assets.sources.day_table import DayTable
        from shotspotter_assets.sources.schema import PUBLISHED, keep_first_seen, read_sources
        from shotspotter_assets.sources.snapshot import record_answer, take_snapshot
        from shotspotter_assets.storage.fingerprints import day_fingerprints

        opened = store.open()
        days = run_days(context, city)
        readers = sources.readers(city, opened)
        now = local_time.now()
        try:
            earlier = opened.read_present(RAW_ROWS, city.name, days[0], days[-1])
        except CorruptObjectError as error:
            context.log.warning(f"{error} The days are read again; when their rows were first received is lost.")
            earlier = None
        rows = read_sources(readers, days[0], days[-1])
        rows = rows if earlier is None else keep_first_seen(rows, earlier)
        record_answer(opened, city.name, rows, days[0], days[-1])
        words = sources.words(city).read()
        snapshot = take_snapshot(city, readers, opened, now, poll_seconds=None, words=words)
        by_day = rows_of_days(rows.replace_schema_metadata({SETTINGS: settings_hash(city, Asset.RAW_ALERTS)}), days)
        stored = _days(opened, city, snapshot, rows, days)
        with opened.alone(RAW_ROWS.asset, city.name):
            claimed = DayTable.claim(opened, city.name, stored)
            opened.write_tables(RAW_ROWS, by_day, city.name)
            DayTable.finish(opened, city.name, stored, claimed)
        versions = day_fingerprints(rows.select(PUBLISHED), list(by_day))
        for day, entry in stored.items():
            metadata: panel.Metadata = {
                "dagster/partition_row_count": by_day[day].num_rows,
                "data_version": panel.day_version(versions[day], entry.state),
                **panel.day_state(entry),
            }
            context.add_asset_metadata(metadata, partition_key=str(day))
        _warn(context, city, stored)
        context.log.info(
            f"{city.name}: {number_of(rows.num_rows, 'row')} of {number_of(len(days), 'day')} to {days[-1]}"
        )

    @dg.asset_check(asset=key, partitions_def=days)
    def alerts_are_on_time(store: StoreResource) -> dg.AssetCheckResult:
        """The days whose alerts must be there by the city's rule, or by its usual lateness, are known."""
        from shotspotter_assets.quality.on_time import lateness

        return panel.check_result(lateness(store.open(), city))

    @dg.asset_check(asset=key, partitions_def=days)
    def files_are_readable(store: StoreResource) -> dg.AssetCheckResult:
        """No landed file of the city is left out because it cannot be used."""
        from shotspotter_assets.quality.on_time import readable_files
        from shotspotter_assets.sources.landing.received import read_received, unusable_files

        finding = readable_files(unusable_files(read_received(store.open(), city.name), city))
        return panel.check_result(finding, "ERROR")

    @dg.asset_check(asset=key, partitions_def=days)
    def days_are_usable(store: StoreResource) -> dg.AssetCheckResult:
        """No day is held back because most of its rows cannot be used, or because nobody has accepted its number."""
        from shotspotter_assets.quality.on_time import usable_days
        from shotspotter_assets.sources.day_table import DayTable

        finding = usable_days(DayTable.read(store.open(), city.name))
        return panel.check_result(finding, "ERROR")

    return dg.Definitions(assets=[raw_alerts], asset_checks=[alerts_are_on_time, files_are_readable, days_are_usable])


def _days(store: Store, city: City, snapshot: "Snapshot", rows: "pa.Table", days: Sequence[date]) -> "dict[date, Day]":
    from shotspotter_assets.cities.stored_settings import settings_hash
    from shotspotter_assets.cleaning.held_back import held_back_days
    from shotspotter_assets.quality.day_decisions import day_decisions
    from shotspotter_assets.sources.day_table import Day, DayRows, DayTable
    from shotspotter_assets.sources.schema import rows_by_origin

    is_box_doubted = snapshot.is_box_doubted if snapshot.landed else None
    held_back, rejected = held_back_days(city, rows, is_box_doubted=is_box_doubted)
    origins = rows_by_origin(rows, snapshot.addresses)
    settings = settings_hash(city, Asset.GRID_TENSORS)
    received = _received(rows) | _received(snapshot.of_first_source(rows))
    numbers = {day: sum(number for _, number in of_day.values()) for day, of_day in origins.items()}
    table = DayTable.read(store, city.name)
    found = snapshot.day_rows(table, snapshot.stored_days(table)) | {
        day: DayRows(
            numbers.get(day, 0), received.get(day), held_back.get(day, ""), origins.get(day, {}), rejected.get(day, 0)
        )
        for day in days
    }
    last = max(days[-1], snapshot.last_due(local_time.now()))
    decisions = day_decisions(city, snapshot.reports, snapshot.words, found, last)
    return {
        day: Day(
            decisions[day].state,
            decisions[day].why,
            rows=numbers.get(day, 0),
            rejected=rejected.get(day, 0),
            settings=settings,
            max_share_rejected=city.max_share_rejected,
            is_box_doubted=snapshot.is_box_doubted,
            received=received.get(day),
            sources={origin: version for origin, (version, _) in origins.get(day, {}).items()},
            is_unusual=decisions[day].is_unusual,
        )
        for day in days
    }


def _received(rows: "pa.Table") -> "dict[date, datetime]":
    of_days = rows.group_by("date").aggregate([("received_at", "min")]).to_pylist()
    return {of_day["date"]: of_day["received_at_min"] for of_day in of_days}


def _warn(context: dg.AssetExecutionContext, city: City, stored: "Mapping[date, Day]") -> None:
    """Log the days of each state that a person should look at, with the reason for the last of them."""
    for state, ending in STATES_WARNED_OF.items():
        days = [day for day, entry in stored.items() if entry.state == state]
        if days and (state != "silent" or len(days) >= MIN_WARNED_SILENCE_DAYS):
            context.log.warning(
                f"{city.name}: {state.replace('_', ' ')}, {number_of(len(days), 'day')} from {days[0]} to {days[-1]}. "
                f"{stored[days[-1]].why} {ending}"
            )
