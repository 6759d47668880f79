"""Inputs of the forecasters: a city's counts by day and by hour, the cells to forecast, the target, and the windows of a fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.city_factors import NO_FACTORS, CityFactors
from shotspotter_assets.grid.dates import (
    DAY_HOURS,
    HourlyClock,
    day_axis,
    hour_starts,
    hours_of_days,
    is_holiday_fireworks,
)
from shotspotter_assets.storage.arrays import Booleans, Integers, Singles
from shotspotter_assets.storage.fingerprints import sha256

INPUTS_WARM_UP_DAYS: Final = 60  # first days of history, left out of fits on next-day inputs: few days make their rates
BASELINES_WARM_UP_DAYS: Final = 90  # those left out of fits of baselines on lag features, as plain means


EVENING_HALF_LIFE_HOURS: Final = 4.0  # half-life of an alert's weight in `evening_alerts`: near repeats come soon

_Made = TypeVar("_Made")


class TooFewEventsError(ValueError):
    """The events of a target do not suffice to fit its forecasters."""


def split_days(days_before_cutoff: int, validation_days: int, window: int) -> tuple[range, range]:
    """Return indexes of training and validation days; raise ValueError if one is too short for a network's `window`."""
    train = range(days_before_cutoff - validation_days)
    validation = range(days_before_cutoff - validation_days, days_before_cutoff)
    if len(train) < 2 * window or len(validation) < window:
        raise ValueError(
            f"{days_before_cutoff} days before the cutoff give {len(train)} days to train and {len(validation)} to validate on; "
            f"an input of {window} days needs at least {2 * window} and {window}. Choose a later fold or fewer input days."
        )
    return train, validation


def after_warm_up(days: range, warm_up_days: int) -> range:
    """Return `days` without the first ones of all history; at least the later half of them."""
    return range(min(max(days.start, warm_up_days), (days.start + days.stop) // 2), days.stop)


@dataclass(frozen=True)
class History:
    """A city's contiguous local days. Raises TooFewEventsError if no cell is covered."""

    city: City
    first_day: date  # local day of `counts[0]`
    counts: npt.NDArray[np.integer]  # alerts, shape (days, layers, rows, columns); the layer is the type code
    in_coverage: Booleans  # cells that are forecast, shape (rows, columns)
    evening: npt.NDArray[np.floating] | None = None  # `evening_alerts`; None where hours are not known
    lead: int = 1  # days from the last usable day to the day that is forecast, at least 1
    factors: CityFactors = NO_FACTORS
    is_known: Booleans | None = None  # False for unknown days, set to zero, shape (days,)
    _cache: dict[tuple[str, bytes], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.in_coverage.any():
            raise TooFewEventsError(f"{self.city.name}.yaml: targets.{self.city.target}: too few events for any cell.")
        if self.is_known is not None and self.is_known.all():
            object.__setattr__(self, "is_known", None)
        elif self.is_known is not None:
            # No sum may hold counts of an unknown day.
            object.__setattr__(self, "counts", (self.counts.T * self.is_known).T)
            if self.evening is not None:
                object.__setattr__(self, "evening", (self.evening.T * self.is_known).T)

    @cached_property
    def alerts(self) -> npt.NDArray[np.int32]:
        """Alerts of the forecast types, shape (days, rows, columns)."""
        return alerts_of(self.city, self.counts)

    @cached_property
    def observed(self) -> Booleans:
        """True if a covered cell had any alert of the forecast types, shape (days, cells): the target."""
        return self.alerts[:, self.in_coverage] > 0

    @cached_property
    def known(self) -> Booleans:
        """False for unknown days, shape (days,); `is_known` is None where this is True throughout."""
        return np.ones(len(self.counts), dtype=bool) if self.is_known is None else self.is_known

    def days(self, more: int = 0) -> npt.NDArray[np.datetime64]:
        """Return the day axis, with `more` days after the last counted one; shape (days + more,)."""
        return day_axis(self.first_day, len(self.counts) + more)

    @property
    def next_day(self) -> int:
        """Index of the day that is forecast from all counted days: `lead` days after the last of them."""
        return len(self.counts) + self.lead - 1

    def days_to_forecast(self) -> npt.NDArray[np.datetime64]:
        """Return the day axis to `next_day`, shape (next_day + 1,)."""
        return self.days(more=self.lead)

    def known_before(self, days: Integers | range) -> Integers:
        """Return the day after the last known one that a forecast of each day may use; at lead 1 mostly the day itself."""
        before = np.maximum(np.asarray(days, dtype=np.int64) - (self.lead - 1), 0)
        if self.is_known is None:
            return before
        after_known = np.where(self.is_known, np.arange(1, len(self.counts) + 1), 0)
        return np.r_[0, np.maximum.accumulate(after_known)][before]

    def known_in(self, days: range) -> slice | Booleans:
        """Return a selection of the known days of an axis of `days`. Raises ValueError if all of them are unknown."""
        if self.is_known is None:
            return slice(None)
        known = self.is_known[days.start : days.stop]
        if days and not known.any():
            raise ValueError(f"City {self.city.name}: all days {days} from {self.first_day} are unknown.")
        return known

    def data_sha256(self, stop: int | None = None) -> str:
        """Return the SHA-256 of the counts, factors and unknown days before day `stop`, all by default."""
        past = self.through(len(self.counts[:stop]))
        first_unused = self.first_day + timedelta(days=len(past.counts))
        factors_sha256 = self.factors.sha256(first_unused) if self.factors.names else ""
        data_sha256 = sha256(np.ascontiguousarray(past.counts).data, factors_sha256)
        return data_sha256 if past.is_known is None else sha256(data_sha256, past.is_known.tobytes())

    def without_factors(self) -> "History":
        """Return the history of the city without contributing factors."""
        return replace(self, city=self.city.model_copy(update={"factors": {}}), factors=NO_FACTORS)

    def through(self, stop: int) -> "History":
        """Return the days before day `stop`, so that a fit cannot use what comes after its windows."""
        if stop == len(self.counts):
            return self
        evening = None if self.evening is None else self.evening[:stop]
        known = None if self.is_known is None else self.is_known[:stop]
        return replace(self, counts=self.counts[:stop], evening=evening, is_known=known)

    def cached(self, name: str, days: Integers, make: Callable[[], _Made]) -> _Made:
        """Return the result of `make` for some days, made once: several forecasters of one city take the same inputs."""
        key = (name, days.tobytes())
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def clear_cache(self) -> None:
        """Drop `cached` results: the inputs of a long history take most of a fit's memory."""
        self._cache.clear()


def firework_days(city: City, days: npt.NDArray[np.datetime64]) -> Booleans:
    """Flag firework days, same shape; none for targets other than gunfire."""
    return is_holiday_fireworks(days) & city.is_of_gunfire


def alerts_of(city: City, counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return alerts of the forecast types, shape (days, rows, columns), of counts with a layer for each type."""
    return np.sum(counts[:, list(city.forecast_codes)], axis=1, dtype=np.int32)


def evening_alerts(frames: pa.Table, days: Sequence[date], city: City) -> Singles:
    """Return alerts of the forecast types with the weight 2^(-hours to midnight / 4), shape (days, rows, columns)."""
    day = np.searchsorted(np.array(days, dtype="datetime64[D]"), frames["date"].to_numpy().astype("datetime64[D]"))
    hours_left = hours_of_days(days, city.zone)[day] - 1 - frames["hour"].to_numpy().astype(np.int64)
    weight = frames["count"].to_numpy() * 2.0 ** (-hours_left / EVENING_HALF_LIFE_HOURS)
    is_forecast = np.isin(frames["gunshot_type"].to_numpy(), city.forecast_codes)
    evening = np.zeros((len(days), *city.shape), dtype=np.float32)
    day_and_cell = (day, frames["row"].to_numpy(), frames["column"].to_numpy())
    np.add.at(evening, day_and_cell, np.where(is_forecast, weight, 0))
    return evening


class HourlyHistoryError(ValueError):
    """The arrays of an hourly history do not fit together, or the city's times are too coarse for hours."""


@dataclass(frozen=True)
class HourlyHistory:
    """A city's hours from a local midnight on; HourlyHistoryError for days only, unfit shapes or no covered cell."""

    city: City
    first_day: date  # local day whose first hour is `counts[0]`
    counts: npt.NDArray[np.integer]  # alerts of the covered cells, shape (hours, layers, cells)
    in_coverage: Booleans  # cells that are forecast, shape (rows, columns)
    is_known: Booleans | None = None  # False for hours of unknown days, set to zero, shape (hours,)
    lead: int = 1  # days from the last usable day to the day whose types are forecast, at least 1

    def __post_init__(self) -> None:
        """Check the shapes, and set counts of unknown hours to zero."""
        if self.city.time_precision == "day":
            raise HourlyHistoryError(
                f"City {self.city.name}: its alerts have a day but no hour (time_precision: day), so the next hours cannot be "
                "forecast. Forecast the next day."
            )
        cells = int(self.in_coverage.sum())
        if self.in_coverage.shape != self.city.shape or self.counts.shape[2:] != (cells,) or not cells:
            raise HourlyHistoryError(
                f"City {self.city.name}: the coverage has shape {self.in_coverage.shape} and {cells} cells, the grid "
                f"{self.city.shape}, the counts {self.counts.shape[2:]} cells; estimate the coverage on training days with alerts."
            )
        if self.is_known is not None and self.is_known.all():
            object.__setattr__(self, "is_known", None)
        elif self.is_known is not None and self.counts[~self.is_known].any():
            # No sum may hold counts of an unknown hour.
            object.__setattr__(self, "counts", (self.counts.T * self.is_known).T)

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def alerts(self) -> npt.NDArray[np.uint16]:
        """Alerts of the forecast types in the covered cells, shape (hours, cells)."""
        total = np.zeros((len(self.counts), self.counts.shape[2]), dtype=np.uint16)
        for code in self.city.forecast_codes:  # several times as fast as a sum over the axis
            total += self.counts[:, code]
        return total

    @cached_property
    def occupied(self) -> Booleans:
        """True if a covered cell had any alert of the forecast types, shape (hours, cells)."""
        return self.alerts > 0

    @cached_property
    def starts(self) -> npt.NDArray[np.datetime64]:
        """Instants (datetime64[s], UTC) at which the hours begin, with `lead` days more than counted hours."""
        clock_changes = int(self.lead > 1)
        return hour_starts(self.first_day, len(self) + DAY_HOURS * self.lead + clock_changes, self.city.zone)

    @cached_property
    def clock(self) -> HourlyClock:
        """Hours, days and seasons of the city's clock at `starts`."""
        return HourlyClock.of_hours(self.starts, self.city.zone, has_fireworks=self.city.is_of_gunfire)

    def hour_at(self, instant: datetime) -> int:
        """Return the first hour that begins at or after an instant, which has a zone."""
        return int(np.searchsorted(self.starts, np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "s")))

    def until(self, instant: datetime) -> "HourlyHistory":
        """Return the hours that had begun before an instant: windows of whole days hold zeros for hours to come."""
        stop = self.hour_at(instant)
        known = None if self.is_known is None else self.is_known[:stop]
        return replace(self, counts=self.counts[:stop], is_known=known)

    def are_known(self, issues: Integers, horizon: int = 1) -> Booleans:
        """Return True if all of the `horizon` hours from an issue on are known, shape (issues,)."""
        if self.is_known is None:
            return np.ones(len(issues), dtype=bool)
        return np.all([self.is_known[issues + step] for step in range(horizon)], axis=0)

    def issues(self, hours: range, horizon: int) -> Integers:
        """Return the known hours at local multiples of `horizon` from which all of it is known and in `hours`."""
        issues = np.arange(hours.start, hours.stop - horizon + 1)
        issues = issues[self.clock.hour[issues] % horizon == 0]
        return issues[self.are_known(issues, horizon)]

    def day_issues(self, hours: Integers) -> Integers:
        """Return the hour from which the day of each of some hours is forecast: its first hour, or `lead - 1` days earlier."""
        clock_hour = self.clock.hour
        first = np.flatnonzero((clock_hour == 0) & np.r_[True, clock_hour[:-1] != 0])
        return first[np.maximum(np.searchsorted(first, hours, "right") - self.lead, 0)]

    def alerts_within(self, issues: Integers, horizon: int) -> Integers:
        """Return alerts of each cell in the `horizon` hours from each issue on, shape (issues, cells)."""
        return np.sum([self.alerts[issues + step] for step in range(horizon)], axis=0, dtype=np.int64)

    def occupied_within(self, horizon: int) -> Booleans:
        """Return True if a cell has an alert in the `horizon` hours from each hour on, shape (hours - horizon + 1, cells)."""
        stop = len(self) - horizon + 1
        within = self.occupied[:stop].copy()
        for step in range(1, horizon):
            within |= self.occupied[step : stop + step]
        return within
