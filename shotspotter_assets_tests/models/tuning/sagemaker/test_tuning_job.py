from collections.abc import Mapping
from typing import Any

import boto3
import optuna
import pytest
from botocore.validate import validate_parameters

from shotspotter_assets.models.tuning.sagemaker.tuning_job import (
    Cloud,
    parameter_ranges,
    search_on_sagemaker,
    suggested_values,
    tuning_request,
)
from shotspotter_assets.models.tuning.search import open_study
from shotspotter_assets_tests.models.tuning.sagemaker.fake_aws import FakeAws, Job
from shotspotter_assets_tests.models.tuning.tasks import VALUES, task_of, texts

TASK = task_of("residual_boosting")
FAILED = Job(texts(VALUES), "Failed", reason="AlgorithmError: no memory")


def jobs(_: Mapping[str, Any]) -> list[Job]:
    return [Job(texts(VALUES), objective=0.01), Job(texts(VALUES), "Stopped", objective=0.5), FAILED]


def cloud_of(aws: Any, minutes: float, parallel: int) -> Cloud:
    role = "arn:aws:iam::123456789012:role/training"
    files = "s3://b/a.npz", "s3://b/a"
    return Cloud(aws, role, "image", "ml.m5.xlarge", 60, *files, "5f1c-0000", {"a": "b"}, 0, minutes, parallel, 1)


def run(aws: FakeAws, study: optuna.Study, trials: int = 6, minutes: float = 5.0) -> list[str]:
    lines: list[str] = []
    search_on_sagemaker(TASK, study, cloud_of(aws, minutes, parallel=2), trials, lines.append)
    return lines


@pytest.fixture
def study() -> optuna.Study:
    return open_study(TASK, None, 0)


def test_training_jobs_become_trials(study: optuna.Study) -> None:
    aws = FakeAws(jobs, ("InProgress", "InProgress", "Completed"))
    lines = run(aws, study)
    # The first trial are the settings without a search.
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert [trial.value for trial in study.trials[1:]] == [0.01, None]
    assert study.best_params == VALUES
    assert "no trial: AlgorithmError: no memory" in lines[-1]
    assert not aws.is_stopped
    limits = aws.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert (limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]) == (5, 2)
    aws.request = {}
    assert run(aws, study, trials=3) == run(aws, study, minutes=0) == []
    assert not aws.request


def test_interrupted_search_stops_its_tuning_job(study: optuna.Study) -> None:
    aws = FakeAws(jobs, ("InProgress", "interrupt"))
    with pytest.raises(KeyboardInterrupt):
        run(aws, study)
    assert aws.is_stopped


def test_tuning_job_without_a_trial_is_an_error(study: optuna.Study) -> None:
    with pytest.raises(RuntimeError, match="has tried no settings: AlgorithmError: no memory"):
        run(FakeAws(lambda _: [FAILED]), study)


@pytest.mark.parametrize("name", ["residual_boosting", "conv_lstm"])
def test_request_is_valid_by_the_description_of_the_api(name: str) -> None:
    request = tuning_request("tune-a", task_of(name).space, cloud_of(None, 1, parallel=9), jobs=5)
    api = boto3.client("sagemaker", region_name="us-east-1").meta.service_model
    validate_parameters(request, api.operation_model("CreateHyperParameterTuningJob").input_shape)


def test_suggested_texts_become_values_within_the_space() -> None:
    [steps] = parameter_ranges(TASK.space)["CategoricalParameterRanges"]
    assert steps == {"Name": "max_trees", "Values": ["60", "120", "180", "240"]}
    assert parameter_ranges(task_of("conv_lstm").space)["CategoricalParameterRanges"][0]["Values"] == ["8", "16", "32"]
    quoted = {"leaves": '"7.0"', "l2": "1000.0000001", "max_trees": '"180"'}
    changed = VALUES | {"leaves": 7, "l2": 1000.0, "max_trees": 180}
    assert suggested_values(TASK.space, texts(VALUES) | quoted) == changed
