"""A search on the stand-in of SageMaker: real containers' processes, real HTTP."""

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shotspotter_assets.models.tuning.sagemaker.cloud_search import (
    CloudSearchFailedError,
    JobLog,
    NoAgreementError,
    cost_line,
)
from shotspotter_assets.models.tuning.sagemaker.log_lines import epoch_line, result_line
from shotspotter_assets.models.tuning.sagemaker.request import Machines
from shotspotter_assets.models.tuning.sagemaker.service import SageMakerRefusedError
from shotspotter_assets.models.tuning.search import best_of
from shotspotter_assets.models.tuning.trials import Trial
from shotspotter_assets_tests.models.tuning.sagemaker.searches import NETWORK, RUN_ID, SearchInCloud
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import ApiError, Aws, Tuning

pytestmark = pytest.mark.timeout(900)

OTHER_RUN = "77777777-0000-4000-8000-000000000000"


def until(what: Callable[[], object], seconds: float = 240) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def completed(tuning: Tuning) -> int:
    return sum(training.status == "Completed" for training in tuning.trainings)


def test_training_jobs_try_settings_and_their_losses_are_those_of_the_forecaster_here(
    cloud: Aws, tmp_path: Path
) -> None:
    search = SearchInCloud(cloud, tmp_path)
    finished, bill = search.run(trials=4)
    assert [trial.values == {} for trial in finished] == [True, False, False, False]
    assert finished == search.journal.read(search.task.key)
    [tuning] = cloud.service.tunings.values()
    assert tuning.status == "Completed"
    assert tuning.tags == {"shotspotter:city": "small_city", "shotspotter:run": RUN_ID}
    assert tuning.request["HyperParameterTuningJobConfig"]["Strategy"] == "Bayesian"
    for trial in finished[1:]:
        here = search.task.run(trial.values, lambda _: None, lambda _: None)
        assert trial.loss == pytest.approx(here.loss, rel=1e-12)
    best = best_of(finished[1:])
    text = "\n".join(search.lines)
    assert f"the log and SageMaker agree: the best training job of {tuning.name} is {tuning.name}-" in text
    assert f"log loss {best.loss:.6f}" in text
    assert "3 training jobs on ml.m5.xlarge, 2 at a time: 0.00 h, 0.00 USD if each takes as long" in text
    assert text.count("tuning log_loss=") == 3
    assert bill.jobs == 3
    assert bill.billed_seconds == bill.seconds >= 180
    # No further, and nothing is asked for.
    assert search.run(trials=4) == (finished, type(bill)())
    assert len(cloud.service.tunings) == 1


@pytest.mark.slow
def test_a_log_that_is_throttled_in_pages_late_and_out_of_order_is_read_whole(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.throttled, cloud.service.faults.shown_lines = 8, 1
    cloud.service.faults.late_lines_s = 3.0
    finished, _ = search.run(trials=3)
    assert cloud.service.faults.throttled == 0
    assert len(finished) == 3
    assert sum("tuning log_loss=" in line for line in search.lines) == 2
    assert any("the log and SageMaker agree" in line for line in search.lines)


@pytest.mark.slow
def test_a_training_job_without_a_machine_is_no_trial(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.no_capacity = {1}
    finished, _ = search.run(trials=3)
    assert [trial.state for trial in finished] == ["complete", "complete"]
    assert any("Failed, no trial: CapacityError: Unable to provision" in line for line in search.lines)


def test_a_training_job_that_takes_too_long_is_a_stopped_trial_and_the_search_goes_on(
    cloud: Aws, tmp_path: Path
) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.out_of_time = {1}
    finished, bill = search.run(trials=3, parallel=1, job_minutes=3)
    [tuning] = cloud.service.tunings.values()
    assert [trial.state for trial in finished] == ["complete", "stopped", "complete"]
    assert finished == search.journal.read(search.task.key)
    assert finished[1].reason == "it ran past the 3 minutes of a training job"
    assert finished[1].seconds >= 60
    assert any("trial 2/3: stopped (it ran past the 3 minutes" in line for line in search.lines)
    assert [training.status for training in tuning.trainings] == ["Stopped", "Completed"]
    assert (tuning.status, bill.jobs) == ("Completed", 2)
    assert all(training.process and training.process.poll() is not None for training in tuning.trainings)
    # A later run does not take it in again.
    assert search.run(trials=3, run_id=OTHER_RUN)[0] == finished


@pytest.mark.slow
def test_settings_that_diverge_in_a_container_are_a_failed_trial_and_the_search_goes_on(
    cloud: Aws, tmp_path: Path
) -> None:
    search = SearchInCloud(cloud, tmp_path, "conv_lstm")
    cloud.service.faults.diverging = {1}
    finished, _ = search.run(trials=3, parallel=1)
    [tuning] = cloud.service.tunings.values()
    assert [trial.state for trial in finished] == ["complete", "failed", "complete"]
    assert (finished[1].loss, finished[1].epochs) == (None, [])
    assert re.match(r"loss is not finite in epoch 1: .*loss=nan.*; lower the learning rate$", finished[1].reason)
    failed, completed = tuning.trainings
    assert (failed.status, completed.status) == ("Failed", "Completed")
    assert failed.reason == f"AlgorithmError: {finished[1].reason}, exit code: 1"
    assert any("trial 2/3: failed (loss is not finite in epoch 1" in line for line in search.lines)
    assert finished == search.journal.read(search.task.key)


def test_a_search_that_gets_no_machine_at_all_fails_and_says_why(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.no_capacity = {1, 2}
    with pytest.raises(CloudSearchFailedError, match=r"has tried no settings: CapacityError: Unable to provision"):
        search.run(trials=3)
    assert len(search.journal.read(search.task.key)) == 1


def test_a_tuning_job_that_is_refused_says_what_to_do(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.refused = ApiError("ResourceLimitExceeded", "The account-level service limit is 0 instances")
    with pytest.raises(SageMakerRefusedError, match=r"limit is 0 instances.*Service Quotas.*`parallel`"):
        search.run(trials=3)
    cloud.service.faults.refused = None
    with pytest.raises(SageMakerRefusedError, match=r"role nobody cannot be assumed.*SHOTSPOTTER_SAGEMAKER_ROLE"):
        search.run(trials=3, role="arn:aws:iam::123456789012:role/nobody")
    assert cloud.service.tunings == {}


@pytest.mark.slow
def test_other_losses_of_the_service_than_of_the_log_are_refused(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    cloud.service.faults.other_metric = 0.001
    with pytest.raises(NoAgreementError, match=r"The log of tune-.* tells the log loss 0\.\d+, and SageMaker 0\.\d+"):
        search.run(trials=2)


@contextmanager
def interrupted_once(is_time: Callable[[], bool]) -> Iterator[None]:
    """Interrupts this process, as Dagster does where a run is cancelled, once it is time."""

    def interrupt() -> None:
        until(is_time)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with warnings.catch_warnings():
        # The request that is interrupted leaves its connection open, as in a process that ends.
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        thread.start()
        yield
        thread.join()
        gc.collect()


def test_a_cancelled_run_stops_its_tuning_job(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)

    with interrupted_once(lambda: is_training(cloud)), pytest.raises(KeyboardInterrupt):
        search.run(trials=50)
    [tuning] = cloud.service.tunings.values()
    assert tuning.stopping.is_set()
    assert search.lines[-1] == f"the tuning job {tuning.name} is stopped"
    until(lambda: tuning.status == "Stopped")
    assert all(training.process is None or training.process.poll() is not None for training in tuning.trainings)


@pytest.mark.slow
def test_time_ends_a_search_with_what_has_finished(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    finished, _ = search.run(trials=1000, minutes=0.5)
    [tuning] = cloud.service.tunings.values()
    assert tuning.status == "Stopped"
    assert len(finished) == 1 + completed(tuning)
    assert "the time is up: the tuning job is stopped" in search.lines
    limits = tuning.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxRuntimeInSeconds"] == 120 + 600, "it ends by itself, were the run killed"


def killed_run(search: SearchInCloud, root: Path, trials: int, is_time: Callable[[], bool]) -> None:
    """Begin the search in another process, which is killed once it is time."""
    aws = search.aws
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from shotspotter_assets_tests.models.tuning.sagemaker.searches import SearchInCloud
        from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import Aws

        aws = Aws({aws.moto!r}, {aws.address!r}, {aws.role!r}, {aws.store_root!r}, None)
        SearchInCloud(aws, Path({str(root)!r})).run(trials={trials}, parallel=1)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        until(is_time)
        process.kill()


@pytest.mark.slow
def test_a_later_run_takes_over_the_tuning_job_of_one_that_was_killed(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)

    def one_is_there() -> bool:
        return any(completed(tuning) for tuning in cloud.service.tunings.values())

    killed_run(search, tmp_path, 4, one_is_there)
    [tuning] = cloud.service.tunings.values()
    assert tuning.status == "InProgress"
    finished, bill = search.run(trials=4, run_id=OTHER_RUN)
    assert list(cloud.service.tunings) == [tuning.name]
    assert f"taking over the tuning job {tuning.name}, which goes on" in search.lines
    assert tuning.tags["shotspotter:run"] == OTHER_RUN
    assert len(finished) == 4
    assert bill.jobs == 3


def is_training(cloud: Aws) -> bool:
    return any(training.process for tuning in cloud.service.tunings.values() for training in tuning.trainings)


def test_a_tuning_job_that_is_being_stopped_is_waited_for_and_not_taken_over(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    killed_run(search, tmp_path, 3, lambda: is_training(cloud))
    [first] = cloud.service.tunings.values()
    # As the sensor, a moment before the run begins that would have taken it over.
    cloud.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=first.name)
    finished, _ = search.run(trials=3, run_id=OTHER_RUN)
    assert len(finished) == 3
    assert (first.status, [tuning.status for tuning in cloud.service.tunings.values()]) == (
        "Stopped",
        ["Stopped", "Completed"],
    )
    assert first.tags["shotspotter:run"] == RUN_ID


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_a_run_that_was_given_up_leaves_its_tuning_job_to_its_retry(
    cloud: Aws, tmp_path: Path, is_taken_over: bool
) -> None:
    search = SearchInCloud(cloud, tmp_path)

    def is_time() -> bool:
        if is_taken_over and is_training(cloud):
            [tuning] = cloud.service.tunings.values()
            tuning.tags["shotspotter:run"] = OTHER_RUN
        return is_training(cloud)

    with interrupted_once(is_time), pytest.raises(KeyboardInterrupt):
        search.run(trials=50, is_over=lambda: not is_taken_over)
    [tuning] = cloud.service.tunings.values()
    assert not tuning.stopping.is_set()
    assert tuning.status == "InProgress"


@pytest.mark.slow
def test_trials_that_ended_after_the_run_was_killed_are_taken_in_and_learned_from(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path)
    killed_run(search, tmp_path, 3, lambda: any(tuning.trainings for tuning in cloud.service.tunings.values()))
    [first] = cloud.service.tunings.values()
    until(lambda: first.status == "Completed")
    finished, bill = search.run(trials=5, run_id=OTHER_RUN, seed=1)
    assert len(finished) == 5
    assert bill.jobs == 2
    [_, second] = cloud.service.tunings.values()
    assert second.request["WarmStartConfig"] == {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": first.name}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    assert f"it learns from {first.name}" in search.lines


def test_lines_out_of_order_and_printed_twice_are_one_learning_curve() -> None:
    heard = JobLog()
    for line in (epoch_line(2, 0.4), result_line(0.31, 5, 3), epoch_line(1, 0.5)):
        heard.hear(line)
    assert (heard.losses, heard.is_whole) == ([0.5, 0.4], False)
    heard.hear(epoch_line(3, 0.3))
    heard.hear(epoch_line(3, 0.3))
    assert (heard.losses, heard.loss, heard.is_whole) == ([0.5, 0.4, 0.3], 0.31, True)


@pytest.mark.slow
def test_a_network_whose_spot_machine_is_taken_away_goes_on_from_its_checkpoint(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path, "conv_lstm", epochs=3)
    cloud.service.faults.interrupted = {1}
    finished, bill = search.run(trials=2, parallel=1, spot=True)
    [tuning] = cloud.service.tunings.values()
    definition = tuning.request["TrainingJobDefinition"]
    assert definition["EnableManagedSpotTraining"]
    assert definition["CheckpointConfig"]["S3Uri"].endswith("/checkpoints")
    assert tuning.trainings[0].starts == 2
    assert len(finished[-1].epochs) == 3
    assert any("resuming after epoch 1 from the checkpoint" in line for line in search.lines)
    assert bill.billed_seconds < bill.seconds / 2
    said = cost_line(bill, Machines("", "", "ml.m5.xlarge", True, 60.0, 0.23))
    assert f"({1 - bill.billed_seconds / bill.seconds:.0%} saved on spare machines)" in said


@pytest.mark.slow
def test_a_training_job_that_is_bad_by_its_epochs_is_stopped(cloud: Aws, tmp_path: Path) -> None:
    search = SearchInCloud(cloud, tmp_path, NETWORK, epochs=8)
    for number in range(4):
        values = {"epochs": 8, "learning_rate": 2e-3} if number else {}
        trial = Trial(values=values, state="complete", loss=0.01, epochs=[0.01] * 8, seconds=number)
        search.journal.add(search.task.key, trial)
    finished, _ = search.run(trials=5)
    assert (finished[-1].state, finished[-1].loss) == ("stopped", None)
    assert len(finished[-1].epochs) >= 3
    assert "worse than half of the trials before" in finished[-1].reason
    [tuning] = cloud.service.tunings.values()
    assert tuning.trainings[0].status == "Stopped"
