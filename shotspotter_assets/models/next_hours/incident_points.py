"""The incidents of a city in continuous time, for fits and forecasts of the next minutes, and the stored alerts they are from."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.grid.cells import Plane, cells_at
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.arrays import Array, Booleans, Integers
from shotspotter_assets.storage.catalogue import CLEANED
from shotspotter_assets.storage.store import Store

FIT_HOURS: Final = 2 * 8766  # hours of a fit of minutes, the last two years: its few numbers need no more
COLUMNS: Final = ("user_id", "incident_id", "time_utc", "longitude", "latitude", "gunshot_type")
NO_ALERTS: Final = pa.schema(
    [("date", pa.date32()), *((name, CLEANED.schema.field(name).type) for name in COLUMNS)]
).empty_table()
"""Empty table of the local `date` and the columns of cleaned alerts that `Incidents.of_alerts` reads."""


@dataclass(frozen=True)
class Incidents:
    """Incidents of the forecast types, each at the time and point of its first alert; sorted by time."""

    seconds: Array  # since 1970 UTC, shape (incidents,)
    metres: Array  # east and north of the box's south-western corner, shape (incidents, 2)
    places: Integers  # row and column of the cell, shape (incidents, 2)

    @classmethod
    def of_alerts(cls, alerts: pa.Table, city: City) -> "Incidents":
        """Return the incidents of alerts (`CLEANED`, in any order), each at the first of its alerts among them."""
        codes = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy()
        by_time = alerts.filter(pa.array(np.isin(codes, city.forecast_codes))).sort_by("user_id")
        first = np.sort(np.unique(by_time["incident_id"].to_numpy(), return_index=True)[1])
        begun = by_time.take(pa.array(first))
        longitude, latitude = (begun[name].to_numpy() for name in ("longitude", "latitude"))
        return cls(
            seconds_of(begun["time_utc"].to_numpy()),
            Plane.of(city.box).metres(np.column_stack([longitude, latitude])),
            np.column_stack(cells_at(city, longitude, latitude)).astype(np.int64),
        )

    @property
    def points(self) -> list[tuple[float, int, int]]:
        """Seconds since 1970, row and column of each incident."""
        return list(zip(self.seconds.tolist(), *self.places.T.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.seconds)

    def within(self, first: float, stop: float) -> "Incidents":
        """Return those from `first` on and before `stop`, both in seconds since 1970."""
        start, end = np.searchsorted(self.seconds, [first, stop])
        return self.between(start, end)

    def between(self, start: int, end: int) -> "Incidents":
        """Return the incidents with the numbers `start` to `end - 1`, in the order of time."""
        return Incidents(self.seconds[start:end], self.metres[start:end], self.places[start:end])

    def covered_cells(self, in_coverage: Booleans) -> Integers:
        """Return each one's covered cell, numbered row by row; -1 outside of all; shape (incidents,)."""
        number = np.where(in_coverage, in_coverage.ravel().cumsum().reshape(in_coverage.shape) - 1, -1)
        return number[self.places[:, 0], self.places[:, 1]]


def seconds_of(instants: npt.NDArray[np.datetime64]) -> Array:
    """Return seconds since 1970 of instants (UTC); same shape."""
    return instants.astype("datetime64[us]").astype(np.int64) / 1e6


def stored_incidents(store: Store, history: CityHistory, fitted_to: date) -> Incidents:
    """Read the incidents of a history from two years before a day on, the days on which minutes are fitted."""
    first = max(history.days[0], fitted_to - timedelta(hours=FIT_HOURS))
    return Incidents.of_alerts(stored_alerts(store, history.city, first, history.last_known), history.city)


def stored_alerts(store: Store, city: City, first: date, last: date) -> pa.Table:
    """Read the alerts of the stored days, with the columns of `NO_ALERTS`."""
    alerts = store.read_present(CLEANED, city.name, first, last, COLUMNS)
    return NO_ALERTS if alerts is None else incident_columns(alerts)


def incident_columns(alerts: pa.Table) -> pa.Table:
    """Return the columns of `NO_ALERTS`."""
    return alerts.select(NO_ALERTS.column_names).cast(NO_ALERTS.schema)
