"""The lines that training prints, each beside the expressions that read it: here, and in SageMaker's own metrics."""

import re
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = r"([-+.0-9eE]+)"


@dataclass(frozen=True)
class Metric:
    """A number in a line: its name in SageMaker, and the expression whose one group it is."""

    name: str
    expression: str

    def read(self, line: str) -> float | None:
        """The number; None where the line has none."""
        found = re.search(self.expression, line)
        return None if found is None else float(found[1])


def epoch_line(number: int, loss: float) -> str:
    """Of a finished epoch of a network, counted from 1, and its validation loss in nats per cell-day."""
    return f"tuning epoch={number} validation_loss={loss!r}"


EPOCH: Final = Metric("epoch", r"tuning epoch=([0-9]+) ")
EPOCH_LOSS: Final = Metric("epoch_validation_loss", rf"tuning epoch=[0-9]+ validation_loss={_NUMBER}")


def result_line(loss: float, seconds: float, epochs: int) -> str:
    """Of a complete trial: log loss of the validation window in nats per cell-day, what it took, and how many epochs it had."""
    return f"tuning log_loss={loss!r} seconds={seconds:.1f} epochs={epochs}"


LOG_LOSS: Final = Metric("validation_log_loss", rf"tuning log_loss={_NUMBER} ")
SECONDS: Final = Metric("seconds", rf"tuning log_loss=\S+ seconds={_NUMBER} ")
EPOCHS: Final = Metric("epochs", r"tuning log_loss=\S+ seconds=\S+ epochs=([0-9]+)")

METRICS: Final = (EPOCH, EPOCH_LOSS, LOG_LOSS, SECONDS, EPOCHS)
OBJECTIVE: Final = LOG_LOSS


def failed_line(reason: str, seconds: float) -> str:
    """Of settings that cannot be fitted, such as a learning rate at which a network diverges."""
    return f"tuning failed after {seconds:.1f} s: {' '.join(reason.split())}"


_FAILED: Final = re.compile(rf"tuning failed after {_NUMBER} s: (.*)")


def read_failed(line: str) -> tuple[float, str] | None:
    """Seconds and reason of a line on settings that cannot be fitted; None of others."""
    found = _FAILED.search(line)
    return None if found is None else (float(found[1]), found[2])
