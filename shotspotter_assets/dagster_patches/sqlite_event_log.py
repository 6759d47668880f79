"""SQLite event log that stores a batch of events in one transaction per database, the run's and the index; see `dagster.yaml`."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import EventLogEntry, Field, StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection

from shotspotter_assets.dagster_patches.event_batches import EventBatches
from shotspotter_assets.dagster_patches.guard import known

if TYPE_CHECKING:
    from dagster._config.config_schema import UserConfigSchema

for _method, _parameters, _source in (
    ("__init__", "self, base_dir, inst_data", "264c15baa761"),
    ("store_event", "self, event", "f89aed406024"),
    ("store_event_batch", "self, events", "d710189545db"),
    ("has_table", "self, table_name", "577d801c70b2"),
    ("_has_asset_key_col_on_connection", "self, conn, column_name", "981049dfa81d"),
    ("can_read_asset_status_cache", "self", "0b696808a8d8"),
    ("_connect", "self, shard", "b8435f266568"),
):
    known(
        f"dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage.{_method}",
        parameters=_parameters,
        sources=(_source,),
        purpose="the events of thousands of days are stored in one transaction",
    )


class BatchedSqliteEventLogStorage(EventBatches, SqliteEventLogStorage):
    """Stock SQLite event log, but for batches: all of a batch is stored, or nothing.

    `base_dir` is where the databases are; left out, it is where the stock storage keeps them,
    `$DAGSTER_HOME/history/runs`.

    The index is committed before the run's database. A process killed between the two leaves a materialization
    that the run's own log does not show.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        # a batch holds the connections of two databases at once, which the stock lock does not let one thread do
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def config_type(cls) -> "UserConfigSchema":
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        return cls(config_value.get("base_dir") or _stock_folder(), inst_data)

    def open_batch(self, events: Sequence[EventLogEntry], stack: ExitStack) -> Mapping[str | None, Connection]:
        shards = [*sorted({event.run_id for event in events}), INDEX_SHARD_NAME]
        return {shard: stack.enter_context(self._connect(shard)) for shard in shards}

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        open_connection = self.connection_of_batch(shard)
        if open_connection is not None:
            yield open_connection
            return
        with super()._connect(shard) as connection:
            yield connection


def _stock_folder() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise ValueError(
            "event_log_storage in dagster.yaml has no base_dir, and DAGSTER_HOME is not set to derive it from"
        )
    return str(Path(home) / "history" / "runs")
