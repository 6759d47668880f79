"""Tuned settings, by city and cutoff: what a search of a forecaster's settings finds before the cutoff."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, changes, sections
from shotspotter_assets.defs.resources import SageMakerResource, StoreResource
from shotspotter_assets.defs.walk_forward.sagemaker_search import SageMakerConfig, search_on_sagemaker
from shotspotter_assets.models.registry import TUNABLE
from shotspotter_assets.partitions import PERIOD_BEFORE_CUTOFF, asset_key, fold_days, fold_partitions, run_day
from shotspotter_assets.storage.file_names import picture_file

if TYPE_CHECKING:
    from shotspotter_assets.models.tuning.tuned_settings import TunedSettings

Sections = sections(TUNABLE)


class TuningConfig(dg.Config):
    """Whose settings are searched, for how long, and what the search starts at."""

    forecaster: str = Field(
        default="residual_boosting", description=f"Whose settings are searched: {', '.join(TUNABLE)}."
    )
    trials: int = Field(
        default=50,
        ge=1,
        description="Ends the search: so many are finished, those of earlier runs of the same search among them.",
    )
    minutes: float = Field(
        default=60.0,
        ge=0.0,
        description="Ends the search, too: after them no trial begins. 0 takes what earlier runs have found.",
    )
    parallel: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Trials at a time in this run; as many as cores for boosting, one for networks.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Of what is tried. Runs that search together on several machines take others.",
    )
    engine: str = Field(
        default="here",
        pattern="^(here|sagemaker)$",
        description="Where trials run: here, in this run, or sagemaker, as training jobs on AWS (parallel counts them).",
    )
    sagemaker: SageMakerConfig = Field(
        default_factory=SageMakerConfig, description="Of the training jobs, where engine is sagemaker."
    )
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry
    validation_share: float = Field(
        default=0.15,
        gt=0.0,
        lt=1.0,
        description="Share of the days before the cutoff, the last ones, that judge trials.",
    )


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, folds = asset_key(city, "tuned_settings"), fold_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=folds,
        group_name=city.name,
        kinds={"json"},
        code_version="1",
        pool="training",
        deps=[
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=PERIOD_BEFORE_CUTOFF),
        ],
    )
    def tuned_settings(
        context: dg.AssetExecutionContext, config: TuningConfig, store: StoreResource, sagemaker: SageMakerResource
    ) -> dg.MaterializeResult:
        """The settings of a forecaster with the least log loss of the validation window, by Bayesian search before the cutoff.

        Every finished trial is kept at once, so that a run that was killed goes on with all of them, and a run with more trials
        goes on with those of the run before. Whether the settings are better is judged on later folds; until it is shown, the
        settings as they were stay in force.
        """
        return _tuned_settings(context, config, store, sagemaker, city)

    return dg.Definitions(assets=[tuned_settings])


def _tuned_settings(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    store: StoreResource,
    sagemaker: SageMakerResource,
    city: City,
) -> dg.MaterializeResult:
    from shotspotter_assets.cities.memory import require_memory
    from shotspotter_assets.evaluation.learning_curves import epochs_file, epochs_table, learning_curves
    from shotspotter_assets.evaluation.tuning_views import trial_rows, tuning_pictures
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.models.fold_windows import split_days
    from shotspotter_assets.models.forecaster import FitContext
    from shotspotter_assets.models.registry import city_settings, tunable
    from shotspotter_assets.models.shared_models import read_shared
    from shotspotter_assets.models.tuning.search import Budget, search
    from shotspotter_assets.models.tuning.trials import TuningTask
    from shotspotter_assets.models.tuning.tuned_settings import TunedSettings, journal_of, tuned_file, tuned_partition

    cutoff = run_day(context)
    name, opened, changed = tunable(config.forecaster), store.open(), changes(config.settings)
    before, _ = fold_days(city, cutoff)
    settings = city_settings(city, name, changed.get(name))
    train, validation = split_days(len(before), config.validation_share, input_days(settings))
    stored = CityHistory.load(opened, city, before[-1]).complete()
    in_coverage = stored.in_coverage(cutoff)
    require_memory(city, before[-1], int(in_coverage.sum()))
    shared = read_shared(opened, city, cutoff)
    task = TuningTask(name, settings, stored.daily(in_coverage), train, validation, FitContext(shared))
    context.log.info(
        f"{city.name} {context.partition_key}: searching {', '.join(task.space)} of {name}, judged on {len(validation)} days with "
        f"{task.positives:,} of {task.cell_days:,} cell-days occupied"
    )
    budget = Budget(config.trials, config.minutes, config.parallel)
    journal = journal_of(opened, city.name, cutoff, name)
    took: panel.Metadata = {}
    if config.engine == "sagemaker":
        finished, took = search_on_sagemaker(
            context, config.sagemaker, sagemaker, opened, task, cutoff, journal, budget, config.seed
        )
    else:
        finished = search(task, journal, budget, config.seed, context.log.info)
    tuned = TunedSettings.of(task, cutoff, finished, config.model_dump(exclude={"settings"}) | {"settings": changed})
    pictures, partition = tuning_pictures(task, finished), tuned_partition(city.name, cutoff)
    epochs = epochs_table(finished)
    if epochs.num_rows:
        pictures["learning_curves"] = learning_curves(finished)
    with opened.alone(partition.asset, partition.city):
        for picture, png in pictures.items():
            opened.write_bytes(partition, picture_file(f"{name}.{picture}"), png)
        if epochs.num_rows:
            opened.write_table(partition, epochs_file(name), epochs)
        opened.write_bytes(partition, tuned_file(name), tuned.model_dump_json(indent=2).encode())
    return dg.MaterializeResult(
        metadata={
            **_metadata(tuned),
            **took,
            "best_trials": panel.table(trial_rows(finished)),
            **{picture: panel.picture(picture, png) for picture, png in pictures.items()},
            "path": panel.stored(opened.uri(partition, tuned_file(name))),
        }
    )


def input_days(settings: Any) -> int:
    """Days in the longest input window that is tried of a network; other forecasters ask for one day."""
    parameter = type(settings).search.get("days")
    return getattr(settings, "days", 1) if parameter is None else max(parameter.ends)


def _metadata(tuned: "TunedSettings") -> panel.Metadata:
    return {
        "forecaster": tuned.forecaster,
        "settings": dg.MetadataValue.json(tuned.settings),
        **panel.rounded({"log_loss": tuned.loss, "log_loss_before": tuned.start_loss, "gain": tuned.gain}),
        "trials": tuned.trials,
        "stopped": tuned.stopped,
        "failed": tuned.failed,
        "minutes_of_trials": round(tuned.seconds / 60, 2),
    }
