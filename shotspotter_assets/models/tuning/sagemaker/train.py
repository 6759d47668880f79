"""One training job of SageMaker, `python -m shotspotter_assets.models.tuning.sagemaker.train`: one trial in a container.

The contract is SageMaker's: values in `input/config/hyperparameters.json` and the task in the channel `task`, below `/opt/ml`;
printed lines go to CloudWatch; exit code 0 means a complete trial; otherwise the reason is in `output/failure`.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Final

from shotspotter_assets.models.tuning.sagemaker.log_lines import epoch_line, failed_line, result_line

ROOT_VARIABLE: Final = "SHOTSPOTTER_ML_ROOT"
"""Names another folder than `/opt/ml`, for a machine that is no container."""
TASK_CHANNEL: Final = "task"
CHECKPOINTS: Final = "checkpoints"
"""Folder that SageMaker copies to S3 and back, where the job asks for it."""
MAX_REASON_CHARACTERS: Final = 1000
"""SageMaker shows 1024 of them."""
TRIED, SETTINGS_FAILED, TASK_FAILED = 0, 1, 2
ENDED: Final = 128 + signal.SIGTERM


def run(root: Path, job: str) -> int:
    """Run the trial in a folder, print its lines, and return the exit code.

    Args:
        root: `/opt/ml`.
        job: name of the training job.
    """
    from shotspotter_assets.models.tuning.sagemaker.request import suggested_values
    from shotspotter_assets.models.tuning.sagemaker.task_file import unpacked

    began = monotonic()
    try:
        hyperparameters = json.loads((root / "input" / "config" / "hyperparameters.json").read_text())
        [file] = (root / "input" / "data" / TASK_CHANNEL).glob("*.npz")
        task = unpacked(file.read_bytes())
        # By job, as all jobs of a search may be given one folder.
        backups = root / CHECKPOINTS / job if (root / CHECKPOINTS).is_dir() else None
        task = replace(task, context=replace(task.context, backups=backups))
        values = suggested_values(task.space, hyperparameters)
        loss = task.loss(values, lambda epoch, loss: _print(epoch_line(epoch, loss)), _print)
    except FloatingPointError as error:
        _print(failed_line(str(error)))
        _write_reason(root, str(error))
        return SETTINGS_FAILED
    except Exception as error:
        traceback.print_exc()
        _write_reason(root, f"{type(error).__name__}: {error}")
        return TASK_FAILED
    _print(result_line(loss, monotonic() - began))
    return TRIED


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _write_reason(root: Path, reason: str) -> None:
    # The image's user may not be allowed to write there; the log has the reason, too.
    with contextlib.suppress(OSError):
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "failure").write_text(reason[:MAX_REASON_CHARACTERS])


def _end(*_: object) -> None:
    """End at SIGTERM, by which SageMaker stops a job: without a handler the first process of a container ignores it."""
    _print("SageMaker ends this training job")
    sys.exit(ENDED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(run(Path(os.environ.get(ROOT_VARIABLE) or "/opt/ml"), os.environ.get("TRAINING_JOB_NAME") or "job"))
