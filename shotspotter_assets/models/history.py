"""Input of the next-day forecasters: a city's daily counts, the cells to forecast, and the target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.city_factors import NO_FACTORS, CityFactors
from shotspotter_assets.grid.dates import day_axis, hours_of_days, is_holiday_fireworks
from shotspotter_assets.storage.arrays import Booleans, Integers, Singles
from shotspotter_assets.storage.fingerprints import sha256

EVENING_HALF_LIFE_HOURS: Final = 4.0  # half-life of an alert's weight in `evening_alerts`: near repeats come soon

_Made = TypeVar("_Made")


class TooFewEventsError(ValueError):
    """The events of a target do not suffice to fit its forecasters."""


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
