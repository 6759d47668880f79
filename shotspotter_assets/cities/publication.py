"""How a city's source publishes: how late, how often, and for how many days ahead forecasts are still issued."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field, model_validator

from shotspotter_assets.cities.source_settings import StrictModel

Period = Literal["week", "month", "quarter"]


class Publication(StrictModel):
    """When the alerts of a day can be expected; without any of it, that is learned from when rows came.

    A gateway that answers at once is `days_late: 0`, a feed that is three days behind `days_late: 3`, a layer that is
    loaded once a quarter, about ten days after its end, `every: quarter` with `days_late: 10`, and bursts of two weeks
    on no fixed day `period_days: 14`.
    """

    days_late: int | None = Field(default=None, ge=0, le=400)
    """Days between the end of a day, or of a period, and its alerts."""
    every: Period | None = None
    """The calendar's period whose days are published together."""
    period_days: int | None = Field(default=None, ge=1, le=400)
    """Days that are published together, where they follow no calendar."""
    longest_lead: int = Field(default=14, ge=1, le=400)
    """No forecast is issued whose day lies further than this behind the last day that is known."""

    @model_validator(mode="after")
    def _has_one_period(self) -> "Publication":
        if self.every is not None and self.period_days is not None:
            raise ValueError("write either every or period_days")
        return self

    @property
    def is_given(self) -> bool:
        """True if the city's file says how the source publishes."""
        return self.days_late is not None or self.every is not None or self.period_days is not None

    @property
    def answers_at_once(self) -> bool:
        """True if the source's answer about a day that is over is complete, as at a vendor's gateway."""
        return self.days_late == 0 and self.every is None and self.period_days is None

    def complete_through(self, asked_on: date) -> date | None:
        """The last day whose alerts have to be there when asked on a day; None without a rule."""
        if not self.is_given:
            return None
        published = asked_on - timedelta(days=1 + (self.days_late or 0))
        if self.period_days is not None:
            return published - timedelta(days=self.period_days - 1)
        if self.every == "week":
            return published - timedelta(days=(published.weekday() + 1) % 7)
        if self.every is None:
            return published
        after = published + timedelta(days=1)
        months = 3 if self.every == "quarter" else 1
        return date(after.year, (after.month - 1) // months * months + 1, 1) - timedelta(days=1)


class NowcastRules(StrictModel):
    """When nowcasts are issued automatically: as soon as an alert is published, and on the hour."""

    every_seconds: int = Field(default=60, ge=30, le=3600)
    """Seconds between two polls of the source."""
