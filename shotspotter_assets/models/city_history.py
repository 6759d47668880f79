"""A city's stored days, read once, and what models take from them: counts, coverage, daily and hourly history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.calendar.local_time import days_between, hours_of_days
from shotspotter_assets.cities.city import City
from shotspotter_assets.factors.city_factors import CityFactors
from shotspotter_assets.gridding.coverage import coverage_of, in_coverage
from shotspotter_assets.gridding.tensors import dense_window, hourly_window
from shotspotter_assets.models.history import History, alerts_of, evening_alerts
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.sources.known_days import known_days, silent_at_end, stored_states
from shotspotter_assets.storage.file_names import GRID_FILE
from shotspotter_assets.storage.store import Partition, Store

Mask = npt.NDArray[np.bool_]

MAX_CELL_HOURS = 60_000_000
"""Covered cells times hours of a history by hour: five years of 36 x 36 cells; a finer grid has a shorter one."""


class DaysNotKnownError(ValueError):
    """Days are stored, but the source has not said yet what happened on them."""


@dataclass(frozen=True)
class CityHistory:
    """Contiguous days of a city, to the last one that is known.

    Attributes:
        city: its clock, grid and forecast types.
        days: contiguous local days.
        frames: sparse tensors of these days with their `date`, as `gridding.tensors.dense_window` takes them.
        lead: days from the last known day to the day after the issue date: 1 where the issue date is known.
        unknown: days within the history whose rows could not be used; `frames` then have no rows of them.
    """

    city: City
    days: list[date]
    frames: pa.Table
    lead: int = 1
    unknown: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if self.unknown:
            is_unknown = pc.is_in(self.frames["date"], pa.array(sorted(self.unknown), pa.date32()))
            object.__setattr__(self, "frames", self.frames.filter(pc.invert(is_unknown)))

    @classmethod
    def load(cls, store: Store, city: City, last: date, first: date | None = None) -> "CityHistory":
        """The known days from `first`, by default the city's start, to the issue date `last`.

        Args:
            store: with the days.
            city: whose.
            last: the issue date.
            first: the first day.

        Raises:
            MissingPartitionsError: days are missing; it names them.
            DaysNotKnownError: none of the days is known.
        """
        stored = cls.load_stored(store, city, last, first)
        silent = silent_at_end(stored.frames["date"], stored.days)
        if not silent:
            return stored
        if len(silent) == len(stored.days) and stored.days[0] > city.start:
            known = cls.load(store, city, last).last_known
        else:
            counts = stored._rows_by_day()
            known = known_days(
                city, stored.days[0], counts, stored_states(store, "grid_tensors", city.name, GRID_FILE, silent)
            ).through
            if known < last and _has_later_rows(store, city.name, last):
                known = last
        return stored._until_known(known)

    @classmethod
    def load_stored(cls, store: Store, city: City, last: date, first: date | None = None) -> "CityHistory":
        """All stored days, those that are not known yet as if nothing had happened on them.

        Raises:
            MissingPartitionsError: days are missing; it names them.
        """
        first = first or city.start
        return cls(
            city, days_between(first, last), store.read_window("grid_tensors", city.name, GRID_FILE, first, last)
        )

    @property
    def last_known(self) -> date:
        """The last day of which the source has said what happened."""
        return self.days[-1]

    @property
    def issue_date(self) -> date:
        """The last day whose data could have been used; days after `last_known` are not known yet."""
        return self.last_known + timedelta(days=self.lead - 1)

    @property
    def is_too_late(self) -> bool:
        """True if the last known day is too long ago for a forecast to be issued."""
        return self.lead > self.city.publication.longest_lead

    @property
    def lateness(self) -> str:
        """A sentence with the distance from the last known day to the forecast day, and its limit."""
        return (
            f"The last known day is {self.last_known}, {self.lead} days before {self.issue_date + timedelta(days=1)}, and "
            f"publication.longest_lead of {self.city.name} is {self.city.publication.longest_lead}."
        )

    def complete(self) -> "CityHistory":
        """The history, where it reaches to the issue date.

        Raises:
            DaysNotKnownError: its last days are not known yet.
        """
        if self.lead > 1:
            raise DaysNotKnownError(
                f"{self.city.name}: what happened after {self.last_known} is not known yet, and the days to "
                f"{self.issue_date} are needed. Run it when the source has published them."
            )
        return self

    def until(self, last_known: date) -> "CityHistory":
        """The days to an earlier last known day, at the same issue date."""
        if last_known == self.last_known:
            return self
        frames = self.frames.filter(pc.less_equal(self.frames["date"], pa.scalar(last_known, pa.date32())))
        lead = self.lead + (self.last_known - last_known).days
        unknown = frozenset(day for day in self.unknown if day <= last_known)
        return CityHistory(self.city, days_between(self.days[0], last_known), frames, lead, unknown)

    def as_published(self) -> "CityHistory":
        """The days that the city's publication rule gives for the day after the issue date; all of them without a rule."""
        complete = self.city.publication.complete_through(self.issue_date + timedelta(days=1))
        return self if complete is None or complete >= self.last_known else self._until_known(complete)

    def _until_known(self, known: date) -> "CityHistory":
        if known < self.days[0]:
            raise DaysNotKnownError(
                f"{self.city.name}: what happened from {self.days[0]} to {self.issue_date} is not known yet; the last known "
                f"day is {known}."
            )
        return self.until(known)

    def _rows_by_day(self) -> npt.NDArray[np.int64]:
        """Alerts of all types, shape (days,)."""
        at = self.frames["date"].to_numpy().astype("datetime64[D]") - np.datetime64(self.days[0], "D")
        counts = np.bincount(at.astype(np.int64), self.frames["count"].to_numpy(), minlength=len(self.days))
        return counts.astype(np.int64)

    @cached_property
    def is_known(self) -> Mask:
        """False for unknown days, shape (days,)."""
        return np.array([day not in self.unknown for day in self.days])

    @cached_property
    def daily_counts(self) -> npt.NDArray[np.uint16]:
        """Shape (days, types, rows, columns)."""
        return dense_window(self.frames, self.days, self.city)

    @cached_property
    def alerts(self) -> npt.NDArray[np.int32]:
        """Alerts of the forecast types, shape (days, rows, columns)."""
        return alerts_of(self.city, self.daily_counts)

    @cached_property
    def factors(self) -> CityFactors:
        """The contributing factors, of whatever days they tell; forecasts use of each what was published before them."""
        return CityFactors.read(self.city)

    def in_coverage(self, day: date) -> Mask:
        """The cells covered on a day, as far as these days tell, shape (rows, columns).

        For an honest forecast the history ends before the day.
        """
        return in_coverage(coverage_of(self.city, self.alerts, self.days), [day])[-1]

    def daily(self, in_coverage: Mask) -> History:
        """The history by day, at the lead of these days."""
        has_hours = self.city.time_precision != "day"
        evening = evening_alerts(self.frames, self.days, self.city) if has_hours else None
        return History(
            self.city, self.days[0], self.daily_counts, in_coverage, evening, self.lead, self.factors, self.is_known
        )

    def hourly(self, in_coverage: Mask) -> HourlyHistory:
        """The history by hour: of its last days, where hours and covered cells are more than `MAX_CELL_HOURS`.

        Raises:
            HourlyHistoryError: the city publishes days only.
        """
        kept = max(MAX_CELL_HOURS // (DAY_HOURS * max(int(in_coverage.sum()), 1)), 1)
        days, frames = self.days[-kept:], self.frames
        if len(days) < len(self.days):
            frames = frames.filter(pc.greater_equal(frames["date"], pa.scalar(days[0], pa.date32())))
        counts = hourly_window(frames, days, self.city, in_coverage)
        known = np.repeat(self.is_known[-kept:], hours_of_days(days, self.city.zone))
        return HourlyHistory(self.city, days[0], counts, in_coverage, known)


def _has_later_rows(store: Store, city: str, last: date) -> bool:
    """True if a later day is stored with rows, which makes all days before it known."""
    later = sorted(day for day in store.days_present("grid_tensors", city, GRID_FILE) if day > last)
    return any(
        store.read_table(Partition("grid_tensors", city, "date", day), GRID_FILE, ["count"]).num_rows for day in later
    )


def covered_cells(in_coverage: Mask) -> list[tuple[int, int]]:
    """(row, column) of the covered cells, in row-major order, as records store them."""
    return [(int(row), int(column)) for row, column in np.argwhere(in_coverage)]


def covered_mask(cells: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Mask:
    """The (row, column) pairs of covered cells as a mask of the grid's shape (rows, columns)."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.array(cells, dtype=np.int64).reshape(-1, 2).T)] = True
    return mask
