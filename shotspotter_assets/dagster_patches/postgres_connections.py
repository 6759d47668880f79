"""Lets all storages of a process share a few connections to PostgreSQL, which stay open.

Stock, every statement opens a connection and ends it, hundreds in the run of one day: a tenth of all that a run computes, and a
process of the server each time. Stock it is so because a process opens one instance after the other; here they share an engine.
"""

import os
from threading import Lock
from typing import Any, Final

from dagster_postgres.event_log import event_log
from dagster_postgres.run_storage import run_storage
from dagster_postgres.schedule_storage import schedule_storage
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from shotspotter_assets.dagster_patches.guard import known

STOCK: Final = known(
    "dagster_postgres.utils:create_pg_engine",
    parameters="postgres_url, token_provider, engine_kwargs",
    sources=("8bb1e695cf50",),
    purpose="a run takes no connection for each statement, and nobody takes one from before a restart of the database",
)

KEPT: Final = 2
"""Connections that a process keeps, as small servers allow a fleet of workers no more; for a moment there may be others."""

KEPT_SECONDS: Final = 60
"""Clouds cut what is idle for minutes, as in a training, and tell neither end; who then asks whether it is there waits long."""
MAX_ENGINES: Final = 3
"""A process has one database; a program that opens one after the other keeps no connection to those before."""

_engines: dict[tuple[str, int, str], tuple[Engine, Any]] = {}
_lock = Lock()


def apply() -> None:
    """Let all storages that this process opens from now on share their connections."""
    for module in (event_log, run_storage, schedule_storage):
        module.create_pg_engine = _engine  # type: ignore[attr-defined]


def _engine(postgres_url: str, token_provider: Any = None, **options: Any) -> Engine:
    """In place of `create_pg_engine`; that of the web server stays its own, as its statements end after a while."""
    if options.get("poolclass") is not NullPool:
        return STOCK(postgres_url, token_provider, pool_pre_ping=True, **options)
    isolation = options["isolation_level"]
    key = (postgres_url, id(token_provider), isolation)
    with _lock:
        if key not in _engines:
            while len(_engines) >= MAX_ENGINES:
                _engines.pop(next(iter(_engines)))[0].dispose()  # what still uses it opens new ones
            made = STOCK(
                postgres_url,
                token_provider,
                isolation_level=isolation,
                pool_size=KEPT,
                max_overflow=-1,
                pool_recycle=KEPT_SECONDS,
                pool_pre_ping=True,
            )
            _engines[key] = (made, token_provider)  # which so keeps its id
        return _engines[key][0]


def _leave_to_parent() -> None:
    global _lock  # noqa: PLW0603  # another thread of the parent may have held it
    _lock = Lock()
    for engine, _ in _engines.values():
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)
