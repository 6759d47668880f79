"""Arguments of `create_hyper_parameter_tuning_job`, and the values that SageMaker suggests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shotspotter_assets.models.tuning.sagemaker.log_lines import METRICS, OBJECTIVE
from shotspotter_assets.models.tuning.sagemaker.train import TASK_CHANNEL

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

NAME_START: Final = "tune-"
"""Start of the names of all tuning jobs of this project."""
MIN_RUNTIME_S: Final = 120
"""Minimum of SageMaker for the time limit of a tuning job."""
SPARE_S: Final = 600
"""Time after the search's minutes in which training jobs may finish."""
VOLUME_GB: Final = 10


@dataclass(frozen=True)
class Machines:
    """Machines of the training jobs.

    Attributes:
        role: ARN of their role.
        image: address of the project's image in ECR.
        instance_type: such as ml.m5.xlarge.
        spot: whether they are spare machines, which are cheaper and may be taken away.
        job_minutes: time limit of a training job.
        price_per_hour: USD, for the cost in the log; None where it is unknown.
    """

    role: str
    image: str
    instance_type: str
    spot: bool
    job_minutes: float
    price_per_hour: float | None = None


def tuning_request(
    name: str,
    space: "Mapping[str, BaseDistribution]",
    task_uri: str,
    folder_uri: str,
    machines: Machines,
    *,
    jobs: int,
    parallel: int,
    minutes: float,
    seed: int,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Arguments of `create_hyper_parameter_tuning_job`.

    Args:
        name: of the tuning job, at most 32 characters.
        space: what is searched.
        task_uri: of the task's file on S3.
        folder_uri: on S3, for the files of the training jobs.
        machines: of the training jobs.
        jobs: training jobs in all.
        parallel: training jobs at a time.
        minutes: of the search.
        seed: of the suggested values.
        tags: of the tuning job, which its training jobs inherit.
    """
    runtime_s = max(round(60 * minutes), MIN_RUNTIME_S) + SPARE_S
    job_s = max(min(round(60 * machines.job_minutes), runtime_s), MIN_RUNTIME_S)
    stopping = {"MaxRuntimeInSeconds": job_s}
    spot: dict[str, Any] = {}
    if machines.spot:
        stopping["MaxWaitTimeInSeconds"] = job_s + SPARE_S
        spot = {"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": f"{folder_uri}/checkpoints"}}
    source = {"S3DataType": "S3Prefix", "S3Uri": task_uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": OBJECTIVE},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": jobs,
                "MaxParallelTrainingJobs": min(parallel, jobs),
                "MaxRuntimeInSeconds": runtime_s,
            },
            "ParameterRanges": parameter_ranges(space),
            "TrainingJobEarlyStoppingType": "Auto",
            "RandomSeed": seed,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": machines.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
            },
            "RoleArn": machines.role,
            "InputDataConfig": [{"ChannelName": TASK_CHANNEL, "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"{folder_uri}/output"},
            "ResourceConfig": {
                "InstanceType": machines.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": VOLUME_GB,
            },
            "StoppingCondition": stopping,
            **spot,
        },
        "Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
    }


def parameter_ranges(space: "Mapping[str, BaseDistribution]") -> dict[str, Any]:
    """`ParameterRanges` of a tuning job; it has no steps, so that whole numbers with a step are categories."""
    from optuna.distributions import FloatDistribution, IntDistribution

    ranges: dict[str, list[dict[str, Any]]] = {}
    for name, one in space.items():
        options = _options(one)
        if options:
            ranges.setdefault("Categorical", []).append({"Name": name, "Values": list(options)})
        else:
            assert isinstance(one, FloatDistribution | IntDistribution)
            kind = "Continuous" if isinstance(one, FloatDistribution) else "Integer"
            scale = "Logarithmic" if one.log else "Linear"
            bounds = {"MinValue": repr(one.low), "MaxValue": repr(one.high), "ScalingType": scale}
            ranges.setdefault(kind, []).append({"Name": name, **bounds})
    return {f"{kind}ParameterRanges": listed for kind, listed in ranges.items()}


def suggested_values(space: "Mapping[str, BaseDistribution]", hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Values of the space from SageMaker's texts; other hyperparameters are left out.

    Raises:
        KeyError, ValueError: a parameter is missing, or its text is no value of it.
    """
    from optuna.distributions import FloatDistribution, IntDistribution

    values: dict[str, Any] = {}
    for name, one in space.items():
        text, options = hyperparameters[name].strip('"'), _options(one)
        if options:
            values[name] = options[text]
        else:
            assert isinstance(one, FloatDistribution | IntDistribution)
            # A text may miss the bounds by a rounding.
            number = min(max(float(text), one.low), one.high)
            values[name] = number if isinstance(one, FloatDistribution) else round(number)
    return values


def _options(distribution: "BaseDistribution") -> dict[str, Any]:
    """The values of a parameter with few of them, by text; empty for ranges."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    match distribution:
        case CategoricalDistribution(choices=choices):
            return {one if isinstance(one, str) else json.dumps(one): one for one in choices}
        case IntDistribution(low=low, high=high, step=step) if step > 1:
            return {str(one): one for one in range(low, high + 1, step)}
    return {}
