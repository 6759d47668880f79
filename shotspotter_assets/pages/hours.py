"""The stored forecast of hours: its alerts and chances over bands of hours and over shifts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import City
from shotspotter_assets.serving.issued_forecasts import forecast_partition
from shotspotter_assets.storage.file_names import HOURLY_FILE
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hours:
    """The forecast of hours.

    Attributes:
        cells: number (row * columns + column) of each cell.
        starts: instants (UTC) at which hours begin, shape (hours,).
        wall: the same on the city's clock.
        expected: alerts, shape (hours, cells).
        hazard: -log(1 - probability), shape (hours, cells).
        is_of_day: whether an hour is of the day that is forecast, shape (hours,).
    """

    cells: npt.NDArray[np.int64]
    starts: npt.NDArray[np.datetime64]
    wall: npt.NDArray[np.datetime64]
    expected: Array
    hazard: Array
    is_of_day: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, store: Store, city: City, day: date) -> "Hours":
        """Read the forecast of a day's hours."""
        hourly = store.read_table(forecast_partition(city.name, day - timedelta(days=1)), HOURLY_FILE)
        starts = hourly["starts_utc"].unique().to_numpy()
        size = len(hourly) // len(starts)
        row, column = (hourly[name].to_numpy()[:size].astype(np.int64) for name in ("row", "column"))
        wall = wall_clock(starts, city.zone)
        expected, probability = (hourly[name].to_numpy().reshape(-1, size) for name in ("expected", "probability"))
        is_of_day = wall.astype("datetime64[D]") == np.datetime64(day)
        return cls(row * city.grid.columns + column, starts, wall, expected, -np.log1p(-probability), is_of_day)

    def within(self, starts: datetime, ends: datetime) -> npt.NDArray[np.bool_]:
        """Return whether each hour begins between two instants, shape (hours,)."""
        first, last = (np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us") for moment in (starts, ends))
        return (self.starts >= first) & (self.starts < last)

    def probability(self, chosen: npt.NDArray[np.bool_]) -> Array:
        """Return the chance of at least one alert in the chosen hours, shape (cells,)."""
        return -np.expm1(-self.hazard[chosen].sum(axis=0))
