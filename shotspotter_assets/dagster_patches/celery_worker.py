"""The Celery app of a worker, as `$DAGSTER_HOME/dagster.yaml` describes it, so that daemon and workers agree.

celery --app shotspotter_assets.dagster_patches.celery_worker worker --concurrency 1
"""

from celery import Celery
from dagster import DagsterInstance
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from shotspotter_assets.dagster_patches.celery_launcher import LostWorkerCeleryRunLauncher


class NoCeleryLauncherError(RuntimeError):
    """The instance launches its runs otherwise."""


def _app() -> Celery:
    with DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, LostWorkerCeleryRunLauncher):
            raise NoCeleryLauncherError(
                f"The run launcher in dagster.yaml of DAGSTER_HOME is {type(launcher).__name__}; workers need "
                f"{LostWorkerCeleryRunLauncher.__module__}: {LostWorkerCeleryRunLauncher.__name__}."
            )
        return launcher.celery


app = _app()
execute_job = create_execute_job_task(app)
resume_job = create_resume_job_task(app)
