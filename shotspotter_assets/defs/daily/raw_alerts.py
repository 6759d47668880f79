"""Raw alerts of a city by local day: the rows of its sources, with when they were received."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, RunAsset
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.requested_runs import give_way
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.storage.catalogue import RAW_ROWS, Asset
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    from shotspotter_assets.alerts.days.day_table import Day

MIN_WARNED_SILENCE_DAYS: Final = 7  # minimum length of a silence that is logged as a warning
STATES_WARNED_OF: Final = {
    "held_back": "They count in no model and no score until the landed file or the city's file is corrected.",
    "unknown": "Models are neither trained nor scored on them; they are rebuilt when newer rows come.",
    "silent": "They count as days without alerts; if the source ends before them, set `end` in the city's file.",
}
"""Consequence and remedy by state of a day."""


@RunAsset(Asset.RAW_ALERTS, kinds={"parquet"}, code_version="2", table=RAW_ROWS)
def raw_alerts(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource, city: City) -> None:
    """Alerts as the city's sources publish them, filed under local days, with where and when they were received.

    One run reads a whole range of days with one scan of the sources. A day without alerts is a file without rows. The
    table of days gives the state of each day with its reason: known, silent, unknown, or held back because most of its
    rows cannot be used. The data version of a day is that of its rows, settings and state in the table.
    """
    from shotspotter_assets.alerts.days.day_table import DayTable
    from shotspotter_assets.alerts.days.stored_states import stored_states
    from shotspotter_assets.alerts.sources.schema import keep_first_seen, read_sources
    from shotspotter_assets.alerts.sources.snapshot import record_answer, take_snapshot
    from shotspotter_assets.cities.stored_settings import origins_of_days
    from shotspotter_assets.grid.dates import rows_of_days
    from shotspotter_assets.storage.lineage import record_lineage

    give_way(context.run.tags)
    opened = store.open()
    days = run_days(context, city)
    readers = sources.readers(city.site, opened)
    now = local_time.now()
    try:
        earlier = opened.read_present(RAW_ROWS, city.name, days[0], days[-1])
    except CorruptObjectError as error:
        context.log.warning(f"{error} The days are read again; when their rows were first received is lost.")
        earlier = None
    rows = read_sources(readers, days[0], days[-1])
    rows = rows if earlier is None else keep_first_seen(rows, earlier)
    record_answer(opened, city.name, rows, days[0], days[-1])
    snapshot = take_snapshot(city.site, readers, opened, now, poll_seconds=None, words=sources.words(city).read())
    by_day = rows_of_days(rows.replace_schema_metadata(None), days)
    last = max(days[-1], snapshot.last_due(local_time.now()))
    stored = stored_states(city, snapshot, DayTable.read(opened, city.name), rows, days, last)
    with opened.alone(RAW_ROWS.asset, city.name):
        claimed = DayTable.claim(opened, city.name, stored)
        opened.write_tables(RAW_ROWS, by_day, city.name)
        DayTable.finish(opened, city.name, stored, claimed)
    origins = origins_of_days(city, Asset.RAW_ALERTS, {day: entry.version for day, entry in stored.items()})
    record_lineage(opened, Asset.RAW_ALERTS, city.name, origins)
    for day, entry in stored.items():
        metadata: panel.Metadata = {
            **panel.stored_rows(opened, city, RAW_ROWS, day, by_day[day].num_rows),
            "data_version": entry.version,
            **panel.day_state(entry),
        }
        context.add_asset_metadata(metadata, partition_key=str(day))
    _warn(context, city, stored)
    context.log.info(f"{city.name}: {number_of(rows.num_rows, 'row')} of {number_of(len(days), 'day')} to {days[-1]}")


@Check(Asset.RAW_ALERTS)
def alerts_are_on_time(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The days whose alerts must be there by the city's rule, or by its usual lateness, are known."""
    from shotspotter_assets.alerts.days.city_now import lateness

    return panel.check_result(lateness(store.open(), city))


@Check(Asset.RAW_ALERTS)
def files_are_readable(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """No landed file of the city is left out because it cannot be used."""
    from shotspotter_assets.alerts.days.city_now import readable_files
    from shotspotter_assets.alerts.sources.landing.received import read_received, unusable_files

    finding = readable_files(unusable_files(read_received(store.open(), city.name), city.site))
    return panel.check_result(finding, "ERROR")


@Check(Asset.RAW_ALERTS)
def days_are_usable(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """No day is held back because most of its rows cannot be used, or because nobody has accepted its number."""
    from shotspotter_assets.alerts.days.city_now import usable_days
    from shotspotter_assets.alerts.days.day_table import DayTable

    finding = usable_days(DayTable.read(store.open(), city.name))
    return panel.check_result(finding, "ERROR")


def _warn(context: dg.AssetExecutionContext, city: City, stored: "Mapping[date, Day]") -> None:
    """Log the days of each state that a person should look at, with the reason for the last of them."""
    from shotspotter_assets.alerts.days.days_in_words import days_in_words

    for state, ending in STATES_WARNED_OF.items():
        days = [day for day, entry in stored.items() if entry.state == state]
        if days and (state != "silent" or len(days) >= MIN_WARNED_SILENCE_DAYS):
            context.log.warning(
                f"{city.name}: {state.replace('_', ' ')}, {days_in_words(days)}. {stored[days[-1]].why} {ending}"
            )
