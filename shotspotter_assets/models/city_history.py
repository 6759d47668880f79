"""A city's stored days, read once, and what models take from them: counts, coverage, daily and hourly history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.coverage import coverage_of, in_coverage
from shotspotter_assets.gridding.tensors import dense_window
from shotspotter_assets.models.history import History, evening_alerts
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.storage.file_names import GRID_FILE
from shotspotter_assets.storage.store import Store

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CityHistory:
    """Contiguous days of a city.

    Attributes:
        city: its clock, grid and forecast types.
        days: contiguous local days.
        frames: sparse tensors of these days with their `date`, as `gridding.tensors.dense_window` takes them.
    """

    city: City
    days: list[date]
    frames: pa.Table

    @classmethod
    def load(cls, store: Store, city: City, last: date, first: date | None = None) -> "CityHistory":
        """The days from `first`, by default the city's start, to `last`.

        Raises:
            MissingPartitionsError: days are missing; it names them.
        """
        first = first or city.start
        return cls(
            city, days_between(first, last), store.read_window("grid_tensors", city.name, GRID_FILE, first, last)
        )

    @cached_property
    def daily_counts(self) -> npt.NDArray[np.uint16]:
        """Shape (days, types, rows, columns)."""
        return dense_window(self.frames, self.days, self.city, "day")

    @cached_property
    def hourly_counts(self) -> npt.NDArray[np.uint16]:
        """Shape (hours, types, rows, columns)."""
        return dense_window(self.frames, self.days, self.city, "hour")

    @cached_property
    def alerts(self) -> npt.NDArray[np.int64]:
        """Alerts of the forecast types, shape (days, rows, columns)."""
        return self.daily_counts[:, list(self.city.forecast_codes)].sum(axis=1, dtype=np.int64)

    def in_coverage(self, day: date) -> Mask:
        """The cells covered on a day, as far as these days tell, shape (rows, columns).

        For an honest forecast the history ends before the day.
        """
        return in_coverage(coverage_of(self.city, self.alerts, self.days), [day])[-1]

    def daily(self, in_coverage: Mask) -> History:
        """The history by day."""
        has_hours = self.city.time_precision != "day"
        evening = evening_alerts(self.frames, self.days, self.city) if has_hours else None
        return History(self.city, self.days[0], self.daily_counts, in_coverage, evening)

    def hourly(self, in_coverage: Mask) -> HourlyHistory:
        """The history by hour.

        Raises:
            TimePrecisionError: the city publishes days only.
        """
        return HourlyHistory(self.city, self.days[0], self.hourly_counts, in_coverage)


def covered_cells(in_coverage: Mask) -> list[tuple[int, int]]:
    """(row, column) of the covered cells, in row-major order, as records store them."""
    return [(int(row), int(column)) for row, column in np.argwhere(in_coverage)]


def covered_mask(cells: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Mask:
    """The (row, column) pairs of covered cells as a mask of the grid's shape (rows, columns)."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.array(cells, dtype=np.int64).reshape(-1, 2).T)] = True
    return mask
