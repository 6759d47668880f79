"""The daemon goes on when the clock is set back: its loops, and its sensors after a restart."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import SensorInstigatorData
from dagster._daemon import daemon, sensor
from dagster._daemon.run_coordinator import queued_run_coordinator_daemon as run_queue

from shotspotter_assets.dagster_patches import clock

HOUR = 3600.0


class Counting(daemon.IntervalDaemon[Any]):
    """A daemon that looks ten times a second, and whose clock is set back at each look."""

    def __init__(self, set_back: Any) -> None:
        super().__init__(interval_seconds=0.1)
        self.looks, self._set_back = 0, set_back

    @classmethod
    def daemon_type(cls) -> str:
        return "COUNTING"

    def run_iteration(self, _context: Any) -> Iterator[None]:
        self.looks += 1
        self._set_back()
        yield


class Sleeping(Counting):
    """A daemon that reckons how long it may sleep, as those of sensors and conditions do."""

    def core_loop(self, context: Any, shutdown_event: Any) -> Iterator[Any]:
        while True:
            start = time.time()
            yield from self.run_iteration(context)
            shutdown_event.wait(max(0, 0.1 - (time.time() - start)))
            yield


def test_the_queue_waits_for_a_code_server_by_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.apply()
    true = time.time
    before = run_queue.time.time()
    monkeypatch.setattr(time, "time", lambda: true() - HOUR)
    assert 0 <= run_queue.time.time() - before < HOUR / 2


@pytest.mark.parametrize("kind", [Counting, Sleeping])
def test_loops_go_on(kind: type[Counting], monkeypatch: pytest.MonkeyPatch) -> None:
    clock.apply()
    monkeypatch.setattr(clock, "MAX_WAIT_SECONDS", 0.2)
    true, behind = time.time, [0.0]

    def set_back() -> None:
        behind[0] += HOUR

    monkeypatch.setattr(time, "time", lambda: true() - behind[0])
    looking, stop = kind(set_back), threading.Event()
    with dg.DagsterInstance.ephemeral() as instance:
        context = SimpleNamespace(instance=instance)
        loop = threading.Thread(target=looking.run_daemon_loop, args=(context, "id", stop, 30, 30))
        loop.start()
        until = time.monotonic() + 20
        while looking.looks < 3 and time.monotonic() < until:
            time.sleep(0.05)
        stop.set()
        loop.join(10)
    assert looking.looks >= 3
    assert not loop.is_alive()


@pytest.mark.parametrize(("last_tick_s_ago", "is_due"), [(-HOUR, True), (60.0, True), (1.0, False)])
def test_a_sensor_whose_last_tick_lies_in_the_future_is_due(last_tick_s_ago: float, is_due: bool) -> None:
    clock.apply()
    state: Any = SimpleNamespace(
        instigator_data=SensorInstigatorData(last_tick_timestamp=time.time() - last_tick_s_ago)
    )
    of: Any = SimpleNamespace(min_interval_seconds=30)
    assert sensor.is_under_min_interval(state, of) is not is_due
