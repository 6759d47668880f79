"""All assets and checks of one city."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import accountability, daily, walk_forward

_MODULES: Final = [
    import_module(f"{folder.__name__}.{module.name}")
    for folder in (daily, walk_forward, accountability)
    for module in iter_modules(folder.__path__)
]
"""Each module of these folders has a function `definitions(city)`."""


def city_assets(city: City) -> dg.Definitions:
    """Build the assets and checks of one city, keyed `[city.name, asset]`."""
    return dg.Definitions.merge(*(module.definitions(city) for module in _MODULES))
