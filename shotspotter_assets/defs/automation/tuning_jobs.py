"""The sensor that stops tuning jobs on SageMaker whose run is over, as a run that was killed could not do so itself."""

import dagster as dg

from shotspotter_assets.defs.resources import TICK_PATIENCE_S, SageMakerResource
from shotspotter_assets.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor; none where nothing is set up on SageMaker."""
    if not settings.sagemaker_role:
        return dg.Definitions()
    sensor = dg.sensor(
        name="tuning_jobs_without_run",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Stops tuning jobs on SageMaker that go on though the run that follows them is over.",
    )
    return dg.Definitions(sensors=[sensor(tuning_jobs_without_run)])


def tuning_jobs_without_run(context: dg.SensorEvaluationContext, sagemaker: SageMakerResource) -> dg.SkipReason:
    """Stop each tuning job whose run is over; one of a run that is not known here is somebody else's."""
    service, stopped = sagemaker.service(TICK_PATIENCE_S), []
    for name in service.tuning_jobs(status="InProgress"):
        run = context.instance.get_run_by_id(service.followed_by(name))
        if run is not None and run.is_finished and service.stop(name):
            stopped.append(f"{name} of run {run.run_id}")
    return dg.SkipReason(f"Stopped {', '.join(stopped)}." if stopped else "No tuning job goes on without its run.")
