"""SageMaker as far as a search asks it: a tuning job whose training jobs have run when it is looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Job:
    """A training job: what SageMaker suggests, how it ends, and the metric that it has read."""

    values: dict[str, str]
    status: str = "Completed"
    objective: float | None = None
    reason: str = ""


class FakeAws:
    def __init__(self, *jobs: Job, statuses: tuple[str, ...] = ("Completed",)) -> None:
        self.jobs = jobs
        self.statuses = list(statuses)
        self.request: dict[str, Any] = {}
        self.is_stopped = False

    def create_hyper_parameter_tuning_job(self, **request: Any) -> None:
        self.request = request

    def describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> dict[str, Any]:
        assert HyperParameterTuningJobName == self.request["HyperParameterTuningJobName"]
        status = self.statuses.pop(0)
        if status == "interrupt":
            raise KeyboardInterrupt
        return {"HyperParameterTuningJobStatus": status}

    def stop_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> None:
        self.is_stopped = True

    def get_paginator(self, request: str) -> "FakeAws":
        assert request == "list_training_jobs_for_hyper_parameter_tuning_job"
        return self

    def paginate(self, HyperParameterTuningJobName: str) -> Iterator[dict[str, Any]]:
        for at, job in enumerate(self.jobs):  # a page each
            summary: dict[str, Any] = {
                "TrainingJobName": f"{HyperParameterTuningJobName}-{at}", "TrainingJobStatus": job.status,
                "TunedHyperParameters": job.values, "FailureReason": job.reason,
            }  # fmt: skip
            if job.objective is not None:
                summary["FinalHyperParameterTuningJobObjectiveMetric"] = {"Value": job.objective}
            yield {"TrainingJobSummaries": [summary]}
