"""Batched event log in SQLite."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from errno import ENOSPC
from shutil import disk_usage
from typing import Any, Final

from dagster import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.engine import Connection

from shotspotter_assets.defs.event_log import StockSqliteEventLogStorage
from shotspotter_assets.defs.event_log.batched import BatchedEventLog, with_data_version

DISK_PER_EVENT_BYTE: Final = 8  # two databases, each with a write-ahead log and indexes


class BatchedSqliteEventLogStorage(BatchedEventLog, StockSqliteEventLogStorage):
    """Stock SQLite event log with the additions of `BatchedEventLog`; `base_dir` is `$DAGSTER_HOME/history/runs` unless set.

    The database of the run is committed before the index, as in the stock storage. A process killed in between leaves
    events in the log of its run that the assets do not show. The run then fails, and its rerun materializes them.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a batch opens two databases in one thread

    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        shards = [INDEX_SHARD_NAME, *sorted({event.run_id for event in events})]  # committed in reverse order
        return {shard: stack.enter_context(super(BatchedEventLog, self)._connect(shard)) for shard in shards}

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        try:
            super()._store_together(events)
        except Exception:  # perhaps with the run committed, because SQLite commits each WAL database on its own
            rows = [self._event_to_row(with_data_version(event)) for event in events]
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
