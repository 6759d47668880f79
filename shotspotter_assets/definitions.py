"""The code location: every asset and check found in the folders of `defs`, with the resources they ask for."""

import dagster as dg

from shotspotter_assets import defs as package
from shotspotter_assets.defs.resources import resources


# Dagster's own loading of a `defs` folder imports every installed component, which takes longer than all else here.
@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks and resources."""
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(package),
        asset_checks=dg.load_asset_checks_from_package_module(package),
        resources=resources(),
    )
