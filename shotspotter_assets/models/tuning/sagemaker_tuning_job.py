"""A search on SageMaker: create a tuning job, wait for its end, and add its training jobs to the study as trials.

The task of a search is one file, the input of a training job: arrays, and everything else as JSON.
"""

import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext, SharedStart
from shotspotter_assets.models.forecaster_registry import find
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import TuningTask, trials_left

NAME_START: Final = "tune-"  # start of the names of all tuning jobs of this project
UNDER_WAY: Final = ("InProgress", "Stopping")  # statuses of tuning jobs that have not ended
MIN_RUNTIME_S: Final = 120  # minimum of SageMaker for the time limit of a tuning job
SPARE_S: Final = 600  # time after the search's minutes in which training jobs may finish
VOLUME_GB: Final = 10
log = logging.getLogger(__name__)
TASK_FILE: Final = "task.npz"
TASK_CHANNEL: Final = "task"  # channel by which SageMaker hands the file to a training job
OBJECTIVE: Final = "validation_loss"  # name by which a training job prints the loss of its trial


@dataclass(frozen=True)
class Cloud:
    """AWS for a search; training jobs inherit the `tags`."""

    sagemaker: Any  # boto3 client
    role: str  # ARN
    image: str  # the project's image in ECR
    instance_type: str
    job_minutes: float
    task_uri: str  # the task's file on S3
    output_uri: str  # folder on S3
    run_id: str
    tags: Mapping[str, str]
    poll_s: float
    minutes: float  # duration of the search
    parallel: int  # training jobs at a time
    seed: int


def search_on_sagemaker(task: TuningTask, study: optuna.Study, cloud: Cloud, trials: int) -> None:
    """Add the training jobs of one tuning job to a study, to `trials` in all; raise RuntimeError if none has a trial."""
    jobs = trials_left(study, trials)
    if not jobs or cloud.minutes <= 0:
        return
    name = f"{NAME_START}{task.key}-{cloud.run_id.replace('-', '')[:8]}"
    cloud.sagemaker.create_hyper_parameter_tuning_job(**tuning_request(name, task.space, cloud, jobs))
    log.info(
        "created the tuning job %s: %s training jobs on %s, %s at a time",
        name,
        jobs,
        cloud.instance_type,
        cloud.parallel,
    )
    status = UNDER_WAY[0]
    try:
        while status in UNDER_WAY:
            time.sleep(cloud.poll_s)
            described = cloud.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            status = described["HyperParameterTuningJobStatus"]
    finally:
        if status in UNDER_WAY:
            cloud.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    paginator = cloud.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    pages = paginator.paginate(HyperParameterTuningJobName=name)
    summaries = [summary for page in pages for summary in page["TrainingJobSummaries"]]
    reasons = _add_trials(task, study, summaries)
    if len(reasons) == len(summaries):
        why = "; ".join(sorted({*reasons, described.get("FailureReason", "")} - {""})) or "it has no training job"
        raise RuntimeError(f"The tuning job {name} has tried no settings: {why}. Its log is in CloudWatch.")


def _add_trials(task: TuningTask, study: optuna.Study, summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add training jobs to the study; return the reasons of those without a trial, "" where SageMaker gives none."""
    reasons = []
    for summary in summaries:
        trial = _trial(task, summary)
        if trial is None:
            reasons.append(summary.get("FailureReason", ""))
            log.warning("%s: %s, no trial: %s", summary["TrainingJobName"], summary["TrainingJobStatus"], reasons[-1])
            continue
        study.add_trial(trial)
        log.info(
            "%s: %s, log loss %s, %s",
            summary["TrainingJobName"],
            trial.state.name.lower(),
            trial.value,
            trial.params,
        )
    return reasons


def _trial(task: TuningTask, summary: Mapping[str, Any]) -> FrozenTrial | None:
    """Return the trial of a training job; pruned where SageMaker stopped it early, None if it failed."""
    loss = summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")
    state = {"Completed": TrialState.COMPLETE, "Stopped": TrialState.PRUNED}.get(summary["TrainingJobStatus"])
    if state is None or loss is None:
        return None
    return optuna.trial.create_trial(
        state=state,
        value=loss if state == TrialState.COMPLETE else None,
        params=suggested_values(task.space, summary["TunedHyperParameters"]),
        distributions=task.space,
    )


def tuning_request(name: str, space: Mapping[str, BaseDistribution], cloud: Cloud, jobs: int) -> dict[str, Any]:
    """Return arguments of `create_hyper_parameter_tuning_job`, whose names have 32 characters at most."""
    runtime_s = max(round(60 * cloud.minutes), MIN_RUNTIME_S) + SPARE_S
    source = {"S3DataType": "S3Prefix", "S3Uri": cloud.task_uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": OBJECTIVE},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": jobs,
                "MaxParallelTrainingJobs": min(cloud.parallel, jobs),
                "MaxRuntimeInSeconds": runtime_s,
            },
            "ParameterRanges": parameter_ranges(space),
            "TrainingJobEarlyStoppingType": "Auto",
            "RandomSeed": cloud.seed,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": cloud.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": OBJECTIVE, "Regex": rf"{OBJECTIVE}=([-+.0-9eE]+)"}],
            },
            "RoleArn": cloud.role,
            "InputDataConfig": [{"ChannelName": TASK_CHANNEL, "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": cloud.output_uri},
            "ResourceConfig": {"InstanceType": cloud.instance_type, "InstanceCount": 1, "VolumeSizeInGB": VOLUME_GB},
            "StoppingCondition": {"MaxRuntimeInSeconds": min(round(60 * cloud.job_minutes), runtime_s)},
        },
        "Tags": [{"Key": tag, "Value": value} for tag, value in cloud.tags.items()],
    }


def parameter_ranges(space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return `ParameterRanges` of a tuning job; whole numbers with a step become categories, because it has no steps."""
    ranges: dict[str, list[dict[str, Any]]] = {}
    for name, distribution in space.items():
        if options := _options(distribution):
            ranges.setdefault("Categorical", []).append({"Name": name, "Values": list(options)})
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            kind = "Continuous" if isinstance(distribution, FloatDistribution) else "Integer"
            bounds = {
                "Name": name,
                "MinValue": repr(distribution.low),
                "MaxValue": repr(distribution.high),
                "ScalingType": "Logarithmic" if distribution.log else "Linear",
            }
            ranges.setdefault(kind, []).append(bounds)
    return {f"{kind}ParameterRanges": listed for kind, listed in ranges.items()}


def suggested_values(space: Mapping[str, BaseDistribution], hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Return values of the space from SageMaker's texts; other hyperparameters are left out."""
    values: dict[str, Any] = {}
    for name, distribution in space.items():
        text = hyperparameters[name].strip('"')
        if options := _options(distribution):
            values[name] = options[text]
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            # A text may miss the bounds by a rounding.
            number = min(max(float(text), distribution.low), distribution.high)
            values[name] = number if isinstance(distribution, FloatDistribution) else round(number)
    return values


def _options(distribution: BaseDistribution) -> dict[str, Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return {json.dumps(choice): choice for choice in choices}
        case IntDistribution(low=low, high=high, step=step) if step > 1:
            return {str(number): number for number in range(low, high + 1, step)}
    return {}


def packed(task: TuningTask) -> bytes:
    """Return the file of a task, without its context's functions."""
    history = task.history
    shared = task.context.shared
    about = {
        "forecaster": task.forecaster,
        "settings": task.settings.model_dump(mode="json"),
        "city": history.city.model_dump_json(),
        "first_day": history.first_day.isoformat(),
        "lead": history.lead,
        "windows": [[window.start, window.stop] for window in (task.train, task.validation)],
        "shared": None if shared is None else shared.model_dump(),
        "of_cells": [[factor.name, factor.known_from.isoformat()] for factor in history.factors.of_cells],
        "of_days": [
            [series.name, series.known_from.isoformat(), series.days_late] for series in history.factors.of_days
        ],
        "key": task.key,
    }
    arrays: dict[str, Any] = {name: getattr(history, name) for name in ("counts", "in_coverage", "evening", "is_known")}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    for number, factor in enumerate(history.factors.of_cells):
        arrays[f"cells_{number}"] = factor.by_cell
    for number, series in enumerate(history.factors.of_days):
        arrays |= {f"days_{number}": series.days, f"by_day_{number}": series.by_day}
    file = io.BytesIO()
    np.savez_compressed(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def unpacked(content: bytes) -> TuningTask:
    """Return the task of a file. Raises ValueError if another version of the package made it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    about = json.loads(arrays["about"].tobytes())
    of_cells = [
        CellInput(name, date.fromisoformat(known_from), arrays[f"cells_{number}"])
        for number, (name, known_from) in enumerate(about["of_cells"])
    ]
    of_days = [
        SeriesInput(
            name, date.fromisoformat(known_from), arrays[f"days_{number}"], arrays[f"by_day_{number}"], days_late
        )
        for number, (name, known_from, days_late) in enumerate(about["of_days"])
    ]
    history = History(
        CityFile.model_validate_json(about["city"]),
        date.fromisoformat(about["first_day"]),
        arrays["counts"],
        arrays["in_coverage"],
        arrays.get("evening"),
        about["lead"],
        CityFactors(tuple(of_cells), tuple(of_days)),
        arrays.get("is_known"),
    )
    train, validation = (range(first, stop) for first, stop in about["windows"])
    shared = None if about["shared"] is None else SharedStart.model_validate(about["shared"])
    settings = find(about["forecaster"]).settings.model_validate(about["settings"])
    task = TuningTask(about["forecaster"], settings, history, train, validation, FitContext(shared))
    if task.key != about["key"]:
        raise ValueError(
            "Another version made the task. Push an image of the version that runs beside Dagster, and set "
            "SHOTSPOTTER_SAGEMAKER_IMAGE to it."
        )
    return task
