"""The code location: the assets of every city, the sensors and schedules that start their runs, and the resources."""

import gc
import os
import warnings
from functools import partial

import dagster as dg

from shotspotter_assets.cities.strict_model import CityFileError
from shotspotter_assets.city_files import unusable_files
from shotspotter_assets.defs import shared_models
from shotspotter_assets.defs.automation import city_sensors, notices, nowcast_sensors, schedules
from shotspotter_assets.defs.catalogue_facts import with_address
from shotspotter_assets.defs.city_assets import city_assets
from shotspotter_assets.defs.resources import resources
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.markdown import plain


# Dagster's own loading of a `defs` folder imports every installed component, which takes longer than all else here.
@dg.definitions
def defs() -> dg.Definitions:
    """Build the definitions of the installation that the environment describes."""
    gc.freeze()  # modules stay loaded; scanning them for garbage doubles what loading adds to a bare project
    try:
        settings = Settings.from_environment(os.environ)
    except CityFileError as error:
        raise CityFileError(str(error)) from None  # the traceback would be printed below the message
    return build_definitions(settings)


def build_definitions(settings: Settings) -> dg.Definitions:
    """Build all assets, checks, sensors, schedules and resources."""
    with warnings.catch_warnings():
        # Backfill policies and partitioned checks; the tests cover both.
        for beta in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", beta)
        return dg.Definitions.merge(
            *(
                city_assets(city).map_asset_specs(func=partial(with_address, store_root=settings.store_root))
                for city in settings.cities.values()
            ),
            shared_models.definitions(settings.cities),
            *(module.definitions(settings) for module in (city_sensors, nowcast_sensors, notices, schedules)),
            dg.Definitions(
                assets=[_wrong_city_file(name, problem) for name, problem in unusable_files(settings.cities).items()],
                resources=resources(settings),
                # A run's steps are short compared with the start of a process, which imports everything again.
                executor=dg.in_process_executor,
            ),
        )


def _wrong_city_file(name: str, problem: str) -> dg.AssetSpec:
    """Build an asset without runs that shows a file's problem in the UI."""
    return dg.AssetSpec(
        key=dg.AssetKey([name, "city_file"]),
        group_name=name if name.isascii() and name.isidentifier() else "wrong_city_files",
        description=f"**This city file cannot be used.** {plain(problem)}",
        kinds={"yaml", "error"},
    )
