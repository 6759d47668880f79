"""Event log storages for `dagster.yaml`, and the only module that uses private Dagster.

Each storage keeps the stock tables and answers, with three additions:

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from errno import ENOSPC
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, Any, ContextManager, Final, Self  # noqa: UP035  # Dagster's annotation of `_connect`

from dagster import DagsterEventType, EventLogEntry, Field, StringSource
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster_shared.record import replace
from sqlalchemy import and_, bindparam, func, select, text
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    Stock = SqlEventLogStorage
else:
    Stock = object

DAGSTER_MINOR: Final = "1.13"
DATA_VERSION: Final = "data_version"  # name of the metadata entry that holds a partition's version
EVENTS_PER_BATCH: Final = 1_000_000  # more than a step has, so that a step appears at once
DISK_PER_EVENT_BYTE: Final = 8  # two databases, each with a write-ahead log and indexes
PLANNED: Final = Checks.c.execution_status == "PLANNED"
INSERTED_TOGETHER: Final = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION}


class _BatchedEventLog(Stock):
    """Mixin for a stock event log. A batch is stored as a whole or not at all."""

    _batch: threading.local
    _existing: set[str]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Prepare a storage before the stock class initialises it. Raises RuntimeError for another version of Dagster."""
        if not version("dagster").startswith(f"{DAGSTER_MINOR}."):
            problem = f"the event log of shotspotter_assets builds on private parts of Dagster {DAGSTER_MINOR}"
            remedy = f"Install Dagster {DAGSTER_MINOR}, or remove event_log_storage from dagster.yaml"
            loss = "runs then take longer, and one corrected day makes all days stale"
            raise RuntimeError(f"Dagster {version('dagster')} is installed, but {problem}. {remedy}: {loss}.")
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
        super().store_event(_with_data_version(event))

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
                    self._store_asset_events([_with_data_version(event) for event in group])
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


class BatchedSqliteEventLogStorage(_BatchedEventLog, SqliteEventLogStorage):
    """Stock SQLite event log with the additions above; `base_dir` is `$DAGSTER_HOME/history/runs` unless set.

    The database of the run is committed before the index, as in the stock storage. A process killed in between leaves
    events in the log of its run that the assets do not show. The run then fails, and its rerun materializes them.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a batch opens two databases in one thread

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "BatchedSqliteEventLogStorage":
        home = os.environ.get("DAGSTER_HOME")
        if not home and "base_dir" not in config_value:
            raise ValueError("event_log_storage in dagster.yaml needs base_dir where DAGSTER_HOME is not set")
        return cls(config_value.get("base_dir") or str(Path(home or "", "history", "runs")), inst_data)

    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        shards = [INDEX_SHARD_NAME, *sorted({event.run_id for event in events})]  # committed in reverse order
        return {shard: stack.enter_context(super(_BatchedEventLog, self)._connect(shard)) for shard in shards}

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        try:
            super()._store_together(events)
        except Exception:  # perhaps with the run committed, as SQLite commits each WAL database on its own
            rows = [self._event_to_row(_with_data_version(event)) for event in events]
            is_stored = and_(*(Events.c[name].is_not_distinct_from(bindparam(name)) for name in rows[0]))
            for run_id in sorted({event.run_id for event in events}):
                with self.run_connection(run_id) as connection:
                    connection.execute(Events.delete().where(is_stored), rows)
            raise

    def insert(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        if disk_usage(self._base_dir).free < DISK_PER_EVENT_BYTE * sum(len(row["event"]) for row in rows):
            raise OSError(ENOSPC, os.strerror(ENOSPC), self._base_dir)  # before one of the two databases is committed
        connection.execute(Events.insert(), rows)  # RETURNING needs SQLite 3.35; Red Hat 9 has 3.34
        last = connection.execute(select(func.max(Events.c.id))).scalar_one()  # no other process writes meanwhile
        return range(last - len(rows) + 1, last + 1)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        connection = self.batch_connection(shard)
        with super()._connect(shard) if connection is None else nullcontext(connection) as opened:
            yield opened


if find_spec("dagster_postgres"):  # the extra `postgres`
    from dagster_postgres.event_log import PostgresEventLogStorage
    from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

    BATCH_LOCK: Final = 5_470_113_001
    """PostgreSQL advisory lock of a batch: two batches that update assets in different orders would deadlock."""

    class BatchedPostgresEventLogStorage(_BatchedEventLog, PostgresEventLogStorage):
        """Stock PostgreSQL event log with the additions above and the same configuration."""

        @classmethod
        def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "BatchedPostgresEventLogStorage":
            return cls(
                pg_url_from_config(config_value),
                should_autocreate_tables=config_value.get("should_autocreate_tables", True),
                inst_data=inst_data,
                token_provider=get_token_provider_from_config(config_value),
            )

        def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
            connection = stack.enter_context(super()._connect()).execution_options(isolation_level="READ COMMITTED")
            stack.enter_context(connection.begin())
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": BATCH_LOCK})
            return {None: connection}

        def insert(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
            return connection.scalars(Events.insert().returning(Events.c.id, sort_by_parameter_order=True), rows).all()

        def _connect(self) -> ContextManager[Connection]:
            connection = self.batch_connection()
            return super()._connect() if connection is None else nullcontext(connection)


def _with_data_version(event: EventLogEntry) -> EventLogEntry:
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
