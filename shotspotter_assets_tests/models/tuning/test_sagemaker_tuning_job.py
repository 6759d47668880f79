import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import optuna
import pytest
from botocore.validate import validate_parameters

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import ResidualBoostingSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning import sagemaker_train as train
from shotspotter_assets.models.tuning import sagemaker_tuning_job as tuning_job
from shotspotter_assets.models.tuning.sagemaker_tuning_job import packed, unpacked
from shotspotter_assets.models.tuning.search import TuningTask, open_study
from shotspotter_assets_tests.models.histories import CITY, shared_start
from shotspotter_assets_tests.models.tuning.fake_aws import FakeAws, Job
from shotspotter_assets_tests.models.tuning.tasks import VALUES, past, task_of, texts

TASK = task_of("residual_boosting")
FAILED = Job(texts(VALUES), "Failed", reason="AlgorithmError: no memory")
JOBS = (Job(texts(VALUES), objective=0.01), Job(texts(VALUES), "Stopped", objective=0.5), FAILED)


def cloud_of(aws: Any, minutes: float, parallel: int) -> tuning_job.Cloud:
    role = "arn:aws:iam::123456789012:role/training"
    names = role, "image", "ml.m5.xlarge", 60, "s3://b/a.npz", "s3://b/a", "5f1c-0000"
    return tuning_job.Cloud(aws, *names, {"a": "b"}, 0, minutes, parallel, 1)


def run(aws: FakeAws, study: optuna.Study, trials: int = 6, minutes: float = 5.0) -> None:
    tuning_job.search_on_sagemaker(TASK, study, cloud_of(aws, minutes, parallel=2), trials)


@pytest.fixture
def study() -> optuna.Study:
    return open_study(TASK, None, 0)


def test_training_jobs_become_trials(study: optuna.Study, caplog: pytest.LogCaptureFixture) -> None:
    aws = FakeAws(*JOBS, statuses=("InProgress", "InProgress", "Completed"))
    run(aws, study)
    # The first trial are the settings without a search.
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert [trial.value for trial in study.trials[1:]] == [0.01, None]
    assert study.best_params == VALUES
    assert "no trial: AlgorithmError: no memory" in caplog.text
    assert not aws.is_stopped
    limits = aws.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert (limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]) == (5, 2)
    aws.request = {}
    run(aws, study, trials=3)
    run(aws, study, minutes=0)
    assert not aws.request


def test_interrupted_search_stops_its_tuning_job(study: optuna.Study) -> None:
    aws = FakeAws(*JOBS, statuses=("InProgress", "interrupt"))
    with pytest.raises(KeyboardInterrupt):
        run(aws, study)
    assert aws.is_stopped


def test_tuning_job_without_a_trial_is_an_error(study: optuna.Study) -> None:
    with pytest.raises(RuntimeError, match="AlgorithmError: no memory"):
        run(FakeAws(FAILED), study)


@pytest.mark.parametrize("name", ["residual_boosting", "conv_lstm"])
def test_request_is_valid_by_the_description_of_the_api(name: str) -> None:
    request = tuning_job.tuning_request("tune-a", task_of(name).space, cloud_of(None, 1, parallel=9), jobs=5)
    api = boto3.client("sagemaker", region_name="us-east-1").meta.service_model
    validate_parameters(request, api.operation_model("CreateHyperParameterTuningJob").input_shape)


def test_suggested_texts_become_values_within_the_space() -> None:
    [steps] = tuning_job.parameter_ranges(TASK.space)["CategoricalParameterRanges"]
    assert steps == {"Name": "max_trees", "Values": ["60", "120", "180", "240"]}
    [days, *_] = tuning_job.parameter_ranges(task_of("conv_lstm").space)["CategoricalParameterRanges"]
    assert days["Values"] == ["8", "16", "32"]
    quoted = {"leaves": '"7.0"', "l2": "1000.0000001", "max_trees": '"180"'}
    changed = VALUES | {"leaves": 7, "l2": 1000.0, "max_trees": 180}
    assert tuning_job.suggested_values(TASK.space, texts(VALUES) | quoted) == changed


def with_factors() -> History:
    random = np.random.default_rng(0)
    places = {"kind": "points", "path": "places.csv", "known_from": date(2021, 5, 1)}
    weather = {"kind": "series", "path": "weather.csv", "column": "warmth", "known_from": date(2021, 6, 1)}
    city = CityFile.model_validate(CITY.model_dump(mode="json") | {"factors": {"places": places, "warmth": weather}})
    axis = np.arange(np.datetime64("2021-04-01"), np.datetime64("2021-12-01"))
    by_cell = np.where(random.random((6, 5)) < 0.2, np.nan, random.random((6, 5)))
    by_day = random.random(len(axis))
    of_cells = CellInput(city.factors["places"].input_name("places"), date(2021, 5, 1), by_cell)
    of_days = SeriesInput(city.factors["warmth"].input_name("warmth"), date(2021, 6, 1), axis, by_day, 1)
    return replace(past(), city=city, factors=CityFactors((of_cells,), (of_days,)))


TASKS = [replace(TASK, context=FitContext(shared_start())), task_of("residual_boosting", with_factors())]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_the_same_after_its_travel(task: TuningTask) -> None:
    there = unpacked(packed(task))
    assert there.key == task.key
    assert there.space == task.space
    assert there.history.city == task.history.city
    assert there.loss({}) == task.loss({})


def test_a_task_of_another_version_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(TASK)
    monkeypatch.setattr(ResidualBoostingSettings, "search_space", classmethod(lambda cls: {}))
    with pytest.raises(ValueError, match="SHOTSPOTTER_SAGEMAKER_IMAGE"):
        unpacked(content)


def given(root: Path, task: bytes) -> Path:
    values = json.dumps(texts(VALUES)).encode()
    for path, content in (("config/hyperparameters.json", values), ("data/task/a.task.npz", task)):
        file = root / "input" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def test_training_job_prints_the_loss_of_its_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.run(given(tmp_path, packed(TASK)))
    printed = capsys.readouterr().out
    assert printed == f"validation_loss={TASK.loss(VALUES)!r}\n"
    request = tuning_job.tuning_request("tune-a", TASK.space, cloud_of(None, 1, parallel=1), jobs=1)
    [metric] = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert re.findall(metric["Regex"], printed) == [repr(TASK.loss(VALUES))]
    assert not (tmp_path / "output" / "failure").exists()


def test_failures_leave_their_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        train.run(given(tmp_path, b"no archive"))
    assert (tmp_path / "output" / "failure").read_text().startswith("ValueError: ")
