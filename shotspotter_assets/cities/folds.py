"""Cadence and windows of a city's walk-forward folds."""

import re
from datetime import date, timedelta
from typing import Final, Literal

from pydantic import ValidationError, ValidationInfo, field_validator

from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.strict_model import StrictModel

MONTHS: Final = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
SHARE: Final = "a share such as 15%, at most 50%"
NOT_YEARS: Final = {"train": ("all", "all"), "validation": (SHARE, r"(?:[1-9]|[1-4]\d|50)%"), "test": ("next", "next")}
"""Windows other than years by key, in words and as a pattern."""
MIN_FOLD_DAYS: Final = 90  # before a city's first cutoff, and of training before a validation window of years


class Folds(StrictModel):
    """Cadence of the folds, and their windows, which end or begin at the cutoff; years as `5y`."""

    every: Literal["month", "quarter", "half_year", "year"] = "quarter"
    train: str = "all"  # days to train on: `all` before the validation window, or years
    validation: str = "15%"  # last days before the cutoff: a share of the days to train and validate on, or years
    test: str = "next"  # days from the cutoff on: to the `next` cutoff, or years

    @field_validator("train", "validation", "test")
    @classmethod
    def _is_a_window(cls, value: str, info: ValidationInfo) -> str:
        words, pattern = NOT_YEARS[info.field_name or ""]
        if not re.fullmatch(rf"[1-9]\d?y|{pattern}", value):
            raise ValueError(f"write {words}, or years such as 5y")
        return value

    def changed(self, windows: dict[str, str]) -> "Folds":
        """Return the folds with the given windows; an empty string keeps one. Raises ValueError for a wrong window."""
        try:
            return type(self).model_validate(
                self.model_dump() | {name: window for name, window in windows.items() if window}
            )
        except ValidationError as error:
            problems = (
                f"folds.{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors()
            )
            raise ValueError("; ".join(problems)) from None

    @property
    def cron(self) -> str:
        """Cron expression of the cutoffs."""
        return f"0 0 1 */{MONTHS[self.every]} *"

    def next_cutoff(self, day: date) -> date:
        """Return the first cutoff after `day`."""
        months = MONTHS[self.every]
        month = (day.month - 1) // months * months + 1 + months
        return date(day.year + month // 13, (month - 1) % 12 + 1, 1)

    def first_cutoff(self, start: date) -> date:
        """Return the first cutoff for data from `start` on."""
        cutoff = self.next_cutoff(start)
        while self.first_day(cutoff) < start:
            cutoff = self.next_cutoff(cutoff)
        return cutoff

    @property
    def test_cutoffs(self) -> int:
        """Number of cutoffs within a test window, its own among them."""
        return 12 * years_of(self.test) // MONTHS[self.every] or 1

    def last_test_day(self, cutoff: date) -> date:
        """Return the last day of the test window."""
        years = years_of(self.test)
        return (_years_after(cutoff, years) if years else self.next_cutoff(cutoff)) - ONE_DAY

    def first_day(self, cutoff: date) -> date:
        """Return the first day that a fold needs; with `train: all` it uses all earlier days too."""
        first = _years_after(cutoff, -years_of(self.train) - years_of(self.validation))
        if self.train == "all":
            return first - timedelta(days=MIN_FOLD_DAYS)
        return first - timedelta(days=round((cutoff - first).days * self._share / (1 - self._share)))

    def first_used_day(self, cutoff: date, start: date) -> date:
        """Return the first day used by models trained at a cutoff, for a city with data from `start` on."""
        return start if self.train == "all" else max(self.first_day(cutoff), start)

    def validation_days(self, cutoff: date, days: int) -> int:
        """Return the length of the validation window of a fold that trains and validates on that many days."""
        return (cutoff - _years_after(cutoff, -years_of(self.validation))).days + round(days * self._share)

    def problem(self, start: date, cutoff: date) -> str:
        """Return the reason why windows of years do not fit between `start` and a cutoff; "" if they fit."""
        first = self.first_day(cutoff)
        if first >= start or not years_of(self.train) + years_of(self.validation):
            return ""
        other = "validation: 15%" if self.train == "all" else "train: all"
        return (
            f"folds.train ({self.train}) and folds.validation ({self.validation}) before {cutoff} need data from {first} on, and "
            f"the city's start is {start} (allowed: {(cutoff - start).days / 365.25:.1f} years together, or {other})"
        )

    @property
    def _share(self) -> float:
        return int(self.validation[:-1]) / 100 if self.validation.endswith("%") else 0.0


def years_of(window: str) -> int:
    """Return the years of a window; 0 for another kind."""
    return int(window[:-1]) if window.endswith("y") else 0


def _years_after(cutoff: date, years: int) -> date:
    # 29 February becomes 1 March in other years.
    return cutoff.replace(year=cutoff.year + years, day=1) + timedelta(days=cutoff.day - 1)
