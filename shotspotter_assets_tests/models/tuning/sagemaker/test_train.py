import json
from pathlib import Path

import pytest

from shotspotter_assets.models.tuning.sagemaker import train
from shotspotter_assets.models.tuning.sagemaker.task_file import packed
from shotspotter_assets_tests.models.tuning.tasks import VALUES, task_of, texts


def given(root: Path, task: bytes) -> Path:
    for folder, name, content in (
        ("input/config", "hyperparameters.json", json.dumps(texts(VALUES)).encode()),
        ("input/data/task", "a.task.npz", task),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(content)
    return root


def test_training_job_prints_the_loss_of_its_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("residual_boosting")
    train.run(given(tmp_path, packed(task)))
    assert capsys.readouterr().out == f"validation_loss={task.loss(VALUES)!r}\n"
    assert not (tmp_path / "output" / "failure").exists()


def test_failures_leave_their_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        train.run(given(tmp_path, b"no archive"))
    assert (tmp_path / "output" / "failure").read_text().startswith("ValueError: ")
