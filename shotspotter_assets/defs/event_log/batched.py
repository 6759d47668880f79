"""Mixin of the batched event logs; this folder is the only one that uses private parts of Dagster.

A batched event log keeps the tables and answers of the stock one, with three additions:

- The materializations of a step are one batch, visible as a whole or not at all. The stock storages commit every event,
  which takes minutes for thousands of days (dagster-io/dagster#19829).
- Every partition of a run has its own data version. Stock runs give all their partitions one version (#34013), so a
  correction of one day makes all days stale.
- A check is planned once per run. The stock storages plan it for each partition (since #33231), although it is evaluated once.

Asset bodies set a version by `context.add_asset_metadata({"data_version": version}, partition_key=day)`.
"""

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Self

from dagster import DagsterEventType, EventLogEntry
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster_shared.record import replace
from sqlalchemy import and_
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    Stock = SqlEventLogStorage
else:
    Stock = object

DATA_VERSION: Final = "data_version"  # name of the metadata entry that holds a partition's version
EVENTS_PER_BATCH: Final = 1_000_000  # more than a step has, so that a step appears at once
PLANNED: Final = Checks.c.execution_status == "PLANNED"
INSERTED_TOGETHER: Final = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION}


class BatchedEventLog(Stock):
    """Mixin that adds to a stock event log what this module describes."""

    _batch: threading.local
    _existing: set[str]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Prepare a storage before the stock class initialises it."""
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENTS_PER_BATCH))  # documented by Dagster; 0 if unset
        storage = super().__new__(cls)
        storage._batch = threading.local()
        storage._existing = set()
        return storage

    @abstractmethod
    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        """Open the connections of a batch by shard, each with a transaction that ends with the stack."""

    @abstractmethod
    def insert(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Insert rows into the table of events; return their ids in order."""

    def batch_connection(self, shard: str | None = None) -> Connection | None:
        """Return the connection of the batch that this thread stores, or None outside of a batch."""
        connection: Connection | None = getattr(self._batch, "connections", {}).get(shard)
        return connection

    def store_event(self, event: EventLogEntry) -> None:
        # Dagster stores the events of a failed batch one by one, which would show a part of them or store them twice.
        first, error = vars(self._batch).pop("failure", (None, None))
        if event is first:
            raise error
        super().store_event(with_data_version(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        try:
            self._store_together(events)
        except Exception as error:
            self._batch.failure = (events[0], error)
            raise

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        with ExitStack() as stack:
            stack.callback(vars(self._batch).clear)
            self._batch.connections = self.open_batch(events, stack)
            for of_assets, group in groupby(events, lambda event: event.dagster_event_type in INSERTED_TOGETHER):
                if of_assets:
                    self._store_asset_events([with_data_version(event) for event in group])
                else:
                    for event in group:
                        self.store_event(event)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        """Insert the rows of all events at once, then update each asset by its last event of each kind."""
        rows = [self._event_to_row(event) for event in events]
        # SQLite keeps the log of each run in a separate database, beside the index.
        for run_id in sorted({event.run_id for event in events} & self._batch.connections.keys()):
            with self.run_connection(run_id) as connection:
                connection.execute(Events.insert(), [row for row in rows if row["run_id"] == run_id])
        last = {(row["asset_key"], row["dagster_event_type"]): index for index, row in enumerate(rows)}
        with self.index_connection() as connection:
            ids = self.insert(connection, rows)
            self._store_asset_event_tags(connection, events, ids)
            for index in sorted(last.values()):
                self._store_asset_event(connection, events[index], ids[index])

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        dagster_event = event.get_dagster_event()
        planned: Any = dagster_event.event_specific_data
        if planned.partitions_subset is not None and len(planned.partitions_subset) > 1:
            same_check = and_(
                Checks.c.asset_key == planned.asset_key.to_string(),
                Checks.c.check_name == planned.check_name,
                Checks.c.partition.in_(planned.partitions_subset.get_partition_keys()),
            )
            with self.index_connection() as connection:  # or a failed day fails the check after a rerun
                connection.execute(Checks.update().where(same_check, PLANNED).values(partition=None))
            once = dagster_event._replace(event_specific_data=replace(planned, partitions_subset=None))
            event = event._replace(dagster_event=once)
        super()._store_asset_check_evaluation_planned(event, event_id)

    def delete_events(self, run_id: str) -> None:
        super().delete_events(run_id)
        with self.index_connection() as connection:  # the UI shows a plan without a run as in progress
            connection.execute(Checks.delete().where(Checks.c.run_id == run_id, PLANNED))

    def has_table(self, table_name: str) -> bool:
        stock = super().has_table  # type: ignore[safe-super]  # the stock storages implement it
        return self._exists(table_name, lambda: stock(table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        stock = super()._has_asset_key_col_on_connection
        return self._exists(f"asset_keys.{column_name}", lambda: stock(conn, column_name))

    def _exists(self, name: str, stock: Callable[[], bool]) -> bool:
        """Ask the database once. The stock storages ask for every event, half of the time of a batch."""
        if name not in self._existing and stock():
            self._existing.add(name)
        return name in self._existing


def with_data_version(event: EventLogEntry) -> EventLogEntry:
    """Tag a materialization with the data version in its metadata; return other events as they are."""
    dagster_event = event.dagster_event
    if dagster_event is None or dagster_event.event_type is not DagsterEventType.ASSET_MATERIALIZATION:
        return event
    data = dagster_event.step_materialization_data
    data_version = data.materialization.metadata.get(DATA_VERSION)
    if data_version is None:
        return event
    tags = {DATA_VERSION_TAG: str(data_version.value), DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    materialization = data.materialization._replace(tags={**(data.materialization.tags or {}), **tags})
    tagged = data._replace(materialization=materialization)
    return event._replace(dagster_event=dagster_event._replace(event_specific_data=tagged))
