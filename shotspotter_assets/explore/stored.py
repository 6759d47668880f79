"""What is stored of a city: its alerts, and the forecasts that can be shown beside what happened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.gridding.tensors import counted_alerts
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
from shotspotter_assets.serving.forecast_scores import scored_days
from shotspotter_assets.serving.issued_forecasts import RISK_FORECASTS, next_day_forecasts
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.file_names import (
    ALERTS_FILE,
    FOLD_FORECASTS_FILE,
    FOLD_HOURS_FILE,
    FORECAST_FILE,
    GRID_FILE,
)
from shotspotter_assets.storage.store import Store

NEXT_DAY: Final = 0
"""The horizon of the next day, beside those in hours."""

CANDIDATE: Final = "candidate"

COLUMNS: Final = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


class NothingStoredError(Exception):
    """The store has no city to explore. Notebooks show the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        """Called by IPython in place of its own traceback."""
        return [str(self)]


@dataclass(frozen=True)
class Alerts:
    """Alerts of a city that its grid counts, by time; all arrays are of shape (alerts,).

    Attributes:
        wall: what the city's clock showed, datetime64[us].
        longitude: in WGS84 degrees.
        latitude: likewise.
        code: of the type.
    """

    wall: npt.NDArray[np.datetime64]
    longitude: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64]
    code: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.wall)

    def between(self, first: np.datetime64, end: np.datetime64) -> "Alerts":
        """Those from one reading of the clock until before another one."""
        return self._where((self.wall >= first) & (self.wall < end))

    def of_types(self, codes: tuple[int, ...]) -> "Alerts":
        """Those with any of the type codes."""
        return self._where(np.isin(self.code, codes))

    def _where(self, chosen: npt.NDArray[np.bool_]) -> "Alerts":
        return Alerts(self.wall[chosen], self.longitude[chosen], self.latitude[chosen], self.code[chosen])


def stored_cities(store: Store, cities: Cities) -> list[str]:
    """Names of the cities of which days are stored.

    Raises:
        NothingStoredError: there is none.
    """
    names = [name for name in cities if store.days_present("grid_tensors", name, GRID_FILE)]
    if not names:
        raise NothingStoredError(
            f"Nothing to explore is stored in {store.root} yet. Run `make demo` for the simulated city, materialise "
            "grid_tensors for some days of a city, or name another store in SHOTSPOTTER_STORE; then run all cells again."
        )
    return names


def stored_days(store: Store, city: City) -> tuple[date, date]:
    """First and last stored day of a city that has any."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    return min(days), max(days)


def stored_alerts(store: Store, city: City) -> Alerts:
    """The counted alerts of all stored days."""
    first, last = stored_days(store, city)
    table = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, first, last, COLUMNS)
    if table is None:
        empty = np.zeros(0)
        return Alerts(empty.astype("datetime64[us]"), empty, empty, empty.astype(np.int64))
    table = counted_alerts(table, city)
    return Alerts(
        wall_clock(table["time_utc"], city.zone),
        table["longitude"].to_numpy(),
        table["latitude"].to_numpy(),
        table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy().astype(np.int64),
    )


def fold_cutoffs(store: Store, city: City, file: str = FOLD_FORECASTS_FILE) -> list[date]:
    """The cutoffs of the folds that have a report with that file."""
    return sorted(store.days_present("evaluation_reports", city.name, file, "fold"))


def fold_table(store: Store, city: City, cutoff: date, horizon: int) -> pa.Table | None:
    """The forecasts table of a fold's report at a horizon; None where the report has none."""
    file = FOLD_HOURS_FILE if horizon else FOLD_FORECASTS_FILE
    if cutoff not in fold_cutoffs(store, city, file):
        return None
    table = store.read_table(fold_partition(city.name, cutoff), file)
    if horizon:
        table = table.filter(pc.equal(table["horizon"], horizon))
    # A model that does not forecast this horizon has nothing but nulls there.
    return table.select([name for name in table.column_names if not table[name].null_count]) if len(table) else None


def issued_table(store: Store, city: City) -> pa.Table | None:
    """The issued forecasts of the next day with what happened; None without any of a known day."""
    first, last = stored_days(store, city)
    forecasts = next_day_forecasts(store, city, first, last)
    if not forecasts:
        return None
    try:
        history = CityHistory.load(store, city, last, min(forecasts))
    except (DaysNotKnownError, MissingPartitionsError):
        return None
    return scored_days(forecasts, history, CANDIDATE)


def forecast_sources(store: Store, city: City, horizon: int) -> dict[str, Callable[[], pa.Table | None]]:
    """What reads each stored set of forecasts of what the city's file forecasts, by its title; folds first, the last one first."""
    cutoffs = fold_cutoffs(store, city, FOLD_HOURS_FILE if horizon else FOLD_FORECASTS_FILE)
    sources: dict[str, Callable[[], pa.Table | None]] = {
        f"report of fold {cutoff}": partial(fold_table, store, city, cutoff, horizon) for cutoff in reversed(cutoffs)
    }
    if horizon == NEXT_DAY and store.days_present(RISK_FORECASTS, city.name, FORECAST_FILE):
        sources["issued day by day"] = partial(issued_table, store, city)
    return sources
