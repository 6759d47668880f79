"""Lets all storages of a process share a few connections to PostgreSQL, which stay open.

Stock, every statement opens a connection and ends it, hundreds in the run of one day: a tenth of all that a run computes, and a
process of the server each time. Stock it is so because a process opens one instance after the other; here they share an engine.
"""

import os
from threading import Lock
from typing import Any, Final
from weakref import WeakSet

import dagster as dg
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

POOL_SIZE: Final = 2
"""Connections that a process keeps: with a hundred workers, small servers allow no more. For a moment there may be others."""
MAX_CONNECTION_AGE_S: Final = 60
"""Clouds cut what is idle for minutes, as in a training, and tell neither end: the next statement would wait until TCP gives up."""
MAX_ENGINES: Final = 3
"""A process has one database; a program that opens one after the other keeps no connection to those before."""

_shared: dict[tuple[str, str], Engine] = {}
_all: WeakSet[Engine] = WeakSet()
"""Those that are no longer shared too, as a storage may still use them."""
_lock = Lock()


def apply() -> None:
    """Let all storages that this process opens from now on share their connections."""
    for module in (event_log, run_storage, schedule_storage):
        # mypy knows no attribute of what a module has imported for itself.
        module.create_pg_engine = _engine  # type: ignore[attr-defined]


def share(instance: dg.DagsterInstance) -> None:
    """Let the storages share their connections that were opened before `apply`: Dagster opens that of runs first."""
    for storage in (instance.run_storage, instance.schedule_storage):
        engine = getattr(storage, "_engine", None)
        if isinstance(
            storage, run_storage.PostgresRunStorage | schedule_storage.PostgresScheduleStorage
        ) and isinstance(getattr(engine, "pool", None), NullPool):
            storage._engine = _engine(
                storage.postgres_url, storage._token_provider, isolation_level="AUTOCOMMIT", poolclass=NullPool
            )


def _engine(postgres_url: str, token_provider: Any = None, **options: Any) -> Engine:
    """In place of `create_pg_engine`; that of the web server stays its own, as its statements end after a while."""
    if options.get("poolclass") is not NullPool:
        return STOCK(postgres_url, token_provider, pool_pre_ping=True, **options)
    if token_provider is not None:  # each storage has one of its own, so that nothing could be shared
        return STOCK(postgres_url, token_provider, **options)
    key = (postgres_url, options["isolation_level"])
    with _lock:
        engine = _shared.pop(key, None)
        if engine is None:
            while len(_shared) >= MAX_ENGINES:
                _shared.pop(next(iter(_shared))).dispose()  # what still uses it opens new ones
            engine = STOCK(
                postgres_url,
                None,
                isolation_level=options["isolation_level"],
                pool_size=POOL_SIZE,
                max_overflow=-1,
                pool_recycle=MAX_CONNECTION_AGE_S,
                pool_pre_ping=True,
            )
            _all.add(engine)
        _shared[key] = engine  # the last one used is the last one to go
        return engine


def _leave_to_parent() -> None:
    global _lock  # noqa: PLW0603  # another thread of the parent may have held it
    _lock = Lock()
    for engine in list(_all):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)
