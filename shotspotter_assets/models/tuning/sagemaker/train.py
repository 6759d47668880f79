"""One training job of SageMaker, `python -m shotspotter_assets.models.tuning.sagemaker.train`: one trial in a container.

The contract is SageMaker's: values in `input/config/hyperparameters.json` and the task in the channel `task`, below `/opt/ml`;
what is printed goes to CloudWatch; exit code 0 for a trial that is complete; else the reason is in `output/failure`.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from shotspotter_assets.models.tuning.sagemaker.log_lines import epoch_line, failed_line, result_line
from shotspotter_assets.models.tuning.sagemaker.ranges import suggested_values
from shotspotter_assets.models.tuning.sagemaker.task_file import unpacked
from shotspotter_assets.models.tuning.trials import Trial, TuningTask

ROOT_VARIABLE: Final = "SHOTSPOTTER_ML_ROOT"
"""Names another folder than `/opt/ml`, for a machine that is no container."""
TASK_CHANNEL: Final = "task"
CHECKPOINTS: Final = "checkpoints"
"""Folder that SageMaker copies to S3 and back, where the job says so."""
MAX_REASON_CHARACTERS: Final = 1000
"""SageMaker shows 1024 of them."""

TRIED, SETTINGS_FAILED, TASK_FAILED = 0, 1, 2
ENDED: Final = 128 + signal.SIGTERM


def run(root: Path, job: str) -> int:
    """Run the trial that the folder describes, print its lines, and return the exit code.

    Args:
        root: `/opt/ml`.
        job: name of the training job.
    """
    try:
        hyperparameters = json.loads((root / "input" / "config" / "hyperparameters.json").read_text())
        [file] = (root / "input" / "data" / TASK_CHANNEL).glob("*.npz")
        task = unpacked(file.read_bytes())
        trial = _tried(task, suggested_values(task.space, hyperparameters), root, job)
    except Exception as error:
        traceback.print_exc()
        _leave_reason(root, f"{type(error).__name__}: {error}")
        return TASK_FAILED
    if trial.loss is None:
        _say(failed_line(trial.reason, trial.seconds))
        _leave_reason(root, trial.reason)
        return SETTINGS_FAILED
    return TRIED


def _tried(task: TuningTask, values: Mapping[str, Any], root: Path, job: str) -> Trial:
    backups = root / CHECKPOINTS / job
    task = replace(task, context=replace(task.context, backups=backups if backups.parent.is_dir() else None))

    def after_epoch(losses: list[float]) -> None:
        _say(epoch_line(len(losses), losses[-1]))

    trial = task.run(values, after_epoch, _say)
    if trial.loss is not None:
        _say(result_line(trial.loss, trial.seconds, len(trial.epochs)))
    return trial


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _leave_reason(root: Path, reason: str) -> None:
    # The image's user may not be allowed to write there; the reason is in the log, too.
    with contextlib.suppress(OSError):
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "failure").write_text(reason[:MAX_REASON_CHARACTERS])


def _end(*_: object) -> None:
    """End at SIGTERM, by which SageMaker stops a job: without a handler the first process of a container ignores it."""
    _say("SageMaker ends this training job")
    sys.exit(ENDED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(run(Path(os.environ.get(ROOT_VARIABLE) or "/opt/ml"), os.environ.get("TRAINING_JOB_NAME") or "job"))
