"""A run whose task has ended without it counts as lost (a real store of results). With a broker: `deploy/test_faults.py`."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._daemon.monitoring import run_monitoring
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from shotspotter_assets.dagster_patches import celery_launcher, run_launcher
from shotspotter_assets.dagster_patches.celery_launcher import TASK_SETTINGS, LostWorkerCeleryRunLauncher
from shotspotter_assets_tests.postgres_server import PostgresServer


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose tasks would be sent to a broker that is away."""
    launcher = {
        "module": LostWorkerCeleryRunLauncher.__module__,
        "class": LostWorkerCeleryRunLauncher.__name__,
        "config": {
            "broker": "amqp://127.0.0.1:9//",
            "backend": f"db+sqlite:///{tmp_path / 'results.db'}",
            "config_source": {"result_expires": 60},
        },
    }
    (tmp_path / "home").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "home"), overrides={"run_launcher": launcher}) as instance:
        yield instance


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the store of results, which closes its connections late
def test_a_task_that_has_ended_without_its_run_is_that_of_a_lost_worker(instance: dg.DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, LostWorkerCeleryRunLauncher)
    job = dg.job(name="nothing")(lambda: None)
    started = dg.DagsterRunStatus.STARTED

    def status(task: str, *, has_ended: bool = False) -> WorkerStatus:
        run = instance.create_run_for_job(job, tags={DAGSTER_CELERY_TASK_ID_TAG: f"{task} {has_ended}"}, status=started)
        launcher.celery.backend.store_result(f"{task} {has_ended}", None, task)
        if has_ended:
            instance.report_run_failed(run)
        return launcher.check_run_worker_health(run).status

    assert status("STARTED") is WorkerStatus.RUNNING
    assert status("SUCCESS") is WorkerStatus.FAILED
    assert status("SUCCESS", has_ended=True) is WorkerStatus.SUCCESS
    assert status("FAILURE") is WorkerStatus.FAILED
    assert status("REVOKED") is WorkerStatus.UNKNOWN
    unsent = instance.create_run_for_job(job, status=started)
    assert launcher.check_run_worker_health(unsent).status is WorkerStatus.NOT_FOUND


def test_the_end_of_a_task_is_told_once_the_database_is_back(postgres_server: PostgresServer) -> None:
    backend = postgres_server.new_database().replace("postgresql:", "db+postgresql+psycopg2:")
    launcher = LostWorkerCeleryRunLauncher("dagster", backend=backend, config_source=TASK_SETTINGS)
    results = launcher.celery.backend
    results.store_result("task", None, "STARTED")
    with ThreadPoolExecutor(1) as pool:
        crash = pool.submit(postgres_server.crash, 2.0)
        time.sleep(1.0)
        results.store_result("task", None, "SUCCESS")
        crash.result()
    assert results.get_state("task") == "SUCCESS"


def test_a_run_that_the_broker_does_not_take_is_left_to_the_queue(instance: dg.DagsterInstance) -> None:
    code = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("somewhere", "all"), entry_point=["dagster"])
    job = dg.job(name="nothing")(lambda: None)
    run = instance.create_run_for_job(job, job_code_origin=JobPythonOrigin("nothing", code))
    with pytest.raises(DagsterUserCodeUnreachableError, match=r"The broker of runs .* cannot be reached: .*refused"):
        instance.run_launcher.launch_run(LaunchRunContext(run, None))


def test_a_run_that_the_daemon_was_killed_with_has_failed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_launcher.apply()
    run = instance.create_run_for_job(dg.job(name="nothing")(lambda: None))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_STARTING.value, "nothing"), run.run_id)

    def status_once_looked_at() -> dg.DagsterRunStatus:
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        run_monitoring.monitor_starting_run(instance, record, logging.getLogger())
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status

    assert status_once_looked_at() is dg.DagsterRunStatus.STARTING
    monkeypatch.setattr(celery_launcher, "MAX_UNSENT_S", 0.0)
    instance.add_run_tags(run.run_id, {DAGSTER_CELERY_TASK_ID_TAG: "task"})
    assert status_once_looked_at() is dg.DagsterRunStatus.STARTING, "its task waits for a worker"
    other = instance.create_run_for_job(dg.job(name="nothing")(lambda: None))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_STARTING.value, "nothing"), other.run_id)
    run = other
    assert status_once_looked_at() is dg.DagsterRunStatus.FAILURE


def test_workers_keep_a_task_until_it_ends_and_give_each_run_a_process(instance: dg.DagsterInstance) -> None:
    settings = instance.run_launcher.celery.conf
    assert settings.task_acks_late
    assert (settings.worker_prefetch_multiplier, settings.worker_max_tasks_per_child) == (1, 1)
    assert settings.result_expires == 60  # as dagster.yaml says


def test_a_worker_on_another_instance_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    module = "shotspotter_assets.dagster_patches.celery_worker"
    started = subprocess.run(
        [sys.executable, "-c", f"import {module}"], env={"DAGSTER_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "The run launcher in dagster.yaml of DAGSTER_HOME is DefaultRunLauncher" in started.stderr
