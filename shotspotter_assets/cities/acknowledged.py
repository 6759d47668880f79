"""Warnings and landed files that a person has accepted."""

from datetime import date
from pathlib import PurePosixPath

from pydantic import Field, model_validator

from shotspotter_assets.cities.strict_model import StrictModel


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
