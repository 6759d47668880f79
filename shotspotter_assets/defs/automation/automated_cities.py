"""The cities that sensors, schedules and conditions may start something for, and whether those run from the start."""

from collections.abc import Iterable
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities, unusable_files

NO_CITY: Final = "No city is automated; write `automation: recent` in the file of the city."
"""What a tick says that someone has switched on by hand."""


def automated(cities: Iterable[City]) -> list[City]:
    """The cities that are not `manual`."""
    return [city for city in cities if city.is_automated]


def sensor_status(cities: Cities) -> dg.DefaultSensorStatus:
    """The status, until someone switches it, of a sensor that looks after the cities.

    A city whose file cannot be used counts: someone has to be told.
    """
    wanted = automated(cities.values()) or any(file.is_automated for file in unusable_files(cities).values())
    return dg.DefaultSensorStatus.RUNNING if wanted else dg.DefaultSensorStatus.STOPPED


def schedule_status(cities: Iterable[City]) -> dg.DefaultScheduleStatus:
    """The status, until someone switches it, of a schedule that looks after the cities."""
    return dg.DefaultScheduleStatus.RUNNING if automated(cities) else dg.DefaultScheduleStatus.STOPPED
