"""Tables beside a city's alerts: their rows by local day, read as alerts are, and the versions of each day in the store.

A section of the city's file (`cities.accountability`) names the source. Landed files and answers are kept apart from those of
alerts. Of several versions of a row, the one received last counts.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import PurePosixPath

import pyarrow as pa
from pydantic import BaseModel

from shotspotter_assets.alerts.sources.alert_source import AlertSource, NoFilesError, UnusableFilesError
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.alerts.sources.snapshot import Snapshot, record_answer, take_snapshot
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.storage.catalogue import TABLE_STATE
from shotspotter_assets.storage.store import Store

log = logging.getLogger(__name__)


class TableState(BaseModel, frozen=True):
    """The rows that a side table had when it was last looked at."""

    versions: dict[date, str] = {}  # version of the rows of each day that has any, by their content
    notes: tuple[str, ...] = ()  # what is not used, or waits, in words


def read_state(store: Store, folder: str) -> TableState:
    """Return the rows of a side table as they were last looked at, by its `table_folder`."""
    return store.read_index(TABLE_STATE, folder, TableState.model_validate_json) or TableState()


def look_at_table(
    site: Site,
    readers: Sequence[AlertSource],
    store: Store,
    now: datetime,
    *,
    poll_seconds: float | None,
    max_seconds: float = float("inf"),
) -> None:
    """Store the present `TableState` of a `table_site`; see `take_snapshot`. A table that cannot be read keeps its versions."""
    before = read_state(store, site.name)
    try:
        snapshot = take_snapshot(site, readers, store, now, poll_seconds=poll_seconds, max_seconds=max_seconds)
    except Exception as error:  # whatever it is, alerts go on
        log.warning("%s cannot be looked at: %s", site.name, error)
        after = TableState(versions=before.versions, notes=(str(error),))
    else:
        notes = tuple(
            f"{PurePosixPath(site.name).name}: {note}" for note in snapshot.waits(now.astimezone(site.zone).date())
        )
        after = TableState(versions=_versions(snapshot, before), notes=notes)
    if after != before:
        store.write_bytes(TABLE_STATE, after.model_dump_json().encode(), site.name)


def _versions(snapshot: Snapshot, before: TableState) -> dict[date, str]:
    """Return the version of each day's rows; days that an API was not asked for keep theirs."""
    now = {day: "".join(version for version, _ in rows.values()) for day, rows in snapshot.rows.items()}
    if snapshot.landed:
        return now
    asked = [(answer.first, answer.last) for answer in snapshot.polled.values()]
    unasked = {
        day: version
        for day, version in before.versions.items()
        if not any(first <= day <= last for first, last in asked)
    }
    return dict(sorted((unasked | now).items()))


def table_rows(site: Site, readers: Sequence[AlertSource], store: Store, first: date, last: date) -> pa.Table:
    """Read the rows of a `table_site` filed under some days (`RAW_SCHEMA`), none where no file can be used.

    `as_received` holds the further columns (`sources.raw_rows`). Raises SourceError if the source cannot be read.
    """
    tables = [RAW_SCHEMA.empty_table()]
    for reader in readers:
        try:
            tables.append(reader.read(first, last))
        except (NoFilesError, UnusableFilesError) as error:  # notes of the table say so, too
            log.warning("%s", error)
    rows = pa.concat_tables(tables)
    record_answer(store, site.name, rows, first, last)
    return rows
