import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.factors.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import ResidualBoostingSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.sagemaker import train
from shotspotter_assets.models.tuning.sagemaker.task_file import packed, unpacked
from shotspotter_assets.models.tuning.search import TuningTask
from shotspotter_assets_tests.models.histories import CITY, FIRST_DAY, shared_start
from shotspotter_assets_tests.models.tuning.tasks import VALUES, past, task_of, texts

BOOSTING = "residual_boosting"


def with_factors() -> History:
    random = np.random.default_rng(0)
    places = {"kind": "points", "path": "places.csv", "known_from": date(2021, 5, 1)}
    weather = {"kind": "series", "path": "weather.csv", "column": "warmth", "known_from": date(2021, 6, 1)}
    city = CityFile.model_validate(CITY.model_dump(mode="json") | {"factors": {"places": places, "warmth": weather}})
    names = city.factors["places"].input_name("places"), city.factors["warmth"].input_name("warmth")
    axis = np.arange(np.datetime64("2021-04-01"), np.datetime64("2021-12-01"))
    factors = CityFactors(
        (CellInput(names[0], date(2021, 5, 1), np.where(random.random((6, 5)) < 0.2, np.nan, random.random((6, 5)))),),
        (SeriesInput(names[1], date(2021, 6, 1), axis, random.random(len(axis)), 1),),
    )
    return History(city, FIRST_DAY, past().counts, past().in_coverage, past().evening, 1, factors)


@pytest.mark.parametrize(
    "task", [replace(task_of(BOOSTING), context=FitContext(shared_start())), task_of(BOOSTING, with_factors())]
)
def test_a_task_is_the_same_after_its_travel(task: TuningTask) -> None:
    there = unpacked(packed(task))
    assert there.key == task.key
    assert there.space == task.space
    assert there.history.city == task.history.city
    assert there.loss({}) == task.loss({})


def test_a_task_of_another_version_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(task_of(BOOSTING))
    monkeypatch.setattr(ResidualBoostingSettings, "search_space", classmethod(lambda cls: {}))
    with pytest.raises(ValueError, match="Push an image of the version that runs beside Dagster"):
        unpacked(content)


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
