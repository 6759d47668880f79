"""The container's side of a training job: its input, lines, failure file and exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.models.tuning.sagemaker import train
from shotspotter_assets.models.tuning.sagemaker.log_lines import read_log
from shotspotter_assets.models.tuning.sagemaker.task_file import packed
from shotspotter_assets.models.tuning.task import TuningTask
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.models.tuning.tasks import task_of

TEXTS = {"inverse_penalties": "0.02", "_tuning_objective_metric": "validation_loss"}
NETWORK = {
    "days": "8",
    "filters": "4",
    "recurrent_layers": "1",
    "dropout": "0",
    "learning_rate": "0.001",
    "batch_size": "40",
}


def given(root: Path, task: bytes, hyperparameters: dict[str, str]) -> Path:
    """The folder of a training job."""
    for folder, name, content in (
        ("input/config", "hyperparameters.json", json.dumps(hyperparameters).encode()),
        ("input/data/task", "a.task.npz", task),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(content)
    return root


def test_training_job_prints_the_loss_of_its_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("regime_regression")
    assert train.run(given(tmp_path, packed(task), TEXTS), "job") == train.TRIED
    assert read_log(capsys.readouterr().out.splitlines()).loss == task.loss({"inverse_penalties": 0.02})
    assert not (tmp_path / "output" / "failure").exists()


def test_failures_leave_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train.run(given(tmp_path, b"no archive", TEXTS), "job") == train.TASK_FAILED
    assert (tmp_path / "output" / "failure").read_text().startswith("ValueError: ")
    assert "Traceback" in capsys.readouterr().err

    def diverge(*_: object) -> float:
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(TuningTask, "loss", diverge)
    assert train.run(given(tmp_path, packed(task_of("regime_regression")), TEXTS), "job") == train.SETTINGS_FAILED
    assert read_log(capsys.readouterr().out.splitlines()).failure == "the loss is not finite"


@pytest.mark.slow
def test_training_job_ends_at_sigterm_and_keeps_its_backup(tmp_path: Path) -> None:
    (tmp_path / train.CHECKPOINTS).mkdir()
    given(tmp_path, packed(task_of("conv_lstm", epochs=10_000, patience=10_000)), NETWORK)
    command = [sys.executable, "-m", "shotspotter_assets.models.tuning.sagemaker.train"]
    variables = {"PYTHONPATH": str(CHECKOUT), train.ROOT_VARIABLE: str(tmp_path), "TRAINING_JOB_NAME": "job"}
    with subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("tuning epoch=1 " in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().splitlines()[-1] == "SageMaker ends this training job"
    assert process.returncode == train.ENDED
    assert list((tmp_path / train.CHECKPOINTS / "job").glob("*/*.weights.h5"))
