"""Tuned settings of a city by cutoff: the result of a search on the days before the cutoff."""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, TrainingWindows, changes, sections, with_windows
from shotspotter_assets.defs.materialize import RunAsset
from shotspotter_assets.defs.partitions import run_day
from shotspotter_assets.defs.resources import SageMakerResource, Store, StoreResource
from shotspotter_assets.models.forecaster_registry import SEARCHED, city_settings
from shotspotter_assets.storage.catalogue import TRIALS, Asset

if TYPE_CHECKING:
    import optuna

    from shotspotter_assets.models.tuning.search import TuningTask

SHOWN_TRIALS: Final = 10
STORAGE_VARIABLE: Final = "SHOTSPOTTER_TUNING_STORAGE"  # URL of an Optuna storage for several machines
Sections = sections(SEARCHED)


class SageMakerConfig(dg.Config):
    """Machines of the training jobs, where `engine` is sagemaker."""

    instance_type: str = Field(
        default="ml.m5.xlarge",
        pattern=r"^ml\.",
        description="Type of the jobs' machines; the account needs a quota of it.",
    )
    job_minutes: float = Field(default=60.0, ge=2.0, description="Maximum minutes of a training job.")


class TuningConfig(dg.Config):
    """The forecaster, the budget and the starting point of a search."""

    forecaster: str = Field("residual_boosting", description=f"Name of the forecaster: {', '.join(SEARCHED)}.")
    target: str = Field("", description="Name of the target; by default the city's main one.")
    trials: int = Field(50, ge=1, description="Maximum of finished trials, those of earlier runs included.")
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
    sagemaker: SageMakerConfig = Field(default_factory=SageMakerConfig, description="Jobs, if engine is sagemaker.")
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry
    folds: TrainingWindows = Field(default_factory=TrainingWindows, description="Days to train and score trials on.")


@RunAsset(Asset.TUNED_SETTINGS, kinds={"json"}, code_version="1")
def tuned_settings(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    store: StoreResource,
    sagemaker: SageMakerResource,
    city: City,
) -> dg.MaterializeResult:
    """The settings of a forecaster with the lowest log loss in the validation window, found by Bayesian search.

    Finished trials are kept, so that a killed search continues. YAML for the city's file is stored, and not adopted.
    """
    [(opened, view)] = city.only(config.target or city.target).by_target(store.open())
    return dg.MaterializeResult(metadata=_search(context, config, opened, sagemaker, view))


def _search(
    context: dg.AssetExecutionContext, config: TuningConfig, store: Store, sagemaker: SageMakerResource, city: City
) -> panel.Metadata:
    """Search the settings of one forecaster, write the best ones, and return the panel."""
    from shotspotter_assets.models.tuning.search import TunedSettings, open_study, search, storage_url

    cutoff = run_day(context)
    name = config.forecaster
    task = _task(store, city, cutoff, config)
    context.log.info(f"Searching {', '.join(task.space)} of {name}, scored on {len(task.validation)} days")
    shared_storage = dg.EnvVar(STORAGE_VARIABLE).get_value() or ""
    trials = TRIALS.named(forecaster=name, kind="trials.db")
    with storage_url(store, trials, city.name, cutoff, shared_storage) as storage:
        study = open_study(task, storage, config.seed)
        if config.engine == "sagemaker":
            _search_on_sagemaker(context, config, sagemaker, store, task, study, cutoff)
        else:
            search(task, study, config.trials, config.minutes, config.parallel)
        tuned = TunedSettings.of(task, cutoff, study)
        trials_table = study.trials_dataframe(("number", "value", "params", "state"))
    best = trials_table[trials_table.pop("state") == "COMPLETE"].nsmallest(SHOWN_TRIALS, "value")
    rows: Any = best.to_dict("records")
    context.log.info(f"For the file of {city.name}:\n{tuned.yaml}")
    path = tuned.write(store)
    return {
        "forecaster": tuned.forecaster,
        "for_the_city_file": dg.MetadataValue.md(f"```yaml\n{tuned.yaml}```"),
        **panel.rounded({"log_loss": tuned.loss, "log_loss_before": tuned.start_loss, "gain": tuned.gain}),
        "trials": tuned.trials,
        "best_trials": panel.table(rows),
        "path": dg.MetadataValue.path(path),
    }


def _search_on_sagemaker(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    sagemaker: SageMakerResource,
    store: Store,
    task: "TuningTask",
    study: "optuna.Study",
    cutoff: date,
) -> None:
    """Search with trials as training jobs on AWS. Raises ValueError without a role, an image and a store on S3."""
    from shotspotter_assets.models.tuning.sagemaker_tuning_job import TASK_FILE, Cloud, packed, search_on_sagemaker

    city = task.history.city.name
    name = task.forecaster
    run_id = context.run.run_id
    task_file = TRIALS.named(forecaster=name, kind=TASK_FILE)
    uri = store.uri(task_file, city, cutoff)
    needed = {
        "SHOTSPOTTER_SAGEMAKER_ROLE": sagemaker.role,
        "SHOTSPOTTER_SAGEMAKER_IMAGE": sagemaker.image,
        "SHOTSPOTTER_STORE (s3://bucket/prefix)": uri.startswith("s3://"),
    }
    if missing := [variable for variable, is_there in needed.items() if not is_there]:
        raise ValueError(
            f"A search on SageMaker needs {', '.join(missing)}; see docs/how-to/tuning_on_sagemaker.md. Set it, or choose the "
            "engine `here`."
        )
    store.write_bytes(task_file, packed(task), city, cutoff)
    tags = {"run": run_id, "city": city, "fold": str(cutoff), "forecaster": name}
    cloud = Cloud(
        sagemaker=sagemaker.client(),
        role=sagemaker.role,
        image=sagemaker.image,
        task_uri=uri,
        output_uri=store.uri(TRIALS.named(forecaster=name, kind="sagemaker"), city, cutoff),
        run_id=run_id,
        tags={f"shotspotter:{key}": value for key, value in tags.items()},
        poll_s=sagemaker.poll_s,
        **config.sagemaker.model_dump(),
        **config.model_dump(include={"minutes", "parallel", "seed"}),
    )
    search_on_sagemaker(task, study, cloud, config.trials)


def _task(store: Store, city: City, cutoff: date, config: TuningConfig) -> "TuningTask":
    """Return the history before a cutoff and the windows that trials are fitted and scored on, as a fold has them.

    Raises ValueError for a forecaster whose settings cannot be searched.
    """
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.models.forecaster import FitContext
    from shotspotter_assets.models.history import split_days
    from shotspotter_assets.models.next_day.shared_regression import read_shared
    from shotspotter_assets.models.tuning.search import TuningTask

    name = config.forecaster
    if name not in SEARCHED:
        raise ValueError(f"{name} has no settings that could be searched; choose among {', '.join(SEARCHED)}.")
    city = with_windows(city, config.folds)
    stored = CityHistory.before(store, city, cutoff)
    settings = city_settings(city, name, changes(config.settings).get(name))
    validation_days = city.folds.validation_days(cutoff, len(stored.days))
    longest_input = max(getattr(settings.search_space().get("days"), "choices", (1,)))
    train, validation = split_days(len(stored.days), validation_days, longest_input)
    history = stored.daily(stored.coverage_on(cutoff))
    return TuningTask(name, settings, history, train, validation, FitContext(read_shared(store, city, cutoff)))
