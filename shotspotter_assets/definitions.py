"""The code location: the assets of every city, the sensors and schedules that start their runs, and the resources."""

import gc
import os
import warnings
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.strict_model import CityFileError
from shotspotter_assets.city_files import unusable_files
from shotspotter_assets.defs import accountability, city_sensors, daily, notices, shared_models, walk_forward
from shotspotter_assets.defs.daily import nowcasts
from shotspotter_assets.defs.materialize import CityDefinition, with_address
from shotspotter_assets.defs.resources import resources
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.wording import plain

_MODULES: Final = [
    import_module(f"{folder.__name__}.{module.name}")
    for folder in (daily, walk_forward, accountability)
    for module in iter_modules(folder.__path__)
]
"""Modules of assets and checks; each of these is a `CityDefinition`."""


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
            *(module.definitions(settings) for module in (city_sensors, nowcasts, notices)),
            dg.Definitions(
                assets=[  # without runs, to show the problem of a file in the UI
                    dg.AssetSpec(
                        key=dg.AssetKey([name, "city_file"]),
                        group_name=name if name.isascii() and name.isidentifier() else "wrong_city_files",
                        description=f"**This city file cannot be used.** {plain(problem)}",
                        kinds={"yaml", "error"},
                    )
                    for name, problem in unusable_files(settings.cities).items()
                ],
                resources=resources(settings),
                # A run's steps are short compared with the start of a process, which imports everything again.
                executor=dg.in_process_executor,
            ),
        )


def city_assets(city: City) -> dg.Definitions:
    """Build the assets and checks of one city, keyed `[city.name, asset]`."""
    definitions = [
        value.of(city)
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, CityDefinition) and city.has(value.asset)
    ]
    checks = [built for built in definitions if isinstance(built, dg.AssetChecksDefinition)]
    return dg.Definitions(assets=[built for built in definitions if built not in checks], asset_checks=checks)
