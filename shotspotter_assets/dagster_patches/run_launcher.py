"""Launches runs as Dagster does by default, and tells its monitoring of runs whose process is gone; named in `dagster.yaml`.

Stock, the code server alone knows the processes of its runs. If both are killed, as by a service manager or for want of
memory, a run counts as under way for a day (`max_runtime_seconds`): its days are not made, and its pool has no place.
"""

import json
import logging
from time import monotonic
from typing import Final

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, RunRecord
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring import run_monitoring
from dagster._grpc.client import DagsterGrpcClient
from dagster._serdes import ConfigurableClassData

from shotspotter_assets.dagster_patches.guard import known
from shotspotter_assets.storage.processes import is_running

known(
    "dagster._daemon.monitoring.run_monitoring:monitor_started_run",
    parameters="instance, workspace, run_record, logger",
    sources=("bc211672a19d",),
    purpose="a run whose process was killed is made again",
)

STOCK_STARTING: Final = known(
    "dagster._daemon.monitoring.run_monitoring:monitor_starting_run",
    parameters="instance, run_record, logger",
    sources=("a462185a7453",),
    purpose="a run whose process was killed while it started is made again",
)

for _place, _parameters, _source in (
    ("dagster._grpc.server:DagsterApiServer.StartRun", "self, request, _context", "ec53adf5e40c"),
    ("dagster._grpc.proxy_server:DagsterProxyApiServicer.StartRun", "self, request, context", "edaf48fec0f6"),
):
    known(_place, parameters=_parameters, sources=(_source,), purpose="a run waits for the next code server")

SHUTS_DOWN: Final = "after telling it to shut down"
"""What a code server answers that waits for its runs, and is then replaced."""

STARTED: Final = "Started process for run (pid: "

MIN_GONE_S: Final = 45.0
"""A run that has failed is started again at once or never, and while no code server answers it cannot be: where both were
killed, the code server comes first."""
MAX_GONE_S: Final = 180.0
"""The server that started the run may be gone for good, as after a restart of everything."""


def apply() -> None:
    """Let the monitoring of this process look for the processes of runs that are starting too; stock, it waits for minutes."""
    run_monitoring.monitor_starting_run = _monitor_starting_run


def _monitor_starting_run(instance: DagsterInstance, run_record: RunRecord, logger: logging.Logger) -> None:
    run, launcher = run_record.dagster_run, instance.run_launcher
    why_it_cannot_start = getattr(launcher, "why_it_cannot_start", None)
    if reason := why_it_cannot_start(run) if why_it_cannot_start else None:
        found = instance.get_run_by_id(run.run_id)
        if found is not None and found.status is run.status:
            instance.report_run_failed(run, f"The run has not started: {reason}.")
    elif not isinstance(launcher, LocalRunLauncher):
        STOCK_STARTING(instance, run_record, logger)


class LocalRunLauncher(DefaultRunLauncher):
    """Stock, but for the look after processes on this machine; runs of a code server at a port may be elsewhere."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._gone_since: dict[str, float] = {}
        self._starting_since: dict[str, float] = {}

    def launch_run(self, context: LaunchRunContext) -> None:
        """Have the code server start the run.

        Raises:
            DagsterUserCodeUnreachableError: it shuts down, as after a jump of the clock or a reload. Of all errors, the queue keeps
                the run after this one alone; stock, the run has failed.
        """
        try:
            super().launch_run(context)
        except DagsterLaunchFailedError as error:
            if SHUTS_DOWN not in str(error):
                raise
            raise DagsterUserCodeUnreachableError("The code server shuts down; the next one starts the run.") from None

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The monitoring asks for the health of each run that has started."""
        return True

    def why_it_cannot_start(self, run: DagsterRun) -> str | None:
        """Why a run that is to start never will; None as long as it may. The clock may have been set since it began."""
        now = monotonic()
        health = self.check_run_worker_health(run)
        waited_s = now - self._starting_since.setdefault(run.run_id, now)
        if health.status is WorkerStatus.NOT_FOUND:
            return health.msg
        if waited_s < self._instance.run_monitoring_start_timeout_seconds:
            return None
        return f"it was given {waited_s:.0f} s to start"

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there; that of one that cannot be looked for is taken to be."""
        if run.status is DagsterRunStatus.STARTED:
            self._starting_since.pop(run.run_id, None)
        socket = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
        process = process_of(self._instance, run.run_id) if socket else None
        if process is None or is_running(process):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = monotonic()
        gone_s = now - self._gone_since.setdefault(run.run_id, now)
        if gone_s < MIN_GONE_S or (gone_s < MAX_GONE_S and not _answers(socket)):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process is gone, and nobody could start it again")
        del self._gone_since[run.run_id]
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its process {process} is gone")


def process_of(instance: DagsterInstance, run_id: str) -> int | None:
    """Id of the process that was started for a run; None where none was started yet, or not on this machine."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event and (entry.dagster_event.message or "").startswith(STARTED):
            return int(str(entry.dagster_event.engine_event_data.metadata["pid"].value))
    return None


def _answers(socket: str) -> bool:
    try:
        DagsterGrpcClient(socket=socket).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True
