"""Lets the daemon go on when the clock is set back, as by NTP or after a machine has slept.

Stock, its loops wait until the clock has come back to where it was: for an hour, nothing is looked at, taken from the queue or
looked after, and sensors wait in the same way once more after a restart. So does the queue after a code server was away for
a moment.
"""

import threading
import time
from types import SimpleNamespace
from typing import Any, Final

from dagster._daemon import daemon, sensor
from dagster._daemon.run_coordinator import queued_run_coordinator_daemon as run_queue

from shotspotter_assets.dagster_patches.guard import known

_PURPOSE: Final = "the daemon goes on when the clock is set back"

STOCK_ELAPSED: Final = known(
    "dagster._daemon.sensor:get_elapsed", parameters="state", sources=("21dc85d314a4",), purpose=_PURPOSE
)
known(
    "dagster._daemon.daemon:IntervalDaemon.core_loop",
    parameters="self, workspace_process_context, shutdown_event",
    sources=("c9eb0982aae8",),
    purpose=_PURPOSE,
)
STOCK_LOOP: Final = known(
    "dagster._daemon.daemon:DagsterDaemon.run_daemon_loop",
    parameters="self, workspace_process_context, daemon_uuid, daemon_shutdown_event, heartbeat_interval_seconds, "
    "error_interval_seconds",
    sources=("5a548f7cf599",),
    purpose=_PURPOSE,
)
for _name, _parameters, _source in (
    ("_get_runs_to_dequeue", "self, instance, concurrency_config, fixed_iteration_time", "42a4e3896cae"),
    ("_dequeue_run", "self, instance, workspace, run, concurrency_config, fixed_iteration_time", "679fd42e7b20"),
):
    known(
        f"dagster._daemon.run_coordinator.queued_run_coordinator_daemon:QueuedRunCoordinatorDaemon.{_name}",
        parameters=_parameters,
        sources=(_source,),
        purpose=_PURPOSE,
    )

MAX_WAIT_SECONDS: Final = 60.0
"""No loop of the daemon waits for longer by intent: that of schedules for the next minute."""


class BoundedWait:
    """An event that is waited for at most `MAX_WAIT_SECONDS`, after which a loop looks again."""

    def __init__(self, event: threading.Event) -> None:
        self.is_set = event.is_set
        self._event = event

    def wait(self, timeout: float) -> bool:
        """See `threading.Event`."""
        return self._event.wait(min(timeout, MAX_WAIT_SECONDS))


def apply() -> None:
    """Let the daemon of this process measure its waiting with a clock that nobody sets."""
    # mypy knows modules and a method here, whose places a namespace and a function take.
    unset = SimpleNamespace(time=time.monotonic, sleep=time.sleep)
    daemon.time = run_queue.time = unset  # type: ignore[assignment, attr-defined]
    daemon.DagsterDaemon.run_daemon_loop = _run_loop  # type: ignore[method-assign, assignment]
    sensor.get_elapsed = _elapsed


def _run_loop(self: Any, context: Any, uuid: str, shutdown_event: threading.Event, *intervals: float) -> None:
    STOCK_LOOP(self, context, uuid, BoundedWait(shutdown_event), *intervals)


def _elapsed(state: Any) -> float | None:
    """Seconds since the last tick of a sensor; none where it seems to lie in the future."""
    elapsed = STOCK_ELAPSED(state)
    return None if elapsed is None or elapsed < 0 else elapsed
