"""The run queue's log says once that it waits."""

import logging

import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from shotspotter_assets.dagster_patches import queue_log


def test_a_full_queue_prints_its_line_once(caplog: pytest.LogCaptureFixture) -> None:
    log = QueuedRunCoordinatorDaemon(interval_seconds=1)._logger
    assert log.name == queue_log.QUEUE_LOGGER
    queue_log.apply()
    queue_log.apply()
    full = "2 runs are currently in progress. Maximum is 2, won't launch more."
    log.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, queue_log.QUEUE_LOGGER):
            for line in (full, full, full, "Launched 1 runs.", full, full):
                log.info(line)
            for _ in range(2):
                log.error("The queue cannot be read.")
    finally:
        log.removeHandler(caplog.handler)
    lines = [record.getMessage() for record in caplog.records]
    assert list(dict.fromkeys(lines)) == [full, "Launched 1 runs.", "The queue cannot be read."]
    handled = len(lines) // 5  # once, or twice if the records reach the root logger too
    assert len(lines) == 5 * handled
