"""A run whose process is gone counts as failed at the monitoring's next look; any other run is left alone."""

import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring import run_monitoring
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.proxy_server import DagsterProxyApiServicer
from dagster._grpc.server import DagsterApiServer

from shotspotter_assets.dagster_patches import run_launcher
from shotspotter_assets.dagster_patches.run_launcher import SHUTS_DOWN, LocalRunLauncher

SHIPPED = Path(__file__).parents[2] / ".dagster_home" / "dagster.yaml"
BY_SOCKET = {"host": "localhost", "socket": "/tmp/socket"}
BY_PORT = {"host": "code.example", "port": 4000}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copy(SHIPPED, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, LocalRunLauncher)
        yield instance


def gone_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("Tried to start a run on a server after telling it to shut down", DagsterUserCodeUnreachableError),
        ("No such job", DagsterLaunchFailedError),
    ],
)
def test_a_run_waits_for_the_next_code_server_while_one_shuts_down(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, answer: str, error: type[Exception]
) -> None:
    def refuse(*_: Any) -> None:
        raise DagsterLaunchFailedError(answer)

    monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", refuse)
    context: Any = None
    with pytest.raises(error):
        instance.run_launcher.launch_run(context)
    for server in (DagsterApiServer, DagsterProxyApiServicer):
        assert SHUTS_DOWN in inspect.getsource(server.StartRun)


@pytest.mark.parametrize(
    ("process", "waited_s", "fails"),
    [(gone_process, 0, True), (os.getpid, 0, False), (None, 0, False), (None, 301, True)],
)
def test_a_run_whose_process_is_gone_before_it_has_started_has_failed(
    process: Callable[[], int] | None,
    waited_s: float,
    fails: bool,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_launcher.apply()
    monkeypatch.setattr(run_launcher, "MIN_GONE_S", 0.0)
    monkeypatch.setattr(run_launcher, "MAX_GONE_S", 0.0)
    run = instance.add_run(dg.DagsterRun(job_name="daily", tags={GRPC_INFO_TAG: json.dumps(BY_SOCKET)}))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, "daily"), run.run_id)
    if process is not None:
        pid = process()
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    # The clock has been set forward since.
    monkeypatch.setattr(run_monitoring, "get_current_timestamp", lambda: time.time() + 1000)
    true = time.monotonic()
    for now in (true, true + waited_s):  # by a clock that nobody sets
        monkeypatch.setattr(run_launcher, "monotonic", lambda now=now: now)
        run_monitoring.monitor_starting_run(instance, record, logging.getLogger())
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is (dg.DagsterRunStatus.FAILURE if fails else dg.DagsterRunStatus.STARTING)


@pytest.mark.parametrize(
    ("process", "server", "waits_s", "status"),
    [
        (gone_process, BY_SOCKET, (0.0, 0.0), dg.DagsterRunStatus.FAILURE),
        (gone_process, BY_SOCKET, (0.0, 60.0), dg.DagsterRunStatus.STARTED),  # no code server to start it again
        (gone_process, BY_SOCKET, (60.0, 60.0), dg.DagsterRunStatus.STARTED),
        (os.getpid, BY_SOCKET, (0.0, 0.0), dg.DagsterRunStatus.STARTED),
        (gone_process, BY_PORT, (0.0, 0.0), dg.DagsterRunStatus.STARTED),  # perhaps on another machine
        (None, BY_SOCKET, (0.0, 0.0), dg.DagsterRunStatus.STARTED),
    ],
)
def test_a_run_whose_process_is_gone_has_failed(
    process: Callable[[], int] | None,
    server: dict[str, Any],
    waits_s: tuple[float, float],
    status: dg.DagsterRunStatus,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, wait_s in zip(("MIN_GONE_S", "MAX_GONE_S"), waits_s, strict=True):
        monkeypatch.setattr(run_launcher, name, wait_s)
    run = instance.add_run(dg.DagsterRun(job_name="daily", tags={GRPC_INFO_TAG: json.dumps(server)}))
    if process is not None:
        pid = process()
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_START.value, "daily"), run.run_id)
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    monitor_started_run(instance, None, record, logging.getLogger())
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is status
    if status is dg.DagsterRunStatus.FAILURE:
        [failed] = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        assert f"its process {pid} is gone" in str(failed.dagster_event and failed.dagster_event.message)
