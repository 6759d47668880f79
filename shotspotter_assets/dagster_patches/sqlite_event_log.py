"""SQLite event log that stores a batch of events in one transaction; named in `dagster.yaml`.

The stock storage opens a connection and commits twice for every event, so a backfill of thousands of days
spends minutes on it. Here all events of a batch go through the stock code, over one connection and one
transaction per database (the run's and the index), so what is stored is what the stock storage stores.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import EventLogEntry, Field, StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster_shared.record import replace
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from dagster._config.config_schema import UserConfigSchema

from shotspotter_assets.dagster_patches.window_memory import remember_windows

os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")
remember_windows()


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Stock SQLite event log, but for batches: all of a batch is stored, or nothing.

    `base_dir` is where the databases are; left out, it is where the stock storage keeps them,
    `$DAGSTER_HOME/history/runs`. `pools` have their default limit from the start.

    The index is committed before the run's database. A process killed between the two leaves a materialization
    that the run's own log does not show.
    """

    def __init__(
        self, base_dir: str, inst_data: ConfigurableClassData | None = None, pools: Sequence[str] = ()
    ) -> None:
        self._pools = frozenset(pools)
        self._batch = threading.local()
        self._existing: set[str] = set()
        super().__init__(base_dir, inst_data)
        # a batch holds the connections of two databases at once, which the stock lock does not let one thread do
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def config_type(cls) -> "UserConfigSchema":
        return {
            "base_dir": Field(StringSource, is_required=False),
            "pools": Field([str], default_value=[]),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        return cls(config_value.get("base_dir") or _stock_folder(), inst_data, config_value.get("pools", ()))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        shards = [*sorted({event.run_id for event in events}), INDEX_SHARD_NAME]
        with ExitStack() as stack:
            stack.callback(vars(self._batch).clear)
            self._batch.connections = {shard: stack.enter_context(self._connect(shard)) for shard in shards}
            for event in events:
                self.store_event(event)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """A check of a run over several partitions is planned as it is evaluated: once, for the run.

        The stock storage plans it for each partition, each time with the set of all of them: the size of a backfill's
        events grows with the square of its days, and the plans of single partitions are never fulfilled.
        """
        dagster_event = event.get_dagster_event()
        planned: Any = dagster_event.event_specific_data
        if planned.partitions_subset is not None and len(planned.partitions_subset) > 1:
            of_run = dagster_event._replace(event_specific_data=replace(planned, partitions_subset=None))
            event = event._replace(dagster_event=of_run)
        super()._store_asset_check_evaluation_planned(event, event_id)

    def get_concurrency_keys(self) -> set[str]:
        """Stock, but with `pools`, which get the default limit before anybody asks.

        The stock queue asks which pools are limited before it gives a pool that it meets for the first time its default:
        on a fresh instance, all runs of it that wait are started at once.
        """
        keys = super().get_concurrency_keys()
        missing = self._pools - keys
        for pool in missing:
            self.initialize_concurrency_limit_to_default(pool)
        return super().get_concurrency_keys() if missing else keys

    def has_table(self, table_name: str) -> bool:
        probe = super().has_table
        return self._exists(table_name, lambda: probe(table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        probe = super()._has_asset_key_col_on_connection
        return self._exists(f"asset_keys.{column_name}", lambda: probe(conn, column_name))

    def _exists(self, name: str, probe: Callable[[], bool]) -> bool:
        """Ask the database once: the stock storage asks for every event, half of the time that a batch takes."""
        if name not in self._existing and probe():
            self._existing.add(name)
        return name in self._existing

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        open_connection = getattr(self._batch, "connections", {}).get(shard)
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
