"""The lines that a training job prints, with the regular expressions that read them, also in SageMaker's metrics."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

OBJECTIVE: Final = "validation_loss"
METRICS: Final = {
    "epoch": r"tuning epoch=([0-9]+) ",
    OBJECTIVE: r"tuning .*validation_loss=([-+.0-9eE]+)",
}
"""Regular expression by name of the metric; the objective is printed after each epoch and once at the end."""
_RESULT: Final = re.compile(r"tuning result seconds=([.0-9]+) ")
_FAILED: Final = re.compile(r"tuning failed: (.*)")


def epoch_line(number: int, loss: float) -> str:
    """Line on a finished epoch of a network, counted from 1, and its validation loss in nats per cell-day."""
    return f"tuning epoch={number} validation_loss={loss!r}"


def result_line(loss: float, seconds: float) -> str:
    """Line on a complete trial: log loss of the validation window in nats per cell-day."""
    return f"tuning result seconds={seconds:.1f} validation_loss={loss!r}"


def failed_line(reason: str) -> str:
    """Line on settings that cannot be fitted, such as a learning rate at which a network diverges."""
    return f"tuning failed: {' '.join(reason.split())}"


class JobLog(NamedTuple):
    """Numbers in the log of a training job."""

    epochs: dict[int, float]
    """Validation loss by epoch; after an interruption the last line of an epoch counts."""
    loss: float | None
    """Of the complete trial."""
    failure: str
    """Why its settings cannot be fitted; empty otherwise."""


def read_log(lines: Iterable[str]) -> JobLog:
    """Numbers in the lines of a training job."""
    epochs: dict[int, float] = {}
    loss, failure = None, ""
    for line in lines:
        value, epoch, failed = (re.search(one, line) for one in (METRICS[OBJECTIVE], METRICS["epoch"], _FAILED))
        if failed:
            failure = failed[1]
        elif value and epoch:
            epochs[int(epoch[1])] = float(value[1])
        elif value and _RESULT.search(line):
            loss = float(value[1])
    return JobLog(epochs, loss, failure)
