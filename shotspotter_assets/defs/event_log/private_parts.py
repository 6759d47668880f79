"""Private parts of Dagster that the batched event logs use, and those that the installed Dagster lacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature, unwrap
from operator import attrgetter
from typing import Final


@dataclass(frozen=True)
class Part:
    """A class, function, column or constant of a module of Dagster."""

    module: str
    name: str  # with the names of its class or table before it
    parameters: tuple[str, ...] | None = None  # names of all parameters of a function that is called or replaced
    reads: str = ""  # attribute that the function reads from `self`

    @property
    def is_present(self) -> bool:
        """True if the installed Dagster has the part, with the same parameters."""
        try:
            part = attrgetter(self.name)(import_module(self.module))
        except (ImportError, AttributeError):
            return False
        if self.parameters is not None:
            names = tuple(name for name in signature(part).parameters if name != "self")
            if names != self.parameters:
                return False
        return not self.reads or self.reads in unwrap(part).__code__.co_names


def missing_parts(parts: Sequence[Part]) -> list[Part]:
    """Return the parts that the installed Dagster lacks, or has with other parameters."""
    return [part for part in parts if not part.is_present]


_EVENT_LOG: Final = "dagster._core.storage.event_log"
_VERSIONS: Final = "dagster._core.definitions.data_version"
_SCHEMA: Final = f"{_EVENT_LOG}.schema"
_SQLITE: Final = f"{_EVENT_LOG}.sqlite.sqlite_event_log"
_POSTGRES: Final = "dagster_postgres.event_log"
_PLANNED: Final = "dagster._core.definitions.asset_checks.asset_check_evaluation"

_ROW: Final = ("event", "run_id", "dagster_event_type", "asset_key", "id")
_CHECK: Final = ("asset_key", "check_name", "partition", "run_id", "execution_status")

EVENT_LOG: Final = (
    Part(_VERSIONS, "DATA_VERSION_TAG"),
    Part(_VERSIONS, "DATA_VERSION_IS_USER_PROVIDED_TAG"),
    Part("dagster_shared.record", "replace"),
    Part(_PLANNED, "AssetCheckEvaluationPlanned.partitions_subset"),
    Part("dagster", "EventLogEntry._replace"),
    Part("dagster", "AssetMaterialization._replace"),
    Part("dagster", "DagsterEvent._replace"),
    Part("dagster._core.events", "StepMaterializationData._replace"),
    Part(_EVENT_LOG, "SqlEventLogStorage.store_event", ("event",)),
    Part(_EVENT_LOG, "SqlEventLogStorage.store_event_batch", ("events",)),
    Part(_EVENT_LOG, "SqlEventLogStorage.delete_events", ("run_id",)),
    Part(_EVENT_LOG, "SqlEventLogStorage.has_table", ("table_name",)),
    Part(_EVENT_LOG, "SqlEventLogStorage.run_connection", ("run_id",)),
    Part(_EVENT_LOG, "SqlEventLogStorage.index_connection", ()),
    Part(_EVENT_LOG, "SqlEventLogStorage._event_to_row", ("event",)),
    Part(_EVENT_LOG, "SqlEventLogStorage._store_asset_event", ("conn", "event", "event_id")),
    Part(_EVENT_LOG, "SqlEventLogStorage._store_asset_event_tags", ("conn", "events", "event_ids")),
    Part(_EVENT_LOG, "SqlEventLogStorage._store_asset_check_evaluation_planned", ("event", "event_id")),
    Part(_EVENT_LOG, "SqlEventLogStorage._has_asset_key_col_on_connection", ("conn", "column_name")),
    *(Part(_SCHEMA, f"SqlEventLogStorageTable.c.{column}") for column in _ROW),
    *(Part(_SCHEMA, f"AssetCheckExecutionsTable.c.{column}") for column in _CHECK),
)
"""Parts that both batched event logs need."""

SQLITE: Final = (
    Part(_SQLITE, "INDEX_SHARD_NAME"),
    Part(_SQLITE, "SqliteEventLogStorage", ("base_dir", "inst_data")),
    # A batch opens two databases in one thread, which its lock has to allow.
    Part(_SQLITE, "SqliteEventLogStorage._connect", ("shard",), reads="_db_lock"),
    Part(_SQLITE, "SqliteEventLogStorage.path_for_shard", ("run_id",), reads="_base_dir"),
)
POSTGRES: Final = (
    Part("dagster_postgres.utils", "pg_url_from_config", ("config_value",)),
    Part("dagster_postgres.utils", "get_token_provider_from_config", ("config_value",)),
    Part(
        _POSTGRES,
        "PostgresEventLogStorage",
        ("postgres_url", "should_autocreate_tables", "inst_data", "token_provider"),
    ),
    Part(_POSTGRES, "PostgresEventLogStorage._connect", ()),
)
