"""The shipped dagster.yaml under Dagster's own queue and monitoring: one training at a time, whatever died before."""

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.submit_asset_runs import submit_asset_run
from dagster._core.op_concurrency_limits_counter import compute_run_op_concurrency_info_for_snapshot
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.monitoring.run_monitoring import check_run_timeout
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.defs.chain import DEFINITIONS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / ".dagster_home" / "dagster.yaml"


class Queue:
    """An instance with the shipped settings, and what its queue would start."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        self.job: Any = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey("live_models")}
        )  # fmt: skip

    def add(self, city: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED) -> str:
        """A run that trains."""
        plan = create_execution_plan(self.job)
        run = dg.DagsterRun(
            job_name=self.job.name,
            status=status,
            tags={"dagster/partition": f"{city}|2024-01-20"},
            remote_job_origin=RemoteJobOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shotspotter_assets"), "__repository__"),
                self.job.name,
            ),
            run_op_concurrency=compute_run_op_concurrency_info_for_snapshot(
                snapshot_from_execution_plan(plan, self.job.get_job_snapshot_id())
            ),
        )
        return self.instance.add_run(run).run_id

    def starts(self) -> list[str]:
        """Runs that the queue would start now."""
        config = self.instance.get_concurrency_config()
        return [run.run_id for run in self.daemon._get_runs_to_dequeue(self.instance, config, time.time())]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    shutil.copy(SHIPPED, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Queue(instance)


def test_one_of_two_trainings_starts_on_a_fresh_instance(queue: Queue) -> None:
    first, _ = queue.add("tiny_city"), queue.add("landing_city")
    assert queue.starts() == [first]


def test_a_limit_that_was_set_by_hand_stays(queue: Queue) -> None:
    queue.instance.event_log_storage.set_concurrency_slots("training", 2)
    assert {queue.add("tiny_city"), queue.add("landing_city")} == set(queue.starts())


def test_a_training_that_nobody_saw_end_gives_its_place_back(queue: Queue) -> None:
    dead, waits = queue.add("tiny_city", dg.DagsterRunStatus.STARTING), queue.add("landing_city")
    started = DagsterEvent(DagsterEventType.PIPELINE_START.value, queue.job.name)
    queue.instance.report_dagster_event(started, dead)
    assert queue.starts() == []

    def monitor(after: float) -> None:
        record = queue.instance.get_run_record_by_id(dead)
        assert record is not None
        assert record.start_time is not None
        long_ago = record._replace(start_time=record.start_time - after)
        check_run_timeout(
            queue.instance, long_ago, logging.getLogger(), queue.instance.run_monitoring_max_runtime_seconds
        )

    monitor(after=23 * 3600)
    assert queue.starts() == []
    monitor(after=25 * 3600)
    run = queue.instance.get_run_by_id(dead)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert queue.starts() == [waits]


def test_crashed_runs_are_retried_and_failed_ones_are_not(queue: Queue) -> None:
    assert queue.instance.run_monitoring_enabled
    assert queue.instance.run_retries_enabled
    assert queue.instance.run_retries_max_retries == 1
    assert not queue.instance.run_retries_retry_on_asset_or_op_failure


@pytest.mark.slow
def test_a_training_whose_process_was_killed_gives_its_place_back(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real code server, and a store that never answers, so that the first run lasts until it is killed."""
    instance = queue.instance
    monkeypatch.chdir(tmp_path)  # the checkout's .env names another home
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SHOTSPOTTER_CITIES", str(TEST_CITIES))
        monkeypatch.setenv("SHOTSPOTTER_STORE", "s3://nowhere/store")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(ROOT / "workspace.yaml")])) as context:

            def submit(city: str) -> str:
                asked = dg.RunRequest(asset_selection=[dg.AssetKey("live_models")], partition_key=f"{city}|2024-01-20")
                run = asyncio.run(
                    submit_asset_run(
                        None, asked, 0, instance, context, context.create_request_context(), {}, {}, logging.getLogger()
                    )
                )
                return run.run_id

            def until(run_id: str, *statuses: dg.DagsterRunStatus) -> None:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    list(queue.daemon.run_iteration(context))
                    run = instance.get_run_by_id(run_id)
                    assert run is not None
                    if run.status in statuses:
                        return
                    time.sleep(0.2)
                raise AssertionError(f"{run_id} is {run.status}, not {statuses}")

            def kill(run_id: str) -> None:
                log = "".join(
                    str(entry.dagster_event and entry.dagster_event.message) for entry in instance.all_logs(run_id)
                )
                found = re.search(r"Started process for run \(pid: (\d+)\)", log)
                assert found is not None, log
                os.kill(int(found[1]), signal.SIGKILL)

            first, second = submit("tiny_city"), submit("landing_city")
            until(first, dg.DagsterRunStatus.STARTED)
            until(second, dg.DagsterRunStatus.QUEUED)
            kill(first)
            until(first, dg.DagsterRunStatus.FAILURE)
            until(second, dg.DagsterRunStatus.STARTED)
            kill(second)
            until(second, dg.DagsterRunStatus.FAILURE)
