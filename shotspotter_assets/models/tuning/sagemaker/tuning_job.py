"""A search on SageMaker: create a tuning job, wait for its end, read the log of each training job, add the trials to the study."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shotspotter_assets.models.tuning.sagemaker.log_lines import JobLog, read_log
from shotspotter_assets.models.tuning.sagemaker.request import NAME_START, Machines, suggested_values, tuning_request
from shotspotter_assets.models.tuning.search import finished_trials
from shotspotter_assets.models.tuning.task import TuningTask

if TYPE_CHECKING:
    import optuna

LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
UNDER_WAY: Final = ("InProgress", "Stopping")
"""Statuses of jobs that have not ended."""
POLL_S: Final = 15.0


@dataclass(frozen=True)
class Cloud:
    """AWS for a search.

    Attributes:
        sagemaker: boto3 client.
        logs: boto3 client of CloudWatch Logs.
        machines: of the training jobs.
        task_uri: of the task's file on S3.
        folder_uri: on S3, for the files of the training jobs.
        run_id: of the Dagster run.
        tags: of the tuning job.
        poll_s: seconds between two requests for the status.
    """

    sagemaker: Any
    logs: Any
    machines: Machines
    task_uri: str
    folder_uri: str
    run_id: str
    tags: Mapping[str, str]
    poll_s: float = POLL_S


@dataclass(frozen=True)
class Bill:
    """Training jobs of a search, and their billed hours."""

    jobs: int
    hours: float
    price_per_hour: float | None = None

    def __str__(self) -> str:
        cost = "" if self.price_per_hour is None else f", {self.hours * self.price_per_hour:.2f} USD"
        return f"{self.jobs} training jobs, {self.hours:.2f} h billed{cost}"


def search_on_sagemaker(
    task: TuningTask,
    study: "optuna.Study",
    cloud: Cloud,
    *,
    trials: int,
    minutes: float,
    parallel: int,
    seed: int,
    log: Callable[[str], None],
) -> Bill:
    """Add the training jobs of one tuning job to a study as trials. The tuning job is stopped if this is interrupted.

    Args:
        task: what is tuned; its file lies at `cloud.task_uri`.
        study: see `open_study`.
        cloud: AWS.
        trials: finished ones of the study, those of earlier runs included.
        minutes: of the search.
        parallel: training jobs at a time.
        seed: of the suggested values.
        log: takes a line per training job.

    Raises:
        ClientError: AWS refuses a request.
        RuntimeError: no training job has tried its settings.
    """
    jobs = trials - len(finished_trials(study))
    if jobs <= 0 or minutes <= 0:
        return Bill(0, 0.0, cloud.machines.price_per_hour)
    name = f"{NAME_START}{task.key}-{cloud.run_id.replace('-', '')[:8]}"
    request = tuning_request(
        name, task.space, cloud.task_uri, cloud.folder_uri, cloud.machines,
        jobs=jobs, parallel=parallel, minutes=minutes, seed=seed, tags=cloud.tags,
    )  # fmt: skip
    job = {"HyperParameterTuningJobName": name}
    cloud.sagemaker.create_hyper_parameter_tuning_job(**request)
    log(f"created the tuning job {name}: {jobs} training jobs on {cloud.machines.instance_type}, {parallel} at a time")
    status = UNDER_WAY[0]
    try:
        while status in UNDER_WAY:
            time.sleep(cloud.poll_s)
            described = cloud.sagemaker.describe_hyper_parameter_tuning_job(**job)
            status = described["HyperParameterTuningJobStatus"]
    finally:
        if status in UNDER_WAY:
            cloud.sagemaker.stop_hyper_parameter_tuning_job(**job)
            log(f"the tuning job {name} is stopped")
    pages = cloud.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(**job)
    billed_s, added, reasons = 0.0, 0, [described.get("FailureReason", "")]
    summaries = [summary for page in pages for summary in page["TrainingJobSummaries"]]
    for summary in summaries:
        training_job = summary["TrainingJobName"]
        trained = cloud.sagemaker.describe_training_job(TrainingJobName=training_job)
        billed_s += trained.get("BillableTimeInSeconds", trained.get("TrainingTimeInSeconds", 0))
        trial = _trial(task, summary, read_log(_lines(cloud.logs, training_job)))
        if trial is None:
            reasons.append(summary.get("FailureReason") or trained["SecondaryStatus"])
            log(f"{training_job}: {summary['TrainingJobStatus']}, no trial: {reasons[-1]}")
            continue
        study.add_trial(trial)
        added += 1
        log(f"{training_job}: {trial.state.name.lower()}, log loss {trial.value}, {trial.params}")
    if not added:
        why = "; ".join(sorted({*reasons} - {""})) or "it has no training job"
        raise RuntimeError(f"The tuning job {name} has tried no settings: {why}. Its log is in CloudWatch.")
    return Bill(len(summaries), billed_s / 3600, cloud.machines.price_per_hour)


def _trial(task: TuningTask, summary: Mapping[str, Any], log: JobLog) -> "optuna.trial.FrozenTrial | None":
    """The trial of a training job; None if its settings were not tried to an end."""
    from optuna.trial import TrialState, create_trial

    # The log may come later than the end; SageMaker has read the metric out of it as a 32-bit number.
    objective = summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")
    state, value = None, None
    if summary["TrainingJobStatus"] == "Completed":
        value = log.loss if log.loss is not None else objective
        state = None if value is None else TrialState.COMPLETE
    elif log.failure:
        state = TrialState.FAIL
    elif summary["TrainingJobStatus"] == "Stopped" and log.epochs:
        state = TrialState.PRUNED
    if state is None:
        return None
    return create_trial(
        state=state,
        value=value,
        params=suggested_values(task.space, summary["TunedHyperParameters"]),
        distributions=task.space,
        intermediate_values=log.epochs,
        user_attrs={"training_job": summary["TrainingJobName"], "reason": log.failure},
    )


def _lines(logs: Any, training_job: str) -> list[str]:
    """The lines of a training job."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{training_job}/"
    )
    try:
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []  # the account's first training job creates the group
