"""Batched event log in PostgreSQL (extra `postgres`)."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, ContextManager, Final, Self  # noqa: UP035  # Dagster's annotation of `_connect`

from dagster import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable as Events
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shotspotter_assets.defs.event_log.batched import BatchedEventLog

BATCH_LOCK: Final = 5_470_113_001
"""PostgreSQL advisory lock of a batch: two batches that update assets in different orders would deadlock."""


class BatchedPostgresEventLogStorage(BatchedEventLog, PostgresEventLogStorage):
    """Stock PostgreSQL event log with the additions of `BatchedEventLog` and the stock configuration."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:
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
