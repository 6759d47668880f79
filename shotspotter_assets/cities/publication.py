"""Publication of a city's source: delay, cadence and longest lead, and accepted warnings and files."""

from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final, Literal

from pydantic import Field, model_validator

from shotspotter_assets.cities.strict_model import StrictModel

Period = Literal["week", "month", "quarter"]
NEXT_DAY_FROM: Final = 12  # local hour from which the next day's forecast is issued


class Publication(StrictModel):
    """Expected delay and cadence of alerts; without any, they are learned from the arrival of rows.

    A gateway with complete answers is `days_late: 0`, and a quarterly layer, loaded ten days after the quarter,
    `every: quarter` with `days_late: 10`.
    """

    days_late: int | None = Field(default=None, ge=0, le=400)  # between the end of a day or period and its alerts
    every: Period | None = None  # calendar period whose days are published together
    longest_lead: int = Field(default=14, ge=1, le=400)  # maximum days from the last known day to a forecast day

    @property
    def answers_at_once(self) -> bool:
        """True if answers about past days are complete, as at a vendor's gateway."""
        return self.days_late == 0 and self.every is None

    def complete_through(self, asked_on: date) -> date | None:
        """Return the last day whose alerts are due on a given day; None without a rule."""
        if self.days_late is None and self.every is None:
            return None
        published = asked_on - timedelta(days=1 + (self.days_late or 0))
        if self.every == "week":
            return published - timedelta(days=(published.weekday() + 1) % 7)
        if self.every is None:
            return published
        after = published + timedelta(days=1)
        months = 3 if self.every == "quarter" else 1
        return date(after.year, (after.month - 1) // months * months + 1, 1) - timedelta(days=1)


def newest_issue_date(local: datetime) -> date:
    """Return the day before the newest forecast day: today from `NEXT_DAY_FROM` on, else yesterday."""
    return local.date() - timedelta(days=local.hour < NEXT_DAY_FROM)


class NowcastRules(StrictModel):
    """Cadence of automatic nowcasts: after each new alert, and on the hour."""

    every_seconds: int = Field(default=60, ge=30, le=3600)  # seconds between polls of the source


class Acknowledged(StrictModel):
    """Accepted days of one check's warnings, or one accepted landed file."""

    check: str | None = None  # name of a check of `cleaned_alerts`
    first: date | None = None
    last: date | None = None  # first and last flagged day; without `last`, one day
    file: str | None = None  # name of a landed file, without folders
    by: str = Field(min_length=1, max_length=80)
    on: date
    note: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _names_days_or_a_file(self) -> "Acknowledged":
        days = (self.check, self.first, self.last)
        if any(days) if self.file is not None else None in days[:2]:
            raise ValueError("write either check with first (and last), or file")
        if self.first and self.last and self.last < self.first:
            raise ValueError(f"last ({self.last}) must not be before first ({self.first})")
        if self.file is not None and PurePosixPath(self.file).name != self.file:
            raise ValueError(f"{self.file!r} must be the name of a file, without folders")
        return self

    def holds(self, day: date) -> bool:
        """Return True for a day whose warning is accepted."""
        return self.first is not None and self.first <= day <= (self.last or self.first)

    def __str__(self) -> str:
        return f"Acknowledged by {self.by} on {self.on}{f': {self.note}' if self.note else ''}"
