"""Event log storages for `dagster.yaml`: the batched ones, or the stock ones where Dagster lacks parts that these need.

`BatchedSqliteEventLogStorage` and `BatchedPostgresEventLogStorage` are made when they are asked for. Which one it is
depends on the private parts that the installed Dagster has, not on its version.
"""

import logging
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

from shotspotter_assets.defs.event_log.private_parts import EVENT_LOG, POSTGRES, SQLITE, Part, missing_parts

STORAGES: Final = {
    "BatchedSqliteEventLogStorage": (
        "sqlite",
        (*EVENT_LOG, *SQLITE),
        f"{__name__}.stock",
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
