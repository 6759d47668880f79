"""Level of issued forecasts: expected over observed alerts of a year, and the rule by which it withholds a model.

A forecast may rank cells well and expect too many or too few alerts. The level is off if the 90% interval of expected / observed
lies wholly outside `ALLOWED`, so that a quiet city's year is not blamed for chance. A withheld model serves again once the ratio
itself is within `ALLOWED`; the stricter condition for the return keeps it from switching back and forth.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from shotspotter_assets.evaluation.gains import LEVEL, MIN_WEEKS, interval_per_positive, weekly_sums
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import FORECAST_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

ALLOWED: Final = (0.9, 1.1)


@dataclass(frozen=True)
class Level:
    """Expected and observed alerts of the forecast days of a year, replayed ones included, in the forecast cells."""

    days: int  # number of days with a forecast and known alerts
    last: date  # the last one
    expected: float
    observed: int
    ratio: float | None  # expected / observed; None without alerts
    low: float | None  # lower end of the 90% interval of the ratio; None for fewer weeks than the gate needs
    high: float | None

    @property
    def is_off(self) -> bool:
        """True if the interval lies wholly outside `ALLOWED`."""
        return self.low is not None and self.high is not None and (self.high < ALLOWED[0] or self.low > ALLOWED[1])

    def withholds(self, was_withheld: bool) -> bool:
        """Return True if the model of these forecasts, served or not, may not serve; without an interval it may."""
        if self.ratio is None or self.low is None:
            return False
        return self.is_off or (was_withheld and not ALLOWED[0] <= self.ratio <= ALLOWED[1])

    def text(self) -> str:
        """Return the ratio and its interval in words."""
        start = f"Expected / observed of {number_of(self.days, 'forecast day')} to {self.last}"
        if self.ratio is None:
            return f"{start} is unknown because nothing was observed."
        if self.low is None or self.high is None:
            return f"{start} is {self.ratio:.2f} (fewer than {MIN_WEEKS} weeks: no interval)."
        interval = f"{LEVEL:.0%} interval {self.low:.2f} to {self.high:.2f}"
        return f"{start} is {self.ratio:.2f} ({interval}); {ALLOWED[0]} to {ALLOWED[1]} is allowed."


def level_of(days: npt.NDArray[np.datetime64], expected: Array, observed: Integers) -> Level:
    """Return the level of one or more days, with an interval from a bootstrap of whole weeks; all arrays are (days,)."""
    weekly = weekly_sums(days, observed, {"expected": expected})
    alerts = int(observed.sum())
    has_interval = alerts > 0 and len(weekly.positives) >= MIN_WEEKS
    ends = interval_per_positive(weekly.positives, weekly.losses["expected"]) if has_interval else (None, None)
    return Level(
        days=len(days),
        last=days.max().astype(date),
        expected=float(expected.sum()),
        observed=alerts,
        ratio=float(expected.sum()) / alerts if alerts else None,
        low=ends[0],
        high=ends[1],
    )


class _Scored(BaseModel):
    """The part of the daily scores that is read; their record imports the models."""

    level: Level | None = None


def newest_level(store: Store, city: str) -> Level | None:
    """Return the level in the newest daily scores of a target; None without any."""
    newest = max(store.days_present(FORECAST_SCORES, city), default=None)
    scored = None if newest is None else store.read_index(FORECAST_SCORES, city, _Scored.model_validate_json, newest)
    return None if scored is None else scored.level
