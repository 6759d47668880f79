"""What a forecaster is given: a city's daily counts, the cells to forecast, and the target that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.local_time import day_axis, hours_of_days
from shotspotter_assets.cities.city import City

LATE_HALF_LIFE_HOURS: Final = 4.0
"""How fast an alert's say in `History.late` fades with its distance from midnight: near repeats come within hours."""


class HistoryError(ValueError):
    """The arrays of a history do not fit together."""


@dataclass(frozen=True)
class History:
    """A city's contiguous local days.

    Attributes:
        city: its calendar, and the type codes that are forecast.
        first_day: local day of `counts[0]`.
        counts: alerts, shape (days, layers, rows, columns); the layer is the type code.
        covered: cells that are forecast, shape (rows, columns).
        late: alerts of the forecast types near the end of each day (see `late_alerts`), shape (days, rows, columns);
            None where hours are not known.

    Raises:
        HistoryError: shapes do not fit, or nothing is covered.
    """

    city: City
    first_day: date
    counts: npt.NDArray[np.integer]
    covered: npt.NDArray[np.bool_]
    late: npt.NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        days, _, *grid = self.counts.shape
        if self.covered.shape != tuple(grid) or not self.covered.any():
            raise HistoryError(
                f"City {self.city.name}: the coverage has shape {self.covered.shape} and {int(self.covered.sum())} cells, "
                f"the counts have a grid of {tuple(grid)}; estimate the coverage on training days that have alerts."
            )
        if self.late is not None and self.late.shape != (days, *grid):
            raise HistoryError(f"City {self.city.name}: late has shape {self.late.shape}, not {(days, *grid)}.")

    @property
    def alerts(self) -> npt.NDArray[np.int64]:
        """Alerts of the forecast types, shape (days, rows, columns)."""
        return self.counts[:, list(self.city.forecast_codes)].sum(axis=1, dtype=np.int64)

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Whether a covered cell had any alert of the forecast types, shape (days, cells): the target."""
        return occupied_cells(self.counts[:, list(self.city.forecast_codes)], self.covered)

    def days(self, more: int = 0) -> npt.NDArray[np.datetime64]:
        """The day axis, with `more` days after the last counted one; shape (days + more,)."""
        return day_axis(self.first_day, len(self.counts) + more)


def occupied_cells(counts: npt.NDArray[np.integer], covered: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether a covered cell has any alert of any type on a day, shape (days, cells); the target of every forecast."""
    return (counts.max(axis=1) > 0)[:, covered]


def late_alerts(frames: pa.Table, days: Sequence[date], city: City) -> npt.NDArray[np.float32]:
    """Alerts of the forecast types, each weighing 2^(-h / 4) with h the hours from its hour's end to the day's end.

    Args:
        frames: sparse tensors of those days with their `date` (as `gridding.tensors.dense_window` takes them).
        days: contiguous local days.

    Returns:
        Shape (days, rows, columns).
    """
    day_at = np.searchsorted(np.array(days, dtype="datetime64[D]"), frames["date"].to_numpy().astype("datetime64[D]"))
    hours_left = hours_of_days(days, city.zone)[day_at] - 1 - frames["hour"].to_numpy().astype(np.int64)
    weight = frames["count"].to_numpy() * 2.0 ** (-hours_left / LATE_HALF_LIFE_HOURS)
    forecast = np.isin(frames["gunshot_type"].to_numpy(), city.forecast_codes)
    late = np.zeros((len(days), *city.shape), dtype=np.float32)
    np.add.at(late, (day_at, frames["row"].to_numpy(), frames["column"].to_numpy()), np.where(forecast, weight, 0))
    return late
