"""Stores a batch of events in one transaction: what the event logs of `dagster.yaml` have in common.

The stock storages open a connection and commit for every event, so a backfill of thousands of days spends minutes on it
(dagster-io/dagster#19829). Here all events of a batch go through the stock code, over one connection and one transaction
per database, so what is stored is what the stock storage stores.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dagster import EventLogEntry
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from dagster._core.storage.event_log import SqlEventLogStorage as Stock
else:
    Stock = object


class EventBatches(Stock):
    """Mixed into a stock event log: all of a batch is stored, or nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._batch = threading.local()
        self._thread = threading.local()
        self._existing: set[str] = set()
        super().__init__(*arguments, **named)

    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        """Connections with a transaction that ends with the stack, by shard."""
        raise NotImplementedError

    def connection_of_batch(self, shard: str | None = None) -> Connection | None:
        """That of the batch which this thread is storing."""
        found: Connection | None = getattr(self._batch, "connections", {}).get(shard)
        return found

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """See Dagster."""
        with ExitStack() as stack:
            stack.callback(vars(self._batch).clear)
            self._batch.connections = self.open_batch(events, stack)
            for event in events:
                self.store_event(event)

    def has_table(self, table_name: str) -> bool:
        """See Dagster."""
        probe = super().has_table  # type: ignore[safe-super]  # that of the stock storage
        return self.exists(table_name, lambda: probe(table_name))

    def exists(self, name: str, probe: Callable[[], bool]) -> bool:
        """Ask the database once: the stock storage asks for every event, half of the time that a batch takes."""
        if name not in self._existing and probe():
            self._existing.add(name)
        return name in self._existing

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        probe = super()._has_asset_key_col_on_connection
        return self.exists(f"asset_keys.{column_name}", lambda: probe(conn, column_name))

    @contextmanager
    def without_status(self) -> Iterator[None]:
        """Within the block, this thread gets the records of assets without the cached status of their partitions."""
        before = self._is_without_status()
        self._thread.without_status = True
        try:
            yield
        finally:
            self._thread.without_status = before

    def _is_without_status(self) -> bool:
        return getattr(self._thread, "without_status", False)

    def can_read_asset_status_cache(self) -> bool:
        """See Dagster."""
        return not self._is_without_status() and super().can_read_asset_status_cache()
