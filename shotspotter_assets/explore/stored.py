"""Stored data of a city for the notebook: targets, alerts, and forecasts to show beside what happened."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, UNKNOWN_TYPE_CODE, City
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
"""The horizon of the next day; other horizons are in hours."""
ALL_ALERTS: Final = "all gunshot alerts"
COLUMNS: Final = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


class NothingStoredError(Exception):
    """The store has no city to explore. Notebooks show the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        """Replace the traceback of IPython."""
        return [str(self)]


class CityOfTarget(City):
    """A city with another target than that of its file."""

    target_codes: tuple[int, ...]

    @property
    def forecast_codes(self) -> tuple[int, ...]:
        """Type codes of the target."""
        return self.target_codes


def targets_of(city: City) -> dict[str, tuple[int, ...]]:
    """Return type codes by the name of a target: the one of the city's file, then all gunshot alerts and every single type."""
    targets = {" or ".join(city.forecast) or ALL_ALERTS: city.forecast_codes}
    types = {name: (code,) for code, name in city.type_names.items() if code != UNKNOWN_TYPE_CODE}
    others = {ALL_ALERTS: tuple(range(FIRST_EVENT_CODE)), **types}
    return targets | {name: codes for name, codes in others.items() if codes != city.forecast_codes}


def with_target(city: City, codes: tuple[int, ...]) -> City:
    """Return the city as if its file forecast alerts with any of the type codes."""
    if codes == city.forecast_codes:
        return city
    return CityOfTarget(**{name: getattr(city, name) for name in City.model_fields}, target_codes=codes)


def stored_cities(store: Store, cities: Cities) -> list[str]:
    """Name the cities with stored days.

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
    """Return the first and last stored day of a city that has any."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    return min(days), max(days)


def stored_alerts(store: Store, city: City) -> pd.DataFrame:
    """Read the counted alerts of all stored days: `wall` of the city's clock, `longitude`, `latitude` and `code` of the type."""
    table = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, *stored_days(store, city), COLUMNS)
    if table is None:
        return pd.DataFrame({"wall": [], "longitude": [], "latitude": [], "code": []}).astype(
            {"wall": "datetime64[us]"}
        )
    table = counted_alerts(table, city)
    codes = table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE)
    columns = {"longitude": table["longitude"], "latitude": table["latitude"], "code": codes}
    return pd.DataFrame(
        {"wall": wall_clock(table["time_utc"], city.zone)} | {k: v.to_numpy() for k, v in columns.items()}
    )


def alerts_between(alerts: pd.DataFrame, codes: Sequence[int], first: np.datetime64, hours: int) -> pd.DataFrame:
    """Select alerts of any of the type codes in so many hours from a reading of the clock on."""
    wall = alerts["wall"]
    return alerts[alerts["code"].isin(codes) & (wall >= first) & (wall < first + np.timedelta64(hours, "h"))]


def fold_cutoffs(store: Store, city: City, horizon: int = NEXT_DAY) -> list[date]:
    """List the cutoffs of the folds whose report has forecasts of days, or of hours."""
    file = FOLD_HOURS_FILE if horizon else FOLD_FORECASTS_FILE
    return sorted(store.days_present("evaluation_reports", city.name, file, "fold"))


def fold_table(store: Store, city: City, cutoff: date, horizon: int) -> pa.Table | None:
    """Read the forecasts table of a fold's report at a horizon; None where the report has none."""
    partition, file = fold_partition(city.name, cutoff), FOLD_HOURS_FILE if horizon else FOLD_FORECASTS_FILE
    if not store.exists(partition, file):
        return None
    table = store.read_table(partition, file)
    if horizon:
        table = table.filter(pc.field("horizon") == horizon)
    # A model without forecasts of this horizon has only nulls there.
    return table.select([name for name in table.column_names if not table[name].null_count]) if len(table) else None


def issued_table(store: Store, city: City) -> pa.Table | None:
    """Read the issued forecasts of the next day beside what happened; None without any of a known day."""
    first, last = stored_days(store, city)
    forecasts = next_day_forecasts(store, city, first, last)
    if not forecasts:
        return None
    try:
        return scored_days(forecasts, CityHistory.load(store, city, last, min(forecasts)), "candidate")
    except (DaysNotKnownError, MissingPartitionsError):
        return None


def forecast_sources(store: Store, city: City, horizon: int) -> dict[str, Callable[[], pa.Table | None]]:
    """Return readers of the stored forecasts of the city's own target by title; folds first, the last one first."""
    sources: dict[str, Callable[[], pa.Table | None]] = {
        f"report of fold {cutoff}": partial(fold_table, store, city, cutoff, horizon)
        for cutoff in reversed(fold_cutoffs(store, city, horizon))
    }
    if horizon == NEXT_DAY and store.days_present(RISK_FORECASTS, city.name, FORECAST_FILE):
        sources["issued day by day"] = partial(issued_table, store, city)
    return sources
