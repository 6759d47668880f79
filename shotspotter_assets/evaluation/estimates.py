"""Values with intervals: estimates, gains of one forecast over another, and levels, from a bootstrap of whole weeks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, Field

from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.grid.dates import dates_of, weeks
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import FORECAST_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

CONFIDENCE: Final = 0.9
ENDS: Final = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)  # quantiles at the ends of an interval
DRAWS: Final = 1_000
MIN_WEEKS: Final = 12  # intervals drawn from fewer calendar weeks are too narrow to decide by; a quarter has 13 or 14
MIN_WEEKS_FOR_INTERVAL: Final = 4  # with fewer, more than 5% of draws repeat one week, whose gain would be an end
ALLOWED: Final = (0.9, 1.1)  # range of expected / observed


@dataclass(frozen=True)
class Estimate:
    """A value with the interval of `CONFIDENCE`; None if undefined."""

    form: ClassVar[str] = ",.1f"

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Array) -> Self | None:
        """Return the first value with the percentile interval of the others, its draws; None if it is undefined (NaN).

        With so many undefined draws that the interval's end may be one of them, there is no interval.
        """
        value = float(values[0])
        defined = values[1:][np.isfinite(values[1:])]
        if not np.isfinite(value):
            return None
        if len(defined) <= len(values[1:]) * ENDS[1]:
            return cls(value)
        return cls(value, *np.quantile(defined, ENDS).tolist())

    @property
    def is_shown(self) -> bool:
        """True if the interval lies above zero."""
        return self.low is not None and self.low > 0

    def nearest_to(self, point: float) -> float:
        """Return the point of the interval that is nearest to another one: the most careful statement of a difference."""
        ends = [end for end in (self.low, self.high) if end is not None] or [self.value or 0.0]
        return min(max(point, ends[0]), ends[-1])

    @property
    def half_width(self) -> float:
        """Half of the width of the interval; infinite without one."""
        return math.inf if self.low is None or self.high is None else (self.high - self.low) / 2

    def map(self, function: Callable[[float], float]) -> "Estimate":
        """Return the value and both ends in another unit."""
        return Estimate(*(None if end is None else function(end) for end in (self.value, self.low, self.high)))

    def ends(self, name: str) -> dict[str, float]:
        """Return the value and both ends by the name of the value, without undefined ones."""
        ends = {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: end for key, end in ends.items() if end is not None}

    def interval(self, form: str = "") -> str:
        """Return both ends, as "33.1 to 34.2"; "" without an interval."""
        form = form or self.form
        return "" if self.low is None or self.high is None else f"{self.low:{form}} to {self.high:{form}}"

    def text(self, form: str = "") -> str:
        """Return the value and its interval, as "33.6 (33.1 to 34.2)"."""
        if self.value is None:
            return "unknown"
        return f"{self.value:{form or self.form}} ({self.interval(form) or 'no interval'})"


@dataclass(frozen=True)
class Gain(Estimate):
    """Gain over another forecast in nats per positive."""

    form: ClassVar[str] = "+.4f"

    value: Annotated[float | None, Field(alias="gain")]  # its name in stored records
    weeks: int = 0


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
        return Gain(gain, weeks=weeks)
    return Gain(gain, *interval_per_positive(weekly.positives, difference), weeks)


def draws_of_weeks(number: int, draws: int = DRAWS) -> Integers:
    """Return how often each draw of a number of weeks has each of them, shape (draws, weeks).

    Weeks are drawn whole, because neighbouring days and cells are not independent.
    """
    return np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=draws)


def interval_per_positive(positives: Array, sums: Array) -> tuple[float, float]:
    """Return the interval of `CONFIDENCE` of the ratio of all sums to all positives, both of shape (weeks,)."""
    times_drawn = draws_of_weeks(len(positives))
    drawn_positives = times_drawn @ positives
    usable = drawn_positives > 0
    low, high = np.quantile((times_drawn @ sums)[usable] / drawn_positives[usable], ENDS).tolist()
    return low, high


@dataclass(frozen=True)
class Level(Estimate):
    """Expected over observed alerts on the forecast days of a year, replayed ones included, in the forecast cells."""

    form: ClassVar[str] = ".2f"

    value: Annotated[float | None, Field(alias="ratio")]  # its name in stored records
    days: int = field(kw_only=True)  # number of days with a forecast and known alerts
    last: date = field(kw_only=True)  # the last one
    expected: float = field(kw_only=True)
    observed: int = field(kw_only=True)

    @property
    def is_off(self) -> bool:
        """True if the interval lies wholly outside `ALLOWED`."""
        return self.low is not None and not ALLOWED[0] <= self.nearest_to(1.0) <= ALLOWED[1]

    def withholds(self, was_withheld: bool) -> bool:
        """Return True if the model of these forecasts, served or not, may not serve; without an interval it may."""
        if self.value is None or self.low is None:
            return False
        return self.is_off or (was_withheld and not ALLOWED[0] <= self.value <= ALLOWED[1])

    def sentence(self) -> str:
        """Return the ratio and its interval in words."""
        start = f"Expected / observed of {number_of(self.days, 'forecast day')} to {self.last}"
        if self.value is None:
            return f"{start} is unknown because nothing was observed."
        if not self.interval():
            return f"{start} is {self.value:.2f} (fewer than {MIN_WEEKS} weeks: no interval)."
        interval = f"{CONFIDENCE:.0%} interval {self.interval()}"
        return f"{start} is {self.value:.2f} ({interval}); {ALLOWED[0]} to {ALLOWED[1]} is allowed."


def level_of(days: npt.NDArray[np.datetime64], expected: Array, observed: Integers) -> Level:
    """Return the level of one or more days, with an interval from a bootstrap of whole weeks; all arrays are (days,)."""
    weekly = weekly_sums(days, observed, {"expected": expected})
    alerts = int(observed.sum())
    has_interval = alerts > 0 and len(weekly.positives) >= MIN_WEEKS
    return Level(
        float(expected.sum()) / alerts if alerts else None,
        *(interval_per_positive(weekly.positives, weekly.losses["expected"]) if has_interval else ()),
        days=len(days),
        last=days.max().astype(date),
        expected=float(expected.sum()),
        observed=alerts,
    )


class _Scored(BaseModel):
    """The part of the daily scores that is read; their record imports the models."""

    level: Level | None = None


def newest_level(store: Store, city: str) -> Level | None:
    """Return the level in the newest daily scores of a target; None without any."""
    newest = max(store.days_present(FORECAST_SCORES, city), default=None)
    scored = None if newest is None else store.read_index(FORECAST_SCORES, city, _Scored.model_validate_json, newest)
    return None if scored is None else scored.level
