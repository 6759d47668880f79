"""Gains and levels with intervals from a bootstrap of whole weeks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel

from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.grid.dates import dates_of, weeks
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import FORECAST_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

DRAWS: Final = 1_000
LEVEL: Final = 0.9
MIN_WEEKS: Final = 12  # intervals drawn from fewer calendar weeks are too narrow to decide by; a quarter has 13 or 14
MIN_WEEKS_FOR_INTERVAL: Final = 4  # with fewer, more than 5% of draws repeat one week, whose gain would be an end
ALLOWED: Final = (0.9, 1.1)


@dataclass(frozen=True)
class Gain:
    """Gain over another forecast in nats per positive, with the interval of `LEVEL`; None if undefined."""

    gain: float | None
    low: float | None
    high: float | None
    weeks: int

    @property
    def is_shown(self) -> bool:
        """True if the interval lies above zero."""
        return self.low is not None and self.low > 0

    def ends(self) -> dict[str, float]:
        """Return those of `gain`, `low` and `high` that are defined."""
        ends = {"gain": self.gain, "low": self.low, "high": self.high}
        return {name: value for name, value in ends.items() if value is not None}

    def text(self, form: str = "+.4f") -> str:
        """Return the gain and its interval, as "+0.0120 (+0.0101, +0.0143)"."""
        if self.gain is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.gain:{form}} (no interval from {number_of(self.weeks, 'week')})"
        return f"{self.gain:{form}} ({self.low:{form}}, {self.high:{form}})"


@dataclass(frozen=True)
class WeeklySums:
    """Positives, and summed losses by model, of each calendar week, shape (weeks,)."""

    positives: Array
    losses: dict[str, Array]

    def best(self, models: Iterable[str]) -> str:
        """Return the first of the models with the least loss."""
        return min(models, key=lambda name: float(self.losses[name].sum()))


def weekly_sums(days: npt.NDArray[np.datetime64], positive: npt.NDArray[Any], losses: dict[str, Array]) -> WeeklySums:
    """Return sums by calendar week, Monday to Sunday, of the values of each row, all of shape (rows,)."""
    _, week = np.unique(weeks(days), return_inverse=True)
    sums = {name: np.bincount(week, weights=values).astype(np.float64) for name, values in losses.items()}
    return WeeklySums(np.bincount(week, weights=positive).astype(np.float64), sums)


def weekly_losses(forecasts: pa.Table, models: Iterable[str]) -> WeeklySums:
    """Return positives and log losses (nats) of a forecasts table by calendar week."""
    observed = observed_of(forecasts)
    losses = {name: log_losses(forecasts[name].to_numpy(), observed) for name in dict.fromkeys(models)}
    return weekly_sums(dates_of(forecasts), observed, losses)


def table_gain(forecasts: pa.Table, model: str, over: str) -> Gain:
    """Return the gain of one column of a forecasts table over another."""
    return weekly_gain(weekly_losses(forecasts, (model, over)), model, over)


def weekly_gain(weekly: WeeklySums, model: str, over: str) -> Gain:
    """Return the gain of one model over another, with a percentile interval from a weekly block bootstrap."""
    difference = weekly.losses[over] - weekly.losses[model]
    weeks = len(weekly.positives)
    positives = weekly.positives.sum()
    gain = float(difference.sum() / positives) if positives else None
    if gain is None or weeks < MIN_WEEKS_FOR_INTERVAL:
        return Gain(gain, None, None, weeks)
    return Gain(gain, *interval_per_positive(weekly.positives, difference), weeks)


def interval_per_positive(positives: Array, sums: Array) -> tuple[float, float]:
    """Return the interval of `LEVEL` of the ratio of all sums to all positives, both of shape (weeks,).

    Weeks are drawn whole, because neighbouring days and cells are not independent.
    """
    weeks = len(positives)
    times_drawn = np.random.default_rng(0).multinomial(weeks, np.full(weeks, 1 / weeks), size=DRAWS)
    drawn_positives = times_drawn @ positives
    usable = drawn_positives > 0
    low, high = np.quantile(
        (times_drawn @ sums)[usable] / drawn_positives[usable], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ).tolist()
    return low, high


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
