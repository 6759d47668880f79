"""Event log storages for `dagster.yaml`: the batched ones, or the stock ones where Dagster lacks parts that these need.

`BatchedSqliteEventLogStorage` and `BatchedPostgresEventLogStorage` are made when they are asked for. Which one it is
depends on the private parts that the installed Dagster has, not on its version.
"""

import logging
import os
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from dagster import Field, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage

from shotspotter_assets.defs.event_log.private_parts import EVENT_LOG, POSTGRES, SQLITE, Part, missing_parts

STORAGES: Final = {
    "BatchedSqliteEventLogStorage": (
        "sqlite",
        (*EVENT_LOG, *SQLITE),
        __name__,
        "StockSqliteEventLogStorage",
    ),
    "BatchedPostgresEventLogStorage": (
        "postgres",
        (*EVENT_LOG, *POSTGRES),
        "dagster_postgres",
        "PostgresEventLogStorage",
    ),
}
"""By name: the module of the batched storage, the parts that it needs, and module and name of the stock one."""

log = logging.getLogger(__name__)


class StockSqliteEventLogStorage(SqliteEventLogStorage):
    """Stock SQLite event log; `base_dir` is `$DAGSTER_HOME/history/runs` unless set."""

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:
        home = os.environ.get("DAGSTER_HOME")
        if not home and "base_dir" not in config_value:
            raise ValueError("event_log_storage in dagster.yaml needs base_dir where DAGSTER_HOME is not set")
        return cls(config_value.get("base_dir") or str(Path(home or "", "history", "runs")), inst_data)


def __getattr__(name: str) -> Any:
    """Return a storage class; called by Python for names that the module lacks."""
    if name not in STORAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _storage_class(name)


@cache
def _storage_class(name: str) -> Any:
    """Return the batched storage, or with one warning the stock one."""
    module, parts, stock_module, stock = STORAGES[name]
    missing = missing_parts(parts)
    if not missing:
        return getattr(import_module(f"{__name__}.{module}"), name)
    log.warning(stock_in_words(missing))
    return getattr(import_module(stock_module), stock)


def stock_in_words(missing: list[Part]) -> str:
    """Return a sentence about the missing parts, and what the stock event log costs."""
    names = ", ".join(part.name for part in missing)
    return (
        f"Dagster {version('dagster')} lacks parts that the batched event log needs ({names}), so its stock event log is "
        "used. Runs over many days take minutes longer, one corrected day shows all days as stale, and checks of many days "
        "are listed for each of them. All else works."
    )
