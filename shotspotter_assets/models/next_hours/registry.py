"""The forecasters of the next hours, one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shotspotter_assets.models.next_hours.baseline import Climatology, EwmaHourOfWeek
from shotspotter_assets.models.next_hours.forecaster import HourlyForecaster
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.next_hours.stack import HourlyStack


@dataclass(frozen=True)
class HourlyEntry:
    """One row of the registry of hourly forecasters.

    Attributes:
        forecaster: makes it for some horizons.
        is_baseline: whether it is one of the baselines to beat.
    """

    forecaster: Callable[[tuple[int, ...]], HourlyForecaster]
    is_baseline: bool = True


HOURLY_FORECASTERS: Final = {
    HourlyStack.name: HourlyEntry(HourlyStack, is_baseline=False),
    NextHours.name: HourlyEntry(NextHours, is_baseline=False),
    **{kind.name: HourlyEntry(kind) for kind in (Climatology, EwmaHourOfWeek, SelfExciting)},
}
"""By name, which is also the column of its forecasts in reports."""
