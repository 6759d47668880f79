"""One training job of SageMaker, `python -m shotspotter_assets.models.tuning.sagemaker_train`: one trial in a container.

The contract is SageMaker's: values in `input/config/hyperparameters.json` and the task in the channel `task`, below `/opt/ml`;
the objective is read from printed lines; exit code 0 means a complete trial, otherwise the reason is in `output/failure`.
"""

import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Final

from shotspotter_assets.models.tuning.sagemaker_tuning_job import OBJECTIVE, TASK_CHANNEL, suggested_values, unpacked

ROOT: Final = Path("/opt/ml")
MAX_REASON_CHARACTERS: Final = 1000  # SageMaker shows 1024 of them


def run(root: Path) -> None:
    """Run the trial in a folder and print its loss, of a network after each epoch too."""
    try:
        hyperparameters = json.loads((root / "input" / "config" / "hyperparameters.json").read_text())
        [file] = (root / "input" / "data" / TASK_CHANNEL).glob("*.npz")
        task = unpacked(file.read_bytes())
        values = suggested_values(task.space, hyperparameters)
        _print_loss(task.loss(values, lambda _, loss: _print_loss(loss)))
    except Exception as error:
        # The image's user may not be allowed to write there; the log has the reason, too.
        with contextlib.suppress(OSError):
            (root / "output").mkdir(parents=True, exist_ok=True)
            reason = f"{type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS]
            (root / "output" / "failure").write_text(reason)
        raise


def _print_loss(loss: float) -> None:
    sys.stdout.write(f"{OBJECTIVE}={loss!r}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Without a handler the first process of a container ignores the signal by which SageMaker stops a job.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run(ROOT)
