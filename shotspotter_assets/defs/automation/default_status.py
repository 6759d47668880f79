"""Whether sensors and schedules run from the start: not on a fresh checkout, which is to ask no live source."""

from typing import Final

import dagster as dg

from shotspotter_assets.defs.environment import AUTOMATED

SENSOR_STATUS: Final = dg.DefaultSensorStatus.RUNNING if AUTOMATED else dg.DefaultSensorStatus.STOPPED
SCHEDULE_STATUS: Final = dg.DefaultScheduleStatus.RUNNING if AUTOMATED else dg.DefaultScheduleStatus.STOPPED
