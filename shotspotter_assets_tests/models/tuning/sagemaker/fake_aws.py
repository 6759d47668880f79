"""SageMaker and CloudWatch Logs as far as a search asks them: a tuning job whose training jobs have run when it is looked at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class NoLogGroupError(Exception):
    """What boto3's client of logs calls `ResourceNotFoundException`."""


@dataclass
class Job:
    """A training job: what SageMaker suggests, how it ends, and its lines."""

    values: dict[str, str]
    status: str = "Completed"
    lines: list[str] = field(default_factory=list)
    objective: float | None = None
    reason: str = ""


class FakeAws:
    """Both clients in one object; `jobs` of the request are taken from `made`."""

    class exceptions:
        ResourceNotFoundException = NoLogGroupError

    def __init__(
        self, made: Callable[[Mapping[str, Any]], list[Job]], statuses: tuple[str, ...] = ("Completed",)
    ) -> None:
        self.made, self.statuses = made, list(statuses)
        self.request: dict[str, Any] = {}
        self.jobs: dict[str, Job] = {}
        self.is_stopped = False

    def create_hyper_parameter_tuning_job(self, **request: Any) -> None:
        self.request = request
        name = request["HyperParameterTuningJobName"]
        self.jobs = {f"{name}-{at:03d}": job for at, job in enumerate(self.made(request), start=1)}

    def describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> dict[str, Any]:
        assert HyperParameterTuningJobName == self.request["HyperParameterTuningJobName"]
        status = self.statuses.pop(0)
        if status == "interrupt":
            raise KeyboardInterrupt
        return {"HyperParameterTuningJobStatus": status}

    def stop_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> None:
        self.is_stopped = True

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return {"SecondaryStatus": self.jobs[TrainingJobName].status, "BillableTimeInSeconds": 1800}

    def get_paginator(self, request: str) -> "FakeAws":
        assert request in {"list_training_jobs_for_hyper_parameter_tuning_job", "filter_log_events"}
        return self

    def paginate(self, **arguments: str) -> Iterator[dict[str, Any]]:
        if "HyperParameterTuningJobName" in arguments:
            for name, job in self.jobs.items():  # a page each
                metric = (
                    {}
                    if job.objective is None
                    else {"FinalHyperParameterTuningJobObjectiveMetric": {"Value": job.objective}}
                )
                summary = {"TrainingJobName": name, "TrainingJobStatus": job.status, "TunedHyperParameters": job.values}
                yield {"TrainingJobSummaries": [summary | metric | {"FailureReason": job.reason}]}
        else:
            lines = self.jobs[arguments["logStreamNamePrefix"].removesuffix("/")].lines
            if not lines:
                raise NoLogGroupError
            yield from ({"events": [{"message": line}]} for line in lines)
