"""The forecasters of the next hours."""

from typing import Final

from shotspotter_assets.models.next_hours.baseline import Climatology
from shotspotter_assets.models.next_hours.forecaster import HourlyForecaster
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.next_hours.stack import HourlyStack

HOURLY_FORECASTERS: Final[dict[str, type[HourlyForecaster]]] = {
    kind.name: kind for kind in (HourlyStack, NextHours, Climatology, SelfExciting)
}
"""By name, which is also the column of its forecasts in reports."""
