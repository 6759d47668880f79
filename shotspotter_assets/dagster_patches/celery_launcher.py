"""Launches runs as Celery tasks, and tells the monitoring of runs whose worker was killed; named in the `dagster.yaml` of workers.

It needs the extra `celery`. Under `run_launcher`:

    module: shotspotter_assets.dagster_patches.celery_launcher
    class: LostWorkerCeleryRunLauncher
    config: {broker: {env: ...}, backend: {env: ...}}

A task is acknowledged when it ends (`task_acks_late`), so that the broker hands that of a killed worker to another one. This one
finds its run under way, and leaves it to the monitoring; stock, the monitoring takes the task's end for that of the run,
which then counts as under way for a day.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from dagster import DagsterEventType, DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import OperationalError

from shotspotter_assets.dagster_patches.guard import known

_PURPOSE: Final = "the run of a killed worker is made again"

known(
    "dagster_celery.launcher:CeleryRunLauncher.check_run_worker_health",
    parameters="self, run",
    sources=("4cc9f8261ddd",),
    purpose=_PURPOSE,
)
known(
    "dagster._core.execution.api:execute_run_iterator",
    parameters="job, dagster_run, instance, resume_from_failure",
    sources=("63dd8308fc4d",),
    purpose=_PURPOSE,
)

TASK_SETTINGS: Final[dict[str, Any]] = {
    "task_acks_late": True,
    # One run a process: what TensorFlow holds goes with it, as with the launcher of one machine.
    "worker_max_tasks_per_child": 1,
    "worker_prefetch_multiplier": 1,
    # A broker that is away is waited for; the daemon leaves the run in the queue meanwhile (see `launch_run`).
    "broker_connection_retry_on_startup": True,
    # The end of a task whose worker cannot tell it would be waited for until the run's time is up: it tells it once the database
    # is back, within about an hour, with ten seconds between attempts at most. Stock, it tries for a tenth of a second.
    "result_backend_max_retries": 360,
    # A task counts as handed over once the broker has it on its disk.
    "broker_transport_options": {"confirm_publish": True},
}
"""Of workers and of the daemon; `config_source` in `dagster.yaml` may say otherwise."""

MAX_UNSENT_S: Final = 60.0
"""A run that is launched is handed to the broker within seconds, unless the daemon is killed in between."""


class LostWorkerCeleryRunLauncher(CeleryRunLauncher):
    """Stock, but for its settings and for runs whose task has ended without them."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "LostWorkerCeleryRunLauncher":
        settings = {**TASK_SETTINGS, **(config_value.get("config_source") or {})}
        return super().from_config_value(inst_data, {**config_value, "config_source": settings})

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand the run to the broker.

        Raises:
            DagsterUserCodeUnreachableError: the broker is away, or lets nobody in. Of all errors, the queue keeps the run after
                this one alone, and tries again `max_user_code_failure_retries` times; after another one the run has failed.
        """
        broker = self.celery.connection_for_write()
        try:
            super().launch_run(context)
        except (OperationalError, *broker.connection_errors, *broker.channel_errors) as error:
            raise DagsterUserCodeUnreachableError(
                f"The broker of runs (CELERY_BROKER_URL) cannot be reached: {error}"
            ) from None

    def why_it_cannot_start(self, run: DagsterRun) -> str | None:
        """Why a run that is to start never will; None as long as it may."""
        found = self._instance.get_run_by_id(run.run_id)
        if found is None or DAGSTER_CELERY_TASK_ID_TAG in found.tags:
            return None
        launches = self._instance.get_records_for_run(
            run.run_id, of_type=DagsterEventType.RUN_STARTING, limit=1, ascending=False
        ).records
        waited_s = datetime.now(UTC).timestamp() - launches[0].timestamp if launches else 0.0
        return None if waited_s < MAX_UNSENT_S else "it was never handed to the broker, as the daemon was ended before"

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the task of a run is under way; one that has ended did so without the run, if that is under way still."""
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "It was never handed to the broker.")
        health = super().check_run_worker_health(run)
        if health.status is not WorkerStatus.SUCCESS:
            return health
        found = self._instance.get_run_by_id(run.run_id)
        if found is None or found.is_finished:
            return health
        return CheckRunHealthResult(WorkerStatus.FAILED, "its worker was lost, and the task was handed to another one")
