"""The forecasters of the next hours."""

from typing import Final

from shotspotter_assets.models.next_hours.climatology import Climatology
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster
from shotspotter_assets.models.next_hours.hourly_stack import HourlyStack
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting

HOURLY_FORECASTERS: Final[dict[str, type[HourlyForecaster]]] = {
    kind.name: kind for kind in (HourlyStack, NextHours, Climatology, SelfExciting)
}
"""Forecasters by name, which is also the column of their forecasts in reports."""
