"""The code location: every asset and check found in the folders of `defs`, what starts their runs, and the resources."""

import dagster as dg

from shotspotter_assets import dagster_patches
from shotspotter_assets import defs as package
from shotspotter_assets.defs.automation import arrivals, conditions, notices, schedules
from shotspotter_assets.defs.resources import resources


# Dagster's own loading of a `defs` folder imports every installed component, which takes longer than all else here.
@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, sensors, schedules and resources."""
    dagster_patches.apply()
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(package),
        asset_checks=dg.load_asset_checks_from_package_module(package),
        sensors=[arrivals.landing_arrivals, arrivals.polled_arrivals, conditions.catch_up, notices.notices],
        schedules=[*schedules.daily_schedules, schedules.late_cities_clock],
        resources=resources(),
        # A run's steps are short beside the start of a process of their own, which imports everything again.
        executor=dg.in_process_executor,
    )
