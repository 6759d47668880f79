"""Search of settings by a tuning job on SageMaker."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.defs.resources import SageMakerResource
from shotspotter_assets.defs.walk_forward.search_config import TuningConfig
from shotspotter_assets.storage.catalogue import TRIALS

if TYPE_CHECKING:
    import optuna

    from shotspotter_assets.models.tuning.task import TuningTask
    from shotspotter_assets.storage.store import Store


def search_on_sagemaker(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    sagemaker: SageMakerResource,
    opened: "Store",
    task: "TuningTask",
    study: "optuna.Study",
    cutoff: date,
) -> None:
    """Search by a tuning job.

    Raises:
        ValueError: role, image or a store on S3 is missing.
    """
    from shotspotter_assets.models.tuning.sagemaker.task_file import TASK_FILE, packed
    from shotspotter_assets.models.tuning.sagemaker.tuning_job import Cloud
    from shotspotter_assets.models.tuning.sagemaker.tuning_job import search_on_sagemaker as search

    city, name, jobs = task.history.city.name, task.forecaster, config.sagemaker
    task_file = TRIALS.named(forecaster=name, kind=TASK_FILE)
    uri = opened.uri(task_file, city, cutoff)
    needed = {
        "SHOTSPOTTER_SAGEMAKER_ROLE": sagemaker.role,
        "SHOTSPOTTER_SAGEMAKER_IMAGE": sagemaker.image,
        "SHOTSPOTTER_STORE (s3://bucket/prefix)": uri.startswith("s3://"),
    }
    missing = [variable for variable, is_there in needed.items() if not is_there]
    if missing:
        raise ValueError(
            f"A search on SageMaker needs {', '.join(missing)}; see docs/how-to/tuning_on_sagemaker.md. Set it, or choose the "
            "engine `here`."
        )
    opened.write_bytes(task_file, packed(task), city, cutoff)
    cloud = Cloud(
        sagemaker=sagemaker.client("sagemaker"),
        role=sagemaker.role,
        image=sagemaker.image,
        instance_type=jobs.instance_type,
        job_minutes=jobs.job_minutes,
        task_uri=uri,
        output_uri=opened.uri(TRIALS.named(forecaster=name, kind="sagemaker"), city, cutoff),
        run_id=context.run.run_id,
        tags={
            "shotspotter:run": context.run.run_id,
            "shotspotter:city": city,
            "shotspotter:fold": cutoff.isoformat(),
            "shotspotter:forecaster": name,
        },
        poll_s=sagemaker.poll_s,
        minutes=config.minutes,
        parallel=config.parallel,
        seed=config.seed,
    )
    search(task, study, cloud, config.trials, context.log.info)
