"""The search on SageMaker: makes a tuning job, or takes over one of a run that was killed, and follows it to its end."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any, Final

from shotspotter_assets.models.forecaster import TrainingStoppedError
from shotspotter_assets.models.tuning.sagemaker.log_lines import (
    EPOCH,
    EPOCH_LOSS,
    EPOCHS,
    LOG_LOSS,
    SECONDS,
    read_failed,
)
from shotspotter_assets.models.tuning.sagemaker.ranges import suggested_values
from shotspotter_assets.models.tuning.sagemaker.request import (
    RUN_TAG,
    Machines,
    Place,
    job_name,
    name_start,
    tuning_request,
)
from shotspotter_assets.models.tuning.sagemaker.service import GOES_ON, IN_PROGRESS, Service, TrainingJob
from shotspotter_assets.models.tuning.sagemaker.training_logs import Line, TrainingLogs
from shotspotter_assets.models.tuning.search import Budget, progress_line, search, stop_rule
from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask

POLL_S: Final = 15.0
"""Between two looks at the tuning job and its log."""
SETTLE_S: Final = 180.0
"""Lines and metrics of a training job may come so much later than its end."""
TOLERANCE: Final = 1e-5
"""Relative; SageMaker keeps metrics as 32-bit numbers."""


class NoAgreementError(RuntimeError):
    """SageMaker and the log do not tell the same losses, or the same best settings."""


class CloudSearchFailedError(RuntimeError):
    """No training job of a tuning job could try its settings; the message says what became of them."""


@dataclass(frozen=True)
class Cloud:
    """What a search on SageMaker needs beside its task.

    Attributes:
        service: SageMaker.
        logs: a boto3 client of CloudWatch Logs.
        machines: on which training jobs run.
        place: where their files are on S3.
        run_id: of the Dagster run.
        tags: of what is made; that of the run is added.
        upload: writes the task's file to `place.task`.
        is_over: whether the run was given up, so that another one may be about to take over its tuning job.
        poll_s: seconds between two looks.
    """

    service: Service
    logs: Any
    machines: Machines
    place: Place
    run_id: str
    tags: Mapping[str, str]
    upload: Callable[[], None]
    is_over: Callable[[], bool]
    poll_s: float = POLL_S


@dataclass(frozen=True)
class Bill:
    """What the training jobs of a search took: their number, their seconds, and those that are paid."""

    jobs: int = 0
    seconds: float = 0.0
    billed_seconds: float = 0.0

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(self.jobs + other.jobs, self.seconds + other.seconds, self.billed_seconds + other.billed_seconds)


@dataclass
class JobLog:
    """What the lines of one training job have told so far."""

    epochs: dict[int, float] = field(default_factory=dict)
    loss: float | None = None
    seconds: float = 0.0
    expected_epochs: int = 0
    failure: str | None = None

    def hear(self, line: str) -> None:
        """Take in a line; of the same epoch, printed again after an interruption, the last one counts."""
        number, epoch_loss, loss = EPOCH.read(line), EPOCH_LOSS.read(line), LOG_LOSS.read(line)
        if number is not None and epoch_loss is not None:
            self.epochs[int(number)] = epoch_loss
        if loss is not None:
            self.loss, self.seconds = loss, SECONDS.read(line) or 0.0
            self.expected_epochs = int(EPOCHS.read(line) or 0)
        failed = read_failed(line)
        if failed is not None:
            self.seconds, self.failure = failed

    @property
    def losses(self) -> list[float]:
        """Validation losses of the epochs from the first one on, as far as none is missing."""
        losses: list[float] = []
        while (number := len(losses) + 1) in self.epochs:
            losses.append(self.epochs[number])
        return losses

    @property
    def is_whole(self) -> bool:
        """Whether the result, and all epochs before it, have come."""
        return self.failure is not None or (self.loss is not None and len(self.losses) >= self.expected_epochs)


def search_in_cloud(
    task: TuningTask,
    journal: TrialStore,
    budget: Budget,
    seed: int,
    cloud: Cloud,
    log: Callable[[str], None],
) -> tuple[list[Trial], Bill]:
    """Try settings within the budget by training jobs; all finished trials of the search, and what those of this run took.

    The settings as they are come first, and are tried here. Earlier tuning jobs of the same search are looked through for
    trials that are not in the journal yet, as their run was killed; one that goes on is taken over, and one that is being
    stopped is waited for; a new one learns from them.

    Args:
        task: what is tuned.
        journal: of finished trials.
        budget: `parallel` counts training jobs.
        seed: of what is tried.
        cloud: see there.
        log: is told of each line of the training jobs, and of each finished trial.

    Raises:
        NoTrialsError, SearchFailedError: see `search`.
        SageMakerRefusedError: no tuning job can be made.
        CloudSearchFailedError: none of its training jobs could try its settings.
        NoAgreementError: SageMaker and the log tell otherwise.
    """
    began = time.monotonic()
    finished = search(task, journal, Budget(1, budget.minutes), seed, log)
    service = cloud.service
    earlier = service.tuning_jobs(name_start(task.key))
    running = [name for name in earlier if service.describe(name)["HyperParameterTuningJobStatus"] == GOES_ON]
    for name in reversed(earlier):
        if name not in running:
            finished = _Followed(task, journal, budget, cloud, log, name, began, finished).collect()
    minutes = budget.minutes - (time.monotonic() - began) / 60
    jobs = budget.trials - len(finished)
    if running:
        name = running[0]
        log(f"taking over the tuning job {name}, which goes on")
        service.follow(name, cloud.run_id)
    elif jobs > 0 and minutes > 0:
        name = job_name(task.key, cloud.run_id)
        log(_estimate(cloud.machines, jobs, budget, minutes, finished[0].seconds))
        cloud.upload()
        parents, same_image = _parents(service, earlier, cloud.machines.image)
        if parents:
            log(f"it learns from {', '.join(parents)}")
        request = tuning_request(
            name, task.space, cloud.place, cloud.machines, jobs=jobs, parallel=budget.parallel, minutes=minutes, seed=seed,
            tags={**cloud.tags, RUN_TAG: cloud.run_id}, parents=parents, same_image=same_image,
        )  # fmt: skip
    else:
        return finished, Bill()
    followed = _Followed(task, journal, budget, cloud, log, name, began, finished)
    try:
        if not running:
            service.create(request)
            log(f"made the tuning job {name}")
        return followed.to_the_end()
    except BaseException:
        # Also where the run is cancelled, which interrupts whatever is done. What a run that was given up leaves is for
        # its retry, or for the sensor `tuning_jobs_without_run`.
        if not cloud.is_over() and service.stop_own(name, cloud.run_id):
            log(f"the tuning job {name} is stopped")
        raise


def _parents(service: Service, earlier: Sequence[str], image: str) -> tuple[list[str], bool]:
    """Earlier tuning jobs that have a result to learn from, the newest first, and whether all had this image."""
    told = {name: service.describe(name) for name in earlier}
    parents = [name for name, one in told.items() if one["TrainingJobStatusCounters"].get("Completed", 0)]
    images = {told[name]["TrainingJobDefinition"]["AlgorithmSpecification"].get("TrainingImage") for name in parents}
    return parents, images <= {image}


def _estimate(machines: Machines, jobs: int, budget: Budget, minutes: float, seconds: float) -> str:
    """What the search may take, told before it begins, by what the settings as they are took here."""
    hours = jobs * seconds / 3600
    most = min(jobs, budget.parallel) * minutes / 60
    return (
        f"{jobs} training jobs on {machines.instance_type}, {budget.parallel} at a time: {_cost(hours, machines)} if each takes "
        "as long as the settings as they are took here, and the minutes in which a machine starts beside it; at most "
        f"{_cost(most, machines)}{', less on spare machines' if machines.spot else ''}"
    )


def cost_line(bill: Bill, machines: Machines) -> str:
    """What a search took, told after it."""
    took, paid = bill.seconds / 3600, bill.billed_seconds / 3600
    saved = f" ({1 - paid / took:.0%} saved on spare machines)" if machines.spot and took else ""
    return f"{bill.jobs} training jobs took {took:.2f} h on {machines.instance_type}; billed: {_cost(paid, machines)}{saved}"


def _cost(hours: float, machines: Machines) -> str:
    price = machines.price_per_hour
    return f"{hours:.2f} h" if price is None else f"{hours:.2f} h, {hours * price:.2f} USD"


class _Followed:
    """A tuning job that is followed: its lines go into the log, its finished training jobs into the journal."""

    def __init__(
        self,
        task: TuningTask,
        journal: TrialStore,
        budget: Budget,
        cloud: Cloud,
        log: Callable[[str], None],
        name: str,
        began: float,
        finished: list[Trial],
    ) -> None:
        self._task, self._journal, self._budget, self._cloud, self._log = task, journal, budget, cloud, log
        self._name, self._finished = name, finished
        self._deadline = began + 60 * budget.minutes
        self._logs: TrainingLogs | None = None
        self._heard: defaultdict[str, JobLog] = defaultdict(JobLog)
        self._trials: dict[str, Trial] = {}
        """By training job."""
        self._without_trial: dict[str, str] = {}
        """Why a training job that has ended is no trial, by its name."""
        self._stopped: dict[str, tuple[str, float]] = {}
        """Reason and time of the stop of a training job."""
        self._bill = Bill()
        self._quiet = False

    def collect(self) -> list[Trial]:
        """Take into the journal what a tuning job has tried that has ended or is being stopped; all finished trials."""
        self._quiet = True
        while True:
            has_ended = self._has_ended(self._cloud.service.describe(self._name))
            jobs = self._cloud.service.training_jobs(self._name)
            self._look(jobs)
            if has_ended and all(map(self._is_done, jobs)):
                return self._finished
            time.sleep(self._cloud.poll_s)

    def to_the_end(self) -> tuple[list[Trial], Bill]:
        """Follow it until it has ended and all of its log has come; all finished trials, and what its training jobs took."""
        service, is_stopped = self._cloud.service, False
        while True:
            told = service.describe(self._name)
            has_ended = self._has_ended(told)
            jobs = service.training_jobs(self._name)
            self._look(jobs)
            if has_ended and all(self._is_done(job) for job in jobs):
                break
            if not has_ended and not is_stopped and time.monotonic() > self._deadline:
                self._log("the time is up: the tuning job is stopped")
                service.stop(self._name)
                is_stopped = True
            time.sleep(self._cloud.poll_s)
        self._require_agreement(jobs, service.describe(self._name))
        if not self._trials and not is_stopped:
            reasons = "; ".join(sorted({*self._without_trial.values(), told.get("FailureReason", "")} - {""}))
            raise CloudSearchFailedError(
                f"The tuning job {self._name} has tried no settings: {reasons or 'it has no training job'}. Its log is "
                "in CloudWatch."
            )
        return self._finished, self._bill

    @staticmethod
    def _has_ended(told: Mapping[str, Any]) -> bool:
        return told["HyperParameterTuningJobStatus"] not in IN_PROGRESS

    def _look(self, jobs: Sequence[TrainingJob]) -> None:
        """Read the lines that have come, and take in the training jobs that have ended."""
        ended = [job for job in jobs if job.has_ended and not self._is_done(job)]
        for line in self._new_lines(jobs, again=bool(ended)):
            self._heard[line.job].hear(line.text)
            if not self._quiet:
                self._log(f"{line.job.removeprefix(f'{self._name}-')}: {line.text}")
        for job in jobs:
            if not job.has_ended and job.name not in self._stopped:
                self._stop_if_bad(job)
        for job in ended:
            self._take_in(job)

    def _new_lines(self, jobs: Sequence[TrainingJob], again: bool) -> list[Line]:
        if not jobs:
            return []
        if self._logs is None:
            created = self._cloud.service.describe(self._name)["CreationTime"]
            self._logs = TrainingLogs(self._cloud.logs, f"{self._name}-", int(created.timestamp() * 1000))
        return self._logs.new_lines(again)

    def _is_done(self, job: TrainingJob) -> bool:
        return job.name in self._trials or job.name in self._without_trial

    def _stop_if_bad(self, job: TrainingJob) -> None:
        """Stop a training job that is worse than half of the trials before, by its epochs."""
        losses = self._heard[job.name].losses
        if not losses:
            return
        try:
            stop_rule(self._task, self._finished, None, Event())(losses)
        except TrainingStoppedError as stop:
            self._log(f"{job.name} is stopped: {stop}")
            self._stopped[job.name] = str(stop), time.monotonic()
            self._cloud.service.stop_training_job(job.name)

    def _take_in(self, job: TrainingJob) -> None:
        """Add the trial of a training job that has ended to the journal, or say why it is none."""
        heard, trial = self._heard[job.name], None
        if job.status == "Completed":
            if not (heard.is_whole and job.objective is not None) and not _is_settled(job):
                return
            if heard.loss is not None:
                trial = self._trial(job, "complete", heard.loss)
        elif job.status == "Failed":
            if heard.failure is None and job.reason.startswith("AlgorithmError") and not _is_settled(job):
                return
            if heard.failure is not None:
                trial = self._trial(job, "failed", None, heard.failure)
        elif job.name in self._stopped:
            trial = self._trial(job, "stopped", None, self._stopped[job.name][0])
        ended = self._cloud.service.ended_job(job.name)
        if trial is None and ended.is_out_of_time:
            # Tried again, these values would take as long.
            why = f"it ran past the {ended.limit_s / 60:g} minutes of a training job"
            trial = self._trial(job, "stopped", None, why).model_copy(update={"seconds": ended.seconds})
        if not self._quiet:
            self._bill += Bill(1, ended.seconds, ended.billed_seconds)
        if trial is None:
            why = job.reason or (
                "its log has no result" if job.status == "Completed" else f"it was stopped before its end ({ended.how})"
            )
            self._without_trial[job.name] = why
            if not self._quiet:
                self._log(f"{job.name}: {job.status}, no trial: {why}")
            return
        self._trials[job.name] = trial
        before = len(self._finished)
        self._finished = self._journal.add(self._task.key, trial)
        if len(self._finished) > before:
            left = self._deadline - time.monotonic()
            self._log(progress_line(len(self._finished), trial, self._finished, self._budget, left))

    def _trial(self, job: TrainingJob, state: Any, loss: float | None, reason: str = "") -> Trial:
        heard = self._heard[job.name]
        values = suggested_values(self._task.space, job.hyperparameters)
        return Trial(values=values, state=state, loss=loss, epochs=heard.losses, seconds=heard.seconds, reason=reason)

    def _require_agreement(self, jobs: Sequence[TrainingJob], told: Mapping[str, Any]) -> None:
        """Refuse where SageMaker has read other losses out of the log, or calls other settings the best.

        Raises:
            NoAgreementError: it does.
        """
        complete = {name: trial.loss for name, trial in self._trials.items() if trial.loss is not None}
        for job in jobs:
            here = complete.get(job.name)
            if job.status == "Completed" and (
                here is None or job.objective is None or not math.isclose(here, job.objective, rel_tol=TOLERANCE)
            ):
                raise NoAgreementError(
                    f"The log of {job.name} tells the log loss {here}, and SageMaker {job.objective}. Look at its log in "
                    "CloudWatch, and at the metrics of its page; a later run of the search takes in what is missing."
                )
        best = told.get("BestTrainingJob", {}).get("TrainingJobName")
        if complete and (
            best not in complete or not math.isclose(complete[best], min(complete.values()), rel_tol=TOLERANCE)
        ):
            ours = min(complete, key=lambda name: complete[name])
            raise NoAgreementError(
                f"By the log the best training job of {self._name} is {ours} ({complete[ours]}), by SageMaker "
                f"{best} ({complete.get(best)})."
            )
        if complete:
            self._log(
                f"the log and SageMaker agree: the best training job of {self._name} is {best}, log loss {complete[best]:.6f}"
            )


def _is_settled(job: TrainingJob) -> bool:
    """Whether nothing more of a training job that has ended is waited for."""
    return job.ended is None or (datetime.now(UTC) - job.ended).total_seconds() > SETTLE_S
