"""The sensor that stops tuning jobs on SageMaker whose run is over, as a run that was killed could not do so itself."""

from datetime import date
from typing import Final

import dagster as dg

from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.defs.resources import TICK_PATIENCE_S, SageMakerResource
from shotspotter_assets.partitions import key_of
from shotspotter_assets.settings import Settings

TUNED_SETTINGS: Final = dg.AssetKey("tuned_settings")


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor; none where nothing is set up on SageMaker."""
    if not settings.sagemaker_role:
        return dg.Definitions()
    sensor = dg.sensor(
        name="tuning_jobs_without_run",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Stops tuning jobs on SageMaker that go on though the run that follows them is over, unless a run is under way "
        "or to be made again that may take them over.",
    )
    return dg.Definitions(sensors=[sensor(tuning_jobs_without_run)])


def tuning_jobs_without_run(context: dg.SensorEvaluationContext, sagemaker: SageMakerResource) -> dg.SkipReason:
    """Stop each tuning job whose run is over; one of a run that is not known here is somebody else's.

    It is left alone while a run of the same city and fold is under way or about to be retried, which may take it over.
    """
    from shotspotter_assets.models.tuning.sagemaker.request import CITY_TAG, FOLD_TAG, RUN_TAG
    from shotspotter_assets.models.tuning.sagemaker.service import GOES_ON

    service, stopped, left = sagemaker.service(TICK_PATIENCE_S), [], []
    for name in service.tuning_jobs(status=GOES_ON):
        tags = service.tags(name)
        run = context.instance.get_run_by_id(tags.get(RUN_TAG, ""))
        if run is None or not run.is_finished:
            continue
        key = key_of(tags[CITY_TAG], date.fromisoformat(tags[FOLD_TAG]))
        # Looked up for each job, and last, as a run that takes it over may begin at any time.
        if key in UnderWay.of(context.instance).keys(TUNED_SETTINGS):
            left.append(f"{name}, which another run of {key} may take over")
        elif service.stop_own(name, run.run_id):
            stopped.append(f"{name} of run {run.run_id}")
    said = [*(["Stopped " + ", ".join(stopped)] if stopped else []), *(["Left " + ", ".join(left)] if left else [])]
    return dg.SkipReason("; ".join(said) + "." if said else "No tuning job goes on without its run.")
