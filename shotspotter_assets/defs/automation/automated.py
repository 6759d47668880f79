"""The cities that sensors and schedules may start runs for, and the tags of those runs."""

from collections.abc import Iterable
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import Cities, unusable_files

NO_CITY: Final = "No city is automated; write `automation: recent` in the city's file."
"""Skip reason of a tick that someone has switched on by hand."""

NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."

PRIORITY_TAG: Final = "dagster/priority"

UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that have not ended."""


def automated(cities: Iterable[City]) -> list[City]:
    """Return the cities whose `automation` is not `manual`."""
    return [city for city in cities if city.is_automated]


def sensor_status(cities: Cities) -> dg.DefaultSensorStatus:
    """Return the status of a sensor until someone switches it; an unusable city file starts it too, so that a notice is sent."""
    is_on = automated(cities.values()) or unusable_files(cities)
    return dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED


def schedule_status(cities: Iterable[City]) -> dg.DefaultScheduleStatus:
    """Return the status of a schedule until someone switches it."""
    return dg.DefaultScheduleStatus.RUNNING if automated(cities) else dg.DefaultScheduleStatus.STOPPED


def assets_under_way(instance: dg.DagsterInstance, city: City) -> set[str]:
    """Return the names of the city's assets that runs under way write."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    keys = {key for run in runs for key in run.asset_selection or ()}
    return {key.path[-1] for key in keys if key.path[0] == city.name}
