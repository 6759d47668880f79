"""The container's side: what it reads below its root, prints, leaves behind and answers."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from shotspotter_assets.models.tuning.sagemaker.log_lines import EPOCHS, LOG_LOSS
from shotspotter_assets.models.tuning.sagemaker.ranges import suggested_values
from shotspotter_assets.models.tuning.sagemaker.task_file import packed
from shotspotter_assets.models.tuning.sagemaker.train import ENDED, ROOT_VARIABLE, TASK_FAILED, TRIED
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import program
from shotspotter_assets_tests.models.tuning.tasks import task_of


def begin(root: Path, task: bytes, hyperparameters: dict[str, str]) -> "subprocess.Popen[str]":
    """The image's command, as SageMaker starts it."""
    for folder, name, content in (
        ("input/config", "hyperparameters.json", json.dumps(hyperparameters).encode()),
        ("input/data/task", "regime_regression.task.npz", task),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(content)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), ROOT_VARIABLE: str(root), "TRAINING_JOB_NAME": "job"}
    return subprocess.Popen(program(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(root: Path, task: bytes, hyperparameters: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The same to its end."""
    process = begin(root, task, hyperparameters)
    printed, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, printed, errors)


def test_a_training_job_prints_its_loss_and_one_without_a_task_leaves_the_reason(tmp_path: Path) -> None:
    task = task_of("regime_regression")
    texts = {"inverse_penalties": "0.02", "_tuning_objective_metric": LOG_LOSS.name}
    trained = train(tmp_path / "good", packed(task), texts)
    assert trained.returncode == TRIED, trained.stderr
    here = task.run(suggested_values(task.space, texts), lambda _: None, lambda _: None)
    assert LOG_LOSS.read(trained.stdout) == pytest.approx(here.loss, rel=1e-12)
    assert EPOCHS.read(trained.stdout) == 0
    assert not (tmp_path / "good" / "output" / "failure").exists()

    failed = train(tmp_path / "bad", b"no archive", texts)
    assert failed.returncode == TASK_FAILED
    reason = (tmp_path / "bad" / "output" / "failure").read_text()
    assert reason.startswith("ValueError: ")
    assert "Traceback" in failed.stderr


@pytest.mark.slow
def test_a_training_job_ends_when_it_is_asked_to_as_the_first_process_of_a_container(tmp_path: Path) -> None:
    texts = {
        "days": "8",
        "filters": "4",
        "recurrent_layers": "1",
        "dropout": "0",
        "learning_rate": "0.001",
        "batch_size": "40",
    }
    with begin(tmp_path, packed(task_of("conv_lstm", epochs=10_000, patience=10_000)), texts) as process:
        assert process.stdout is not None
        assert any("tuning epoch=1 " in line for line in process.stdout)
        # The kernel gives the first process of a container no signal that it has no handler for.
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().splitlines()[-1] == "SageMaker ends this training job"
    assert process.returncode == ENDED
