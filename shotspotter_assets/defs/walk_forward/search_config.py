"""Launchpad of the search of settings."""

import dagster as dg
from pydantic import Field

from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, TrainingWindows, sections
from shotspotter_assets.models.forecaster_registry import SEARCHED

Sections = sections(SEARCHED)


class SageMakerConfig(dg.Config):
    """Machines of the training jobs, where `engine` is sagemaker."""

    instance_type: str = Field(
        default="ml.m5.xlarge",
        pattern=r"^ml\.",
        description="Type of each training job's machine; the account needs a quota of it.",
    )
    job_minutes: float = Field(default=60.0, ge=2.0, description="Maximum minutes of a training job.")


class TuningConfig(dg.Config):
    """The forecaster, the budget and the starting point of a search."""

    forecaster: str = Field("residual_boosting", description=f"Name of the forecaster: {', '.join(SEARCHED)}.")
    trials: int = Field(
        50, ge=1, description="Maximum number of finished trials, those of earlier runs of the search included."
    )
    minutes: float = Field(
        60.0, ge=0.0, description="Maximum time before the last trial starts. 0 reports the trials of earlier runs."
    )
    parallel: int = Field(
        1, ge=1, le=64, description="Trials at a time in this run; as many as cores for boosting, one for networks."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the sampler. Give each machine its own.")
    engine: str = Field(
        "here",
        pattern="^(here|sagemaker)$",
        description="Where trials run: here, in this run, or sagemaker, as training jobs on AWS (parallel counts them).",
    )
    sagemaker: SageMakerConfig = Field(
        default_factory=SageMakerConfig, description="Training jobs, if engine is sagemaker."
    )
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry
    folds: TrainingWindows = Field(
        default_factory=TrainingWindows, description="Days to train on, and to score trials on."
    )
