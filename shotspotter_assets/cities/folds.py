"""The cadence of a city's walk-forward folds."""

from datetime import date
from typing import Final, Literal

from shotspotter_assets.cities.strict_model import StrictModel

MONTHS: Final = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}


class Folds(StrictModel):
    """Cadence of the folds; a test window ends where the next fold begins."""

    every: Literal["month", "quarter", "half_year", "year"] = "quarter"

    @property
    def cron(self) -> str:
        return f"0 0 1 */{MONTHS[self.every]} *"

    def next_cutoff(self, day: date) -> date:
        """Return the first cutoff after `day`."""
        months = MONTHS[self.every]
        month = (day.month - 1) // months * months + 1 + months
        return date(day.year + month // 13, (month - 1) % 12 + 1, 1)
