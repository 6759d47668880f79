"""PostgreSQL event log that stores a batch of events in one transaction; named in the `dagster.yaml` of several machines.

It needs the extra `postgres`. In place of the stock one, under `event_log_storage`:

    module: shotspotter_assets.dagster_patches.postgres_event_log
    class: BatchedPostgresEventLogStorage
    config: {postgres_db: {...}}
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, ContextManager, Final  # noqa: UP035  # as the stock storage has it

import dagster as dg
from dagster import EventLogEntry
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy import text
from sqlalchemy.engine import Connection, make_url

from shotspotter_assets.dagster_patches import postgres_connections
from shotspotter_assets.dagster_patches.event_batches import EventBatches
from shotspotter_assets.dagster_patches.guard import known

for _method, _parameters, _source in (
    ("__init__", "self, postgres_url, should_autocreate_tables, inst_data, token_provider", "647dff00b58c"),
    ("from_config_value", "inst_data, config_value", "c2785eb9f98f"),
    ("store_event", "self, event", "4a2e37e5871b"),
    ("store_event_batch", "self, events", "ff147ed514ba"),
    ("has_table", "self, table_name", "78217fbd74d0"),
    ("index_transaction", "self", "d4018b0dade4"),
    ("_connect", "self", "a1935b91a983"),
    ("_has_asset_key_col_on_connection", "self, conn, column_name", "981049dfa81d"),
    ("can_read_asset_status_cache", "self", "0b696808a8d8"),
):
    known(
        f"dagster_postgres.event_log.event_log:PostgresEventLogStorage.{_method}",
        parameters=_parameters,
        sources=(_source,),
        purpose="the events of thousands of days are stored in one transaction",
    )

ONE_BATCH_AT_A_TIME: Final = 5_470_113_001
"""Key of the lock that a batch holds: two that take the rows of assets in different orders would wait for each other."""

DRIVER: Final = "postgresql+psycopg2"
"""What dagster-postgres installs; SQLAlchemy would look for another one behind a mere `postgresql://`."""


class BatchedPostgresEventLogStorage(EventBatches, PostgresEventLogStorage):
    """Stock PostgreSQL event log, but for batches: all of a batch is stored, or nothing."""

    def __init__(self, postgres_url: str, *arguments: Any, **named: Any) -> None:
        postgres_connections.apply()
        super().__init__(with_driver(postgres_url), *arguments, **named)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedPostgresEventLogStorage":
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )

    def share_connections(self, instance: dg.DagsterInstance) -> None:
        """With the other storages of the instance, which calls this once it has all of them."""
        postgres_connections.share(instance)

    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        if not events:
            return {}
        connection = stack.enter_context(self._connect()).execution_options(isolation_level="READ COMMITTED")
        stack.enter_context(connection.begin())
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_BATCH_AT_A_TIME})
        return {None: connection}

    def _connect(self) -> ContextManager[Connection]:
        open_connection = self.connection_of_batch()
        return super()._connect() if open_connection is None else nullcontext(open_connection)


def with_driver(url: str) -> str:
    """An address with the driver that is installed, where it names none."""
    parts = make_url(url)
    named = parts.set(drivername=DRIVER) if parts.drivername in ("postgresql", "postgres") else parts
    return named.render_as_string(hide_password=False)
