"""Tells once, not at each of its looks, that the run queue waits: it looks every second (`dequeue_interval_seconds`)."""

import logging
from typing import Final

QUEUE_LOGGER: Final = "dagster.daemon.QueuedRunCoordinatorDaemon"


class _NoRepeats(logging.Filter):
    """Drops a line of information that is the same as the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self._before = ""

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        is_new = line != self._before or record.levelno > logging.INFO
        self._before = line
        return is_new


def apply() -> None:
    """Let the queue's log of this process leave out repeats."""
    logger = logging.getLogger(QUEUE_LOGGER)
    if not any(isinstance(known, _NoRepeats) for known in logger.filters):
        logger.addFilter(_NoRepeats())
