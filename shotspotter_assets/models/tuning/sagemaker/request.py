"""What a tuning job is, as SageMaker's API takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shotspotter_assets.models.tuning.sagemaker.log_lines import METRICS, OBJECTIVE
from shotspotter_assets.models.tuning.sagemaker.ranges import parameter_ranges
from shotspotter_assets.models.tuning.sagemaker.train import TASK_CHANNEL
from shotspotter_assets.models.tuning.space import Space

NAME_START: Final = "tune-"
"""Of the names of all tuning jobs of this project."""
RUN_TAG: Final = "shotspotter:run"
"""Tag of a tuning job: the Dagster run that follows it."""
MIN_RUNTIME_S: Final = 120
"""Least that SageMaker takes as the limit of a tuning job."""
CITY_TAG: Final = "shotspotter:city"
FOLD_TAG: Final = "shotspotter:fold"
"""Cutoff date of the fold whose settings are searched."""
SPARE_S: Final = 600
"""After the search's minutes, in which the run ends the job; if there is no run any more, the job ends by itself."""
VOLUME_GB: Final = 10
WARM_PARENTS: Final = 5
"""Most that SageMaker takes."""


@dataclass(frozen=True)
class Machines:
    """What the training jobs of a search run on.

    Attributes:
        role: ARN of the role that they have.
        image: address of the project's image in ECR.
        instance_type: such as ml.m5.xlarge.
        spot: whether they run on spare machines, which are cheaper and may be taken away.
        job_minutes: a training job is ended after them.
        price_per_hour: of such a machine, to tell costs; None where it is not known.
    """

    role: str
    image: str
    instance_type: str
    spot: bool
    job_minutes: float
    price_per_hour: float | None = None


@dataclass(frozen=True)
class Place:
    """Where on S3 a search has its files: `task`, the address of the task's file; `folder`, for all that jobs write."""

    task: str
    folder: str


def name_start(key: str) -> str:
    """How the names of all tuning jobs of a search start."""
    return f"{NAME_START}{key}-"


def job_name(key: str, run_id: str) -> str:
    """Name of the tuning job that a run makes of a search, so that both are found by it; at most 32 characters."""
    return f"{name_start(key)}{run_id.replace('-', '')[:8]}"


def tuning_request(
    name: str,
    space: Space,
    place: Place,
    machines: Machines,
    *,
    jobs: int,
    parallel: int,
    minutes: float,
    seed: int,
    tags: Mapping[str, str],
    parents: Sequence[str] = (),
    same_image: bool = True,
) -> dict[str, Any]:
    """Arguments of `create_hyper_parameter_tuning_job`.

    Args:
        name: see `job_name`.
        space: what is searched.
        place: see there.
        machines: see there.
        jobs: training jobs in all.
        parallel: training jobs at a time.
        minutes: of the search.
        seed: of what is tried.
        tags: of the tuning job, which its training jobs inherit.
        parents: names of earlier tuning jobs of the same search, from which this one learns.
        same_image: whether they all had the image of this one.
    """
    runtime_s = max(round(60 * minutes), MIN_RUNTIME_S) + SPARE_S
    job_s = max(min(round(60 * machines.job_minutes), runtime_s), MIN_RUNTIME_S)
    stopping = {"MaxRuntimeInSeconds": job_s}
    spot: dict[str, Any] = {}
    if machines.spot:
        stopping["MaxWaitTimeInSeconds"] = job_s + SPARE_S
        spot = {"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": f"{place.folder}/checkpoints"}}
    warm = {
        "WarmStartConfig": {
            "ParentHyperParameterTuningJobs": [
                {"HyperParameterTuningJobName": parent} for parent in parents[:WARM_PARENTS]
            ],
            "WarmStartType": "IdenticalDataAndAlgorithm" if same_image else "TransferLearning",
        }
    }
    channel = {
        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": place.task, "S3DataDistributionType": "FullyReplicated"}
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": OBJECTIVE.name},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": jobs,
                "MaxParallelTrainingJobs": min(parallel, jobs),
                "MaxRuntimeInSeconds": runtime_s,
            },
            "ParameterRanges": parameter_ranges(space),
            # Bad trials are ended by the run, by the rule of the search here.
            "TrainingJobEarlyStoppingType": "Off",
            "RandomSeed": seed,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": machines.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": one.name, "Regex": one.expression} for one in METRICS],
            },
            "RoleArn": machines.role,
            "InputDataConfig": [{"ChannelName": TASK_CHANNEL, "DataSource": channel}],
            "OutputDataConfig": {"S3OutputPath": f"{place.folder}/output"},
            "ResourceConfig": {
                "InstanceType": machines.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": VOLUME_GB,
            },
            "StoppingCondition": stopping,
            **spot,
        },
        **(warm if parents else {}),
        "Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
    }
