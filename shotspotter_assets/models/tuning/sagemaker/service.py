"""The few requests to SageMaker that a search needs; a service that is busy or away is asked again for some minutes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from shotspotter_assets.models.tuning.sagemaker.request import NAME_START, RUN_TAG

PATIENCE_S: Final = 600.0
MAX_WAIT_S: Final = 20.0

GOES_ON: Final = "InProgress"
"""Status of a job that nobody has stopped."""
IN_PROGRESS: Final = (GOES_ON, "Stopping")
"""Statuses of jobs that have not ended."""

_BUSY: Final = (
    "Throttl",
    "TooManyRequests",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "InternalFailure",
    "InternalError",
)

_OVER: Final = ("ValidationException", "ResourceNotFound")
"""What is answered where a job has ended, or is not there."""

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class SageMakerRefusedError(RuntimeError):
    """SageMaker does not take a tuning job; the message says why and what to do."""


@dataclass(frozen=True)
class TrainingJob:
    """One training job of a tuning job, as SageMaker tells it."""

    name: str
    status: str
    hyperparameters: Mapping[str, str]
    ended: datetime | None
    objective: float | None
    """What SageMaker has read out of its log."""
    reason: str

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status not in IN_PROGRESS


@dataclass(frozen=True)
class EndedJob:
    """What SageMaker tells of one training job beside its place in the tuning job.

    Attributes:
        how: it ended: `SecondaryStatus`, which tells a job that was stopped from one whose time was up.
        seconds: that it took.
        billed_seconds: that are paid, fewer on spare machines.
        limit_s: after which it is ended.
    """

    how: str
    seconds: float
    billed_seconds: float
    limit_s: float

    @property
    def is_out_of_time(self) -> bool:
        """Whether it was ended because it took longer than it may; a spot machine that never came is no such job."""
        return self.how == "MaxRuntimeExceeded"


def busy_or_away(error: BaseException) -> bool:
    """Whether a request may be made again after this error: throttled, or the service or the way to it is away."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error).startswith(_BUSY) or status >= 500
    return isinstance(error, HTTPClientError)


def error_code(error: BaseException) -> str:
    """The code of an error of AWS; empty where it has none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


class Patient:
    """Makes requests, and makes them again while the service is busy or away."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._retrying = Retrying(
            retry=retry_if_exception(busy_or_away),
            stop=stop_after_delay(patience_s),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_WAIT_S),
            before_sleep=_tell,
            reraise=True,
        )

    def __call__(self, request: Callable[..., _Result], **arguments: Any) -> _Result:
        """The answer.

        Raises:
            ClientError, BotoCoreError: the service refuses, or was busy or away for too long.
        """
        return self._retrying(request, **arguments)


def _tell(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        log.warning("AWS is busy or away, and is asked again: %s", state.outcome.exception())


class Service:
    """SageMaker, through a boto3 client."""

    def __init__(self, client: Any, patience_s: float = PATIENCE_S) -> None:
        self._client, self._ask = client, Patient(patience_s)

    def create(self, request: Mapping[str, Any]) -> None:
        """Make a tuning job; nothing if the answer to the same request was lost before.

        Raises:
            SageMakerRefusedError: it was not taken.
        """
        name = request["HyperParameterTuningJobName"]
        try:
            self._ask(self._client.create_hyper_parameter_tuning_job, **request)
        except (ClientError, BotoCoreError) as error:
            if error_code(error) == "ResourceInUse":
                return
            remedy = _REMEDIES.get(
                error_code(error), "The permissions that are needed are in docs/how-to/tuning_on_sagemaker.md."
            )
            raise SageMakerRefusedError(f"SageMaker does not take the tuning job {name}: {error}. {remedy}") from error

    def describe(self, name: str) -> dict[str, Any]:
        """What SageMaker tells of a tuning job."""
        return dict(self._ask(self._client.describe_hyper_parameter_tuning_job, HyperParameterTuningJobName=name))

    def tuning_jobs(self, start: str = NAME_START, status: str | None = None) -> list[str]:
        """Names of the tuning jobs that start so, the newest first."""
        wanted = {"NameContains": start, "SortBy": "CreationTime", "SortOrder": "Descending"}
        pages = self._pages(
            "list_hyper_parameter_tuning_jobs", **wanted, **({"StatusEquals": status} if status else {})
        )
        names = [
            one["HyperParameterTuningJobName"] for page in pages for one in page["HyperParameterTuningJobSummaries"]
        ]
        return [name for name in names if name.startswith(start)]

    def training_jobs(self, name: str) -> list[TrainingJob]:
        """The training jobs of a tuning job, the oldest first."""
        pages = self._pages(
            "list_training_jobs_for_hyper_parameter_tuning_job",
            HyperParameterTuningJobName=name,
            SortBy="CreationTime",
            SortOrder="Ascending",
        )
        return [
            TrainingJob(
                name=one["TrainingJobName"],
                status=one["TrainingJobStatus"],
                hyperparameters=one["TunedHyperParameters"],
                ended=one.get("TrainingEndTime"),
                objective=one.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
                reason=one.get("FailureReason", ""),
            )
            for page in pages
            for one in page["TrainingJobSummaries"]
        ]

    def ended_job(self, training_job: str) -> EndedJob:
        """How a training job has ended, and what it took."""
        told = self._ask(self._client.describe_training_job, TrainingJobName=training_job)
        took = float(told.get("TrainingTimeInSeconds", 0))
        return EndedJob(
            how=told["SecondaryStatus"],
            seconds=took,
            billed_seconds=float(told.get("BillableTimeInSeconds", took)),
            limit_s=float(told["StoppingCondition"]["MaxRuntimeInSeconds"]),
        )

    def stop(self, name: str) -> bool:
        """Stop a tuning job and its training jobs; false if it has ended, or is not there."""
        return self._stop(self._client.stop_hyper_parameter_tuning_job, HyperParameterTuningJobName=name)

    def stop_own(self, name: str, run_id: str) -> bool:
        """Stop a tuning job unless another run has taken it over; false if it was not stopped."""
        try:
            follower = self.followed_by(name)
        except ClientError as error:
            if error_code(error) in _OVER:
                return False
            raise
        return follower in ("", run_id) and self.stop(name)

    def stop_training_job(self, name: str) -> bool:
        """Stop a training job; false if it has ended."""
        return self._stop(self._client.stop_training_job, TrainingJobName=name)

    def followed_by(self, name: str) -> str:
        """The run that follows a tuning job, by its tag; empty where it has none."""
        return self.tags(name).get(RUN_TAG, "")

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a tuning job."""
        arn = self.describe(name)["HyperParameterTuningJobArn"]
        return {tag["Key"]: tag["Value"] for tag in self._ask(self._client.list_tags, ResourceArn=arn)["Tags"]}

    def follow(self, name: str, run_id: str) -> None:
        """Write down that another run follows a tuning job."""
        arn = self.describe(name)["HyperParameterTuningJobArn"]
        self._ask(self._client.add_tags, ResourceArn=arn, Tags=[{"Key": RUN_TAG, "Value": run_id}])

    def _stop(self, request: Callable[..., Any], **arguments: str) -> bool:
        try:
            self._ask(request, **arguments)
        except ClientError as error:
            if error_code(error) in _OVER:
                return False
            raise
        return True

    def _pages(self, request: str, **arguments: Any) -> Sequence[dict[str, Any]]:
        pages: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            pages.append(self._ask(getattr(self._client, request), **arguments, **token))
            if not pages[-1].get("NextToken"):
                return pages
            token = {"NextToken": pages[-1]["NextToken"]}


_REMEDIES: Final = {
    "ResourceLimitExceeded": "Ask for a higher quota of this instance type for training (Service Quotas, Amazon SageMaker), or "
    "take fewer at a time (`parallel`) or another `instance_type`.",
    "ValidationException": "Look at SHOTSPOTTER_SAGEMAKER_ROLE, SHOTSPOTTER_SAGEMAKER_IMAGE and the instance type.",
}
