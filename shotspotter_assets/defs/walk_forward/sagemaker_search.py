"""The search of `tuned_settings` on SageMaker: what the launchpad sets of it, and the step from the asset to the search."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import SageMakerResource

if TYPE_CHECKING:
    from shotspotter_assets.models.tuning.search import Budget
    from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask
    from shotspotter_assets.storage.store import Store


class SageMakerConfig(dg.Config):
    """On what training jobs run, where `engine` is sagemaker."""

    instance_type: str = Field(
        default="ml.m5.xlarge", pattern=r"^ml\.", description="Of each training job; the account needs a quota of it."
    )
    spot: bool = Field(
        default=False,
        description="Run on spare machines, which cost less and may be taken away; a network then goes on from its checkpoint.",
    )
    job_minutes: float = Field(default=60.0, ge=2.0, description="A training job is ended after them.")
    price_per_hour: float | None = Field(
        default=None, ge=0.0, description="USD for an hour of the instance type, to tell costs beside hours."
    )


class NotOnSageMakerError(ValueError):
    """Something is missing that a search on SageMaker needs; the message says what to set."""


def search_on_sagemaker(
    context: dg.AssetExecutionContext,
    config: SageMakerConfig,
    sagemaker: SageMakerResource,
    opened: "Store",
    task: "TuningTask",
    cutoff: date,
    journal: "TrialStore",
    budget: "Budget",
    seed: int,
) -> "tuple[list[Trial], panel.Metadata]":
    """All finished trials of the search, and what the training jobs took.

    Raises:
        NotOnSageMakerError: role, image or a store on S3 is missing.
    """
    from shotspotter_assets.models.tuning.sagemaker.cloud_search import Cloud, cost_line, search_in_cloud
    from shotspotter_assets.models.tuning.sagemaker.request import CITY_TAG, FOLD_TAG, Machines, Place
    from shotspotter_assets.models.tuning.sagemaker.task_file import packed, task_file
    from shotspotter_assets.models.tuning.tuned_settings import tuned_partition

    city, name = task.history.city.name, task.forecaster
    partition = tuned_partition(city, cutoff)
    uri = opened.uri(partition, task_file(name))
    missing = [
        variable
        for variable, is_there in {
            "SHOTSPOTTER_SAGEMAKER_ROLE": sagemaker.role,
            "SHOTSPOTTER_SAGEMAKER_IMAGE": sagemaker.image,
            "SHOTSPOTTER_STORE (s3://bucket/prefix)": uri.startswith("s3://"),
        }.items()
        if not is_there
    ]
    if missing:
        raise NotOnSageMakerError(
            f"A search on SageMaker needs {', '.join(missing)}; see docs/how-to/tuning_on_sagemaker.md. Set it, or choose the "
            "engine `here`."
        )
    machines = Machines(
        sagemaker.role, sagemaker.image, config.instance_type, config.spot, config.job_minutes, config.price_per_hour
    )
    cloud = Cloud(
        service=sagemaker.service(),
        logs=sagemaker.logs(),
        machines=machines,
        place=Place(uri, opened.uri(partition, f"{name}.sagemaker")),
        run_id=context.run.run_id,
        tags={
            CITY_TAG: city,
            FOLD_TAG: cutoff.isoformat(),
            "shotspotter:forecaster": name,
        },
        upload=lambda: opened.write_bytes(partition, task_file(name), packed(task)),
        is_over=lambda: _is_finished(context),
        poll_s=sagemaker.poll_s,
    )
    finished, bill = search_in_cloud(task, journal, budget, seed, cloud, context.log.info)
    context.log.info(cost_line(bill, machines))
    return finished, {
        "training_jobs": bill.jobs,
        "billed_hours": round(bill.billed_seconds / 3600, 3),
        "cost": cost_line(bill, machines),
    }


def _is_finished(context: dg.AssetExecutionContext) -> bool:
    """Return whether the run ended in Dagster, as after a cancellation or a failure of its worker."""
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.is_finished
