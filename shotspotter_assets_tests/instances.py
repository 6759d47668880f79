"""Dagster instances in memory with the batched event log of the shipped `dagster.yaml`: the stock one takes twice as long."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log import SqlEventLogStorageTable as Events
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from shotspotter_assets.defs.event_log.batched import BatchedEventLog
from shotspotter_assets.defs.event_log.private_parts import EVENT_LOG, missing_parts


class BatchedInMemoryEventLog(BatchedEventLog, InMemoryEventLogStorage):
    """Event log in a SQLite database in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._db_lock = threading.RLock()

    def open_batch(self, events: Sequence[dg.EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        return {None: stack.enter_context(self._transaction())}

    def insert(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        connection.execute(Events.insert(), rows)
        last = connection.execute(select(func.max(Events.c.id))).scalar_one()
        return range(last - len(rows) + 1, last + 1)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        connection = self.batch_connection() if hasattr(self, "_batch") else None
        with self._transaction() if connection is None else nullcontext(connection) as opened:
            yield opened

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._db_lock, self._engine.connect() as connection, connection.begin():
            yield connection


def instance_in_memory(folder: Path) -> dg.DagsterInstance:
    """Return an instance for a `with` statement; it keeps files in `folder` and everything else in memory."""
    module = "dagster._core.storage.{}.in_memory.stamp_alembic_rev"
    with mock.patch(module.format("event_log")), mock.patch(module.format("runs")):  # nothing here is ever migrated
        return dg.DagsterInstance(
            instance_type=InstanceType.EPHEMERAL,
            local_artifact_storage=LocalArtifactStorage(str(folder)),
            run_storage=InMemoryRunStorage(),
            event_storage=InMemoryEventLogStorage() if missing_parts(EVENT_LOG) else BatchedInMemoryEventLog(),
            compute_log_manager=NoOpComputeLogManager(),
            run_coordinator=DefaultRunCoordinator(),
            run_launcher=SyncInMemoryRunLauncher(),
        )


def copy_runs(made: dg.DagsterInstance, empty: dg.DagsterInstance) -> None:
    """Copy the runs and events of one instance in memory into another."""
    for source, target in ((made.run_storage, empty.run_storage), (made.event_log_storage, empty.event_log_storage)):
        source._held_conn.connection.backup(target._held_conn.connection.driver_connection)
