"""The code location: all assets and checks, what starts their runs, and the resources, built from the settings."""

import os
import warnings

import dagster as dg

from shotspotter_assets import dagster_patches
from shotspotter_assets.cities.registry import CityFileError, unusable_files
from shotspotter_assets.defs.alerts import cleaned_alerts, grid_tensors, raw_alerts
from shotspotter_assets.defs.automation import (
    arrivals,
    conditions,
    live_nowcasts,
    notices,
    pages,
    schedules,
    tuning_jobs,
)
from shotspotter_assets.defs.daily import (
    city_pages,
    forecast_scores,
    live_models,
    nowcast_scores,
    nowcasts,
    patrol_plans,
    risk_forecasts,
    shared_models,
    street_risk,
    street_scores,
)
from shotspotter_assets.defs.resources import resources
from shotspotter_assets.defs.run_summary import summarising_in_process_executor
from shotspotter_assets.defs.walk_forward import evaluation_reports, fold_models, tuned_settings, walk_forward_reports
from shotspotter_assets.partitions import build_partitions
from shotspotter_assets.settings import Settings, UnsetVariableError

ASSETS = (
    raw_alerts,
    cleaned_alerts,
    grid_tensors,
    tuned_settings,
    fold_models,
    evaluation_reports,
    walk_forward_reports,
    shared_models,
    live_models,
    risk_forecasts,
    street_risk,
    nowcasts,
    nowcast_scores,
    patrol_plans,
    forecast_scores,
    street_scores,
    city_pages,
)
"""In the order of the chain."""

AUTOMATION = (arrivals, conditions, live_nowcasts, notices, pages, schedules, tuning_jobs)


# Dagster's own loading of a `defs` folder imports every installed component, which takes longer than all else here.
@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the installation that the environment describes."""
    try:
        settings = Settings.from_environment(os.environ)
    except (CityFileError, UnsetVariableError) as error:
        raise type(error)(str(error)) from None  # the way there is of no interest, and would be printed below it
    return build_definitions(settings)


def build_definitions(settings: Settings) -> dg.Definitions:
    """All assets, checks, sensors, schedules and resources."""
    dagster_patches.apply()
    partitions = build_partitions(settings.cities)
    with warnings.catch_warnings():
        # Backfill policies and checks of partitions; the tests of the definitions and of the runs stand for them.
        for beta in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", beta)
        assets = dg.Definitions.merge(*(module.definitions(partitions) for module in ASSETS))
        assets = conditions.of_automated_cities(assets, settings.cities.values())
        automation = [module.definitions(settings) for module in AUTOMATION]
    return dg.Definitions.merge(
        assets,
        *automation,
        dg.Definitions(
            resources=resources(settings), executor=summarising_in_process_executor, metadata=wrong_city_files(settings)
        ),
    )


def wrong_city_files(settings: Settings) -> dict[str, str]:
    """What the page of the code location says of the city files that cannot be used."""
    return {f"wrong city file: {name}": file.problem for name, file in unusable_files(settings.cities).items()}
