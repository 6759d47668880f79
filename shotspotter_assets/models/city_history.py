"""A city's stored days, read once, and the counts, coverage, daily and hourly history that models take from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.days_in_words import last_awaited, missing_days, table_in_words
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.cities.stored_settings import refuse_other_settings
from shotspotter_assets.grid.city_factors import CityFactors
from shotspotter_assets.grid.coverage import coverage_starts, estimate_coverage_starts
from shotspotter_assets.grid.dates import DAY_HOURS, hours_of_days
from shotspotter_assets.grid.tensors import dense_window, hourly_window
from shotspotter_assets.models.history import History, HourlyHistory, alerts_of, evening_alerts
from shotspotter_assets.storage.arrays import Booleans, Days
from shotspotter_assets.storage.catalogue import TENSORS, Asset
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.lineage import Lineage, read_lineage
from shotspotter_assets.storage.store import Store

MAX_CELL_HOURS = 60_000_000  # maximum size of a history by hour: five years of 36 x 36 covered cells


class DaysNotKnownError(ValueError):
    """Days are stored, but the source has not published their alerts yet."""


@dataclass(frozen=True)
class CityHistory:
    """Contiguous local days of a city, to the last known one."""

    city: City
    days: list[date]
    frames: pa.Table  # sparse tensors of the days with their `date`, see `gridding.tensors.dense_window`
    lead: int = 1  # days from the last known day to the day after the issue date: 1 where the issue date is known
    unknown: frozenset[date] = frozenset()  # days whose alerts are not known; `frames` have no rows of them
    table: DayTable = field(default_factory=DayTable)  # stored days of the city
    lineage: Lineage = field(default_factory=dict)  # of the stored tensors

    def __post_init__(self) -> None:
        if self.unknown:
            is_unknown = pc.is_in(self.frames["date"], pa.array(sorted(self.unknown), pa.date32()))
            object.__setattr__(self, "frames", self.frames.filter(pc.invert(is_unknown)))

    @classmethod
    def load(cls, store: Store, city: City, last: date, first: date | None = None) -> Self:
        """Load the known days from `first`, by default the city's start, to the issue date `last`.

        Unknown days are left out before the first known one, and at the end if no later day is known; others are
        `unknown`. So are days after the last stored one if the day to forecast is not over. Raises
        MissingPartitionsError with the missing days, DaysNotKnownError if none of the days is known.
        """
        table = DayTable.read(store, city.name, is_needed=True)
        days = days_between(first or city.start, last)
        is_open = last >= local_time.today(city.zone) - ONE_DAY
        last_stored = min(max(table.days, default=last), last) if is_open else last
        counted = np.flatnonzero(table.is_counted(days_between(days[0], last_stored)))
        if not len(counted):
            earlier = f"no earlier day is known either, so write a later first_forecast in {city.name}.yaml"
            if day := table.last_counted(last):
                earlier = f"the last known day is {day}"
            raise DaysNotKnownError(f"{city.name}: alerts from {days[0]} to {last} are not known yet; {earlier}.")
        is_over = any(stored.is_counted for day, stored in table.days.items() if day > last)
        end = len(days) - 1 if is_over else int(counted[-1])
        known = days[counted[0] : end + 1]
        unknown = frozenset(days) - {days[index] for index in counted}
        lineage = read_lineage(store, Asset.GRID_TENSORS, city.name)
        frames = _stored_frames(store, city.name, known[0], known[-1], lineage)
        if table.days:
            table.require(city.name, known)
        return cls(city, known, frames, len(days) - end, unknown.intersection(known), table, lineage)

    @classmethod
    def find(cls, store: Store, city: City, last: date, first: date) -> Self | None:
        """Return the history as `load` does; None if no day of it is known, or one is not on the grid."""
        try:
            return cls.load(store, city, last, first)
        except (DaysNotKnownError, MissingPartitionsError):
            return None

    @classmethod
    def before(cls, store: Store, city: City, cutoff: date) -> "CityHistory":
        """Load the days that a fold trains and validates on. Raises ValueError if they begin before the city's start."""
        if problem := city.folds.problem(city.start, cutoff):
            raise ValueError(f"{city.name}: {problem}.")
        first = city.folds.first_used_day(cutoff, city.start)
        return cls.load(store, city, cutoff - timedelta(days=1), first).complete()

    @property
    def last_known(self) -> date:
        """The last day whose alerts are known."""
        return self.days[-1]

    @property
    def issue_date(self) -> date:
        """The last day whose data could have been used; days after `last_known` are not known yet."""
        return self.last_known + timedelta(days=self.lead - 1)

    @property
    def last_awaited(self) -> date:
        """The last day to the issue date whose data are awaited."""
        return min(self.issue_date, last_awaited(self.city.site, local_time.now(), self.table))

    @property
    def missing(self) -> tuple[date, ...]:
        """The days to the last awaited one whose data are not known."""
        return tuple(missing_days(self.table, self.last_awaited, self.last_known, self.days[0]))

    @property
    def data_in_words(self) -> str:
        """The last known day, and the missing days after it and of the two weeks before it."""
        return table_in_words(self.table, self.last_awaited, self.last_known, self.city.rows, known=self.last_known)

    @property
    def is_too_late(self) -> bool:
        """True if the last known day is too long ago for a forecast to be issued."""
        return self.lead > self.city.publication.longest_lead

    @property
    def lateness(self) -> str:
        """A sentence with the distance from the last known day to the forecast day, and its limit."""
        return (
            f"The last known day is {self.last_known}, {self.lead} days before "
            f"{self.issue_date + timedelta(days=1)}, and publication.longest_lead of {self.city.name} is "
            f"{self.city.publication.longest_lead}."
        )

    def complete(self) -> "CityHistory":
        """Return the history. Raises DaysNotKnownError if it does not reach to the issue date."""
        if self.lead > 1:
            raise DaysNotKnownError(
                f"{self.city.name}: alerts after {self.last_known} are not known yet, and the days to "
                f"{self.issue_date} are needed. Run it when the source has published them."
            )
        return self

    def until(self, last: date) -> "CityHistory":
        """Return the days to an earlier last day, at the same issue date. Raises DaysNotKnownError if none is known."""
        if last >= self.last_known:
            return self
        if last < self.days[0]:
            raise DaysNotKnownError(f"{self.city.name}: alerts from {self.days[0]} to {last} are not known yet.")
        days = days_between(self.days[0], last)
        return replace(
            self,
            days=days,
            frames=_between(self.frames, self.days[0], last),
            lead=self.lead + (self.last_known - last).days,
            unknown=self.unknown.intersection(days),
        )

    def as_published(self) -> "CityHistory":
        """Return the days that the publication rule gives for the day after the issue date; all without a rule."""
        complete = self.city.publication.complete_through(self.issue_date + timedelta(days=1))
        return self if complete is None else self.until(complete)

    @cached_property
    def is_known(self) -> Booleans:
        """False for unknown days, shape (days,)."""
        return np.array([day not in self.unknown for day in self.days])

    @cached_property
    def daily_counts(self) -> npt.NDArray[np.uint16]:
        """Shape (days, types, rows, columns). Raises ValueError for days that were gridded with other settings."""
        refuse_other_settings(self.lineage, self.days, self.city, Asset.GRID_TENSORS)
        return dense_window(self.frames, self.days, self.city)

    @cached_property
    def alerts(self) -> npt.NDArray[np.int32]:
        """Alerts of the forecast types, shape (days, rows, columns)."""
        return alerts_of(self.city, self.daily_counts)

    @property
    def nothing_counted(self) -> str:
        """Why nothing can be learned, if no row of these days is an event of the target; else ""."""
        if self.alerts.any():
            return ""
        city = self.city
        totals = self.daily_counts.sum(axis=(0, 2, 3))
        rows = [f"{city.type_names[code]} {totals[code]:,}" for code in np.flatnonzero(totals).tolist()]
        return (
            f"{city.name}.yaml: targets.{city.target}: none of the rows on the grid from {self.days[0]} to {self.last_known} is "
            f"one of {', '.join(city.targets[city.target])} (there are: {', '.join(rows) or 'none'}). Correct the spellings "
            "in event_types, or remove the target."
        )

    @cached_property
    def factors(self) -> CityFactors:
        """Contributing factors of all days; forecasts use only values published before them."""
        return CityFactors.read(self.city)

    @property
    def coverage_starts(self) -> Days:
        """First covered day of each cell, NaT outside: of sensors, or of any events for targets that need none."""
        if self.city.is_of_gunfire:
            return coverage_starts(self.city, self.alerts, self.days)
        return estimate_coverage_starts(self.daily_counts.sum(axis=1, dtype=np.int64), self.days)

    def coverage_on(self, day: date) -> Booleans:
        """Return the cells covered on a day, estimated from these days, which should end before it, shape (rows, columns)."""
        return self.coverage_starts <= np.datetime64(day, "D")

    def daily(self, in_coverage: Booleans) -> History:
        """Return the history by day, at the lead of these days."""
        counts = self.daily_counts
        has_hours = self.city.time_precision != "day"
        evening = evening_alerts(self.frames, self.days, self.city) if has_hours else None
        return History(
            self.city,
            self.days[0],
            counts,
            in_coverage,
            evening,
            lead=self.lead,
            factors=self.factors,
            is_known=self.is_known,
        )

    def hourly(self, in_coverage: Booleans) -> HourlyHistory:
        """Return the hours of the last days, at most `MAX_CELL_HOURS`. Raises HourlyHistoryError if only days are published."""
        max_days = max(MAX_CELL_HOURS // (DAY_HOURS * max(int(in_coverage.sum()), 1)), 1)
        days = self.days[-max_days:]
        frames = self.frames if len(days) == len(self.days) else _between(self.frames, days[0], days[-1])
        refuse_other_settings(self.lineage, self.days, self.city, Asset.GRID_TENSORS)
        counts = hourly_window(frames, days, self.city, in_coverage)
        known = np.repeat(self.is_known[-max_days:], hours_of_days(days, self.city.zone))
        return HourlyHistory(self.city, days[0], counts, in_coverage, known, self.lead)


def _stored_frames(store: Store, city: str, first: date, last: date, lineage: Lineage) -> pa.Table:
    """Read the grid tensors of contiguous days, once in a process for a lineage. Raises MissingPartitionsError."""
    version = str(lineage)
    cached = _cached.get((store.root, city))
    if cached is None or not lineage or cached.version != version or not cached.first <= first <= last <= cached.last:
        cached = _CachedFrames(version, first, last, store.read_window(TENSORS, city, first, last))
        _cached[store.root, city] = cached
        while len(_cached) > MAX_CACHED_CITIES:
            _cached.pop(next(iter(list(_cached))), None)  # sensors tick in threads
    is_all = (cached.first, cached.last) == (first, last)
    return cached.frames if is_all else _between(cached.frames, first, last)


def _between(frames: pa.Table, first: date, last: date) -> pa.Table:
    days = frames["date"]
    return frames.filter(pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last))))


class _CachedFrames(NamedTuple):
    """Grid tensors of contiguous days."""

    version: str  # lineage of the tensors
    first: date
    last: date
    frames: pa.Table


MAX_CACHED_CITIES: Final = 32
_cached: dict[tuple[str, str], _CachedFrames] = {}  # by root of the store and city


def covered_cells(in_coverage: Booleans) -> list[tuple[int, int]]:
    """Return (row, column) of the covered cells, in row-major order, as records store them."""
    return [(int(row), int(column)) for row, column in np.argwhere(in_coverage)]


def covered_mask(cells: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Booleans:
    """Return the (row, column) pairs of covered cells as a mask of the grid's shape (rows, columns)."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.array(cells, dtype=np.int64).reshape(-1, 2).T)] = True
    return mask
