"""Whether sensors and schedules run from the start."""

import dagster as dg

from shotspotter_assets.settings import Settings


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """The status of a sensor until someone switches it."""
    return dg.DefaultSensorStatus.RUNNING if settings.automated else dg.DefaultSensorStatus.STOPPED


def schedule_status(settings: Settings) -> dg.DefaultScheduleStatus:
    """The status of a schedule until someone switches it."""
    return dg.DefaultScheduleStatus.RUNNING if settings.automated else dg.DefaultScheduleStatus.STOPPED
