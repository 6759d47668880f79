"""A tuning job from its request to the trials of the study."""

from collections.abc import Mapping
from typing import Any

import boto3
import optuna
import pytest
from botocore.validate import validate_parameters

from shotspotter_assets.models.tuning.sagemaker.log_lines import METRICS, epoch_line, failed_line, result_line
from shotspotter_assets.models.tuning.sagemaker.request import (
    Machines,
    parameter_ranges,
    suggested_values,
    tuning_request,
)
from shotspotter_assets.models.tuning.sagemaker.tuning_job import Cloud, search_on_sagemaker
from shotspotter_assets.models.tuning.search import open_study
from shotspotter_assets_tests.models.tuning.sagemaker.fake_aws import FakeAws, Job
from shotspotter_assets_tests.models.tuning.tasks import task_of

MACHINES = Machines("arn:aws:iam::123456789012:role/training", "image", "ml.m5.xlarge", False, 60.0, 0.25)
TASK = task_of("regime_regression")


def jobs(_: Mapping[str, Any]) -> list[Job]:
    values = {"inverse_penalties": "0.02", "_tuning_objective_metric": "validation_loss"}
    return [
        Job(values, lines=[epoch_line(1, 0.3), epoch_line(2, 0.2), result_line(0.01, 3.0)], objective=0.0100001),
        Job(values, objective=0.5),
        Job(values, "Stopped", [epoch_line(1, 0.9)]),
        Job(values, "Failed", [failed_line("the loss is\nnot finite")]),
        Job(values, "Failed", ["Traceback"], reason="AlgorithmError: no memory"),
    ]


def run(aws: FakeAws, study: optuna.Study, trials: int = 5, machines: Machines = MACHINES, minutes: float = 5.0) -> Any:
    cloud = Cloud(aws, aws, machines, "s3://b/a.npz", "s3://b/a", "5f1c9a2e-0000", {"city": "x"}, poll_s=0)
    lines: list[str] = []
    given = {"trials": trials, "minutes": minutes, "parallel": 2, "seed": 1}
    return search_on_sagemaker(TASK, study, cloud, **given, log=lines.append), lines


@pytest.fixture
def study() -> optuna.Study:
    return open_study(TASK, None, 0)


def test_training_jobs_become_trials(study: optuna.Study) -> None:
    aws = FakeAws(jobs, ("InProgress", "InProgress", "Completed"))
    bill, lines = run(aws, study)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert [trial.value for trial in study.trials] == [0.01, 0.5, None, None]
    assert study.trials[0].intermediate_values == {1: 0.3, 2: 0.2}
    assert study.trials[3].user_attrs["reason"] == "the loss is not finite"
    assert study.best_params == {"inverse_penalties": 0.02}
    assert str(bill) == "5 training jobs, 2.50 h billed, 0.62 USD"
    assert "no trial: AlgorithmError: no memory" in lines[-1]
    assert not aws.is_stopped
    limits = aws.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert (limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]) == (5, 2)
    aws.request = {}
    assert run(aws, study, trials=4)[0].jobs == run(aws, study, minutes=0)[0].jobs == 0
    assert not aws.request


def test_interrupted_search_stops_its_tuning_job(study: optuna.Study) -> None:
    aws = FakeAws(jobs, ("InProgress", "interrupt"))
    with pytest.raises(KeyboardInterrupt):
        run(aws, study)
    assert aws.is_stopped


def test_tuning_job_without_a_trial_is_an_error(study: optuna.Study) -> None:
    with pytest.raises(RuntimeError, match="has tried no settings: AlgorithmError: no memory"):
        run(FakeAws(lambda request: jobs(request)[-1:]), study)


@pytest.mark.parametrize("spot", [False, True])
@pytest.mark.parametrize("name", ["residual_boosting", "conv_lstm", "regime_regression"])
def test_request_is_valid_by_the_description_of_the_api(name: str, spot: bool) -> None:
    machines = Machines(MACHINES.role, "image", "ml.m5.xlarge", spot, 60.0)
    request = tuning_request(
        "tune-a", task_of(name).space, "s3://b/a.npz", "s3://b/a", machines,
        jobs=5, parallel=9, minutes=1, seed=0, tags={"a": "b"},
    )  # fmt: skip
    api = boto3.client("sagemaker", region_name="us-east-1").meta.service_model
    validate_parameters(request, api.operation_model("CreateHyperParameterTuningJob").input_shape)
    assert request["HyperParameterTuningJobConfig"]["TrainingJobEarlyStoppingType"] == "Auto"
    assert ("CheckpointConfig" in request["TrainingJobDefinition"]) is spot
    names = [
        metric["Name"] for metric in request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    ]
    assert names == list(METRICS)


def test_suggested_texts_become_values_within_the_space() -> None:
    space = task_of("residual_boosting").space
    ranges = parameter_ranges(space)
    assert ranges["CategoricalParameterRanges"][0] == {"Name": "max_trees", "Values": ["60", "120", "180", "240"]}
    assert ranges["CategoricalParameterRanges"][1]["Values"] == ["false", "true"]
    middle = {
        one["Name"]: one["MinValue"] for kind in ("Continuous", "Integer") for one in ranges[f"{kind}ParameterRanges"]
    }
    texts = middle | {"leaves": '"7.0"', "l2": "1000.0000001", "max_trees": "180", "goss": '"true"', "other": "1"}
    values = suggested_values(space, texts)
    assert {name: values[name] for name in ("leaves", "l2", "max_trees", "goss")} == {
        "leaves": 7,
        "l2": 1000.0,
        "max_trees": 180,
        "goss": True,
    }
    assert list(values) == list(space)
