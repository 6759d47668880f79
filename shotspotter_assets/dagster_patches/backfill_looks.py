"""Lets the daemon take up a new backfill within a second; stock, it looks at all of them twice a minute.

Shorter intervals are no way out: at each look at a backfill under way, all of its partitions are written into the log.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._daemon import daemon

from shotspotter_assets.dagster_patches.guard import known

LOOK_SECONDS: Final = 1.0

_PURPOSE: Final = "the run of a backfill is made soon after the backfill was launched"

STOCK: Final = known(
    "dagster._daemon.daemon:BackfillDaemon.core_loop",
    parameters="self, workspace_process_context, shutdown_event",
    sources=("060dff14cea9",),
    purpose=_PURPOSE,
)
known(
    "dagster._daemon.backfill:execute_backfill_iteration_loop",
    parameters="workspace_process_context, logger, shutdown_event, until, threadpool_executor, submit_threadpool_executor",
    sources=("2cd2b6119e45",),
    purpose=_PURPOSE,
)


class BackfillWait:
    """An event whose waiting also ends when there is a new backfill."""

    def __init__(self, event: threading.Event, instance: dg.DagsterInstance) -> None:
        self.is_set = event.is_set
        self._event, self._instance = event, instance
        self._newest = time.time()

    def wait(self, timeout: float) -> bool:
        """See `threading.Event`."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            if self._event.wait(min(LOOK_SECONDS, left)):
                return True
            if self._is_one_new():
                break
        return self.is_set()

    def _is_one_new(self) -> bool:
        since = datetime.fromtimestamp(self._newest, UTC)
        requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED], created_after=since)
        found = [backfill.backfill_timestamp for backfill in self._instance.get_backfills(requested)]
        # Databases differ in what they take an instant's zone for, so what is known may be found again.
        before, self._newest = self._newest, max([self._newest, *found])
        return self._newest > before


def apply() -> None:
    """Let the daemon of this process look for new backfills while it waits for the next look at all of them."""
    # mypy knows a method here, whose place a function takes.
    daemon.BackfillDaemon.core_loop = _core_loop  # type: ignore[method-assign, assignment]


def _core_loop(self: Any, workspace_process_context: Any, shutdown_event: Any) -> Iterator[Any]:
    return STOCK(self, workspace_process_context, BackfillWait(shutdown_event, workspace_process_context.instance))
