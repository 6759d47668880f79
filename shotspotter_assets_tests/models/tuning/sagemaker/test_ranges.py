"""A search space as SageMaker's ranges, and back from the texts that it suggests."""

import random

import botocore.session
import pytest
from botocore.validate import ParamValidator

from shotspotter_assets.models.registry import FORECASTERS, TUNABLE
from shotspotter_assets.models.tuning.sagemaker.ranges import parameter_ranges, suggested_values
from shotspotter_assets.models.tuning.sagemaker.request import Machines, Place, job_name, tuning_request
from shotspotter_assets.models.tuning.space import Categorical, Continuous, Integer, OnlyIf, is_active, searched
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import suggested

SPACE = {
    "rate": Continuous(1e-4, 1e-1, log=True),
    "leaves": Integer(3, 63, log=True),
    "trees": Integer(60, 180, step=60),
    "goss": Categorical((False, True)),
    "kind": Categorical(("small", "large")),
    "share": Continuous(0.25, 1.0, only_if=OnlyIf("goss", value=False)),
}


def test_kinds_scales_and_steps_are_those_of_the_space() -> None:
    assert parameter_ranges(SPACE) == {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"},
            {"Name": "share", "MinValue": "0.25", "MaxValue": "1.0", "ScalingType": "Linear"},
        ],
        "IntegerParameterRanges": [{"Name": "leaves", "MinValue": "3", "MaxValue": "63", "ScalingType": "Logarithmic"}],
        "CategoricalParameterRanges": [
            {"Name": "trees", "Values": ["60", "120", "180"]},
            {"Name": "goss", "Values": ["false", "true"]},
            {"Name": "kind", "Values": ["small", "large"]},
        ],
    }


def test_texts_become_values_and_what_has_no_use_is_left_out() -> None:
    texts = {
        "rate": "0.1000000001",
        "leaves": "12",
        "trees": "120",
        "goss": "true",
        "kind": '"large"',
        "share": "0.5",
        "x": "1",
    }
    assert suggested_values(SPACE, texts) == {"rate": 0.1, "leaves": 12, "trees": 120, "goss": True, "kind": "large"}
    assert suggested_values(SPACE, texts | {"goss": "false"})["share"] == 0.5
    with pytest.raises(KeyError):
        suggested_values(SPACE, texts | {"trees": "100"})


@pytest.mark.parametrize("name", TUNABLE)
@pytest.mark.parametrize("has_shared", [False, True])
def test_whatever_is_suggested_of_a_forecaster_is_a_point_of_its_space(name: str, has_shared: bool) -> None:
    space, draw = searched(FORECASTERS[name].settings.search, has_shared), random.Random(0)
    for _ in range(50):
        values = suggested_values(space, suggested(parameter_ranges(space), draw))
        assert all(space[one].contains(value) for one, value in values.items())
        assert list(values) == [one for one, parameter in space.items() if is_active(parameter, values)]


@pytest.mark.parametrize("spot", [False, True])
def test_the_request_is_one_that_the_api_takes(spot: bool) -> None:
    machines = Machines("arn:aws:iam::123456789012:role/training", "image:1", "ml.m5.xlarge", spot, 60.0)
    name = job_name("0123456789abcdef", "5f1c9a2e-0000-4000-8000-000000000000")
    request = tuning_request(
        name, SPACE, Place("s3://bucket/task.npz", "s3://bucket/made"), machines,
        jobs=3, parallel=10, minutes=30, seed=0, tags={"shotspotter:run": "x"}, parents=["a", "b"], same_image=False,
    )  # fmt: skip
    api = botocore.session.get_session().get_service_model("sagemaker")
    shape = api.operation_model("CreateHyperParameterTuningJob").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    assert len(name) <= 32
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3, "MaxRuntimeInSeconds": 1800 + 600}
    assert request["WarmStartConfig"]["WarmStartType"] == "TransferLearning"
    stopping = request["TrainingJobDefinition"]["StoppingCondition"]
    # A spot job waits for a machine, within what it may wait in all.
    assert stopping.get("MaxWaitTimeInSeconds", stopping["MaxRuntimeInSeconds"]) >= stopping["MaxRuntimeInSeconds"]
    assert ("MaxWaitTimeInSeconds" in stopping) == spot
