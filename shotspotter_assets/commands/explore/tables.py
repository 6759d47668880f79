"""Stored tables of a city for the notebook."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import Cities
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.forecasts.issued_forecasts import next_day_forecasts
from shotspotter_assets.forecasts.issued_scores import known_forecasts, scored_days
from shotspotter_assets.grid.tensors import ALERT_COLUMNS
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.past_days import alerts_of_types
from shotspotter_assets.settings import BASE_FOLDER, Settings
from shotspotter_assets.storage.catalogue import CLEANED, FOLD_FORECASTS, FOLD_HOURS, TENSORS
from shotspotter_assets.storage.store import Store


def open_store(environ: Mapping[str, str] = os.environ, base: Path = BASE_FOLDER) -> tuple[Store, Cities]:
    """Open the store and the cities that variables name; relative paths start at `base`, because a notebook runs elsewhere."""
    named = {name: environ.get(name) for name in ("SHOTSPOTTER_STORE", "SHOTSPOTTER_CITIES")}
    paths = {name: str(base / path) for name, path in named.items() if path and "://" not in path}
    settings = Settings.from_environment({**environ, **paths})
    return StoreResource(root=settings.store_root).open(), settings.cities


def stored_days(store: Store, city: City) -> tuple[date, date]:
    """Return the first and last stored day; raise ValueError without any."""
    days = store.days_present(TENSORS, city.name)
    if not days:
        raise ValueError(
            f"No day of {city.name} is stored in {store.root} yet. Run `make demo` for Washington DC, materialize "
            "grid_tensors for some days of a city, or name another store in SHOTSPOTTER_STORE; then run all cells again."
        )
    return min(days), max(days)


def stored_alerts(store: Store, city: City) -> pd.DataFrame:
    """Read the counted alerts of the forecast types, see `alerts_of_types`."""
    first, last = stored_days(store, city)
    return alerts_of_types(store.read_window(CLEANED, city.name, first, last, ALERT_COLUMNS), city)


def fold_forecasts(store: Store, city: City, day: date, horizon: int = 0) -> pa.Table:
    """Read a reported fold's forecasts of a day, or of a horizon in hours on it; raise ValueError without any."""
    file = FOLD_HOURS if horizon else FOLD_FORECASTS
    store = store.of(city.target)
    cutoffs = [cutoff for cutoff in store.days_present(file, city.name) if cutoff <= day]
    table = store.read_table(file, city.name, max(cutoffs)) if cutoffs else None
    if table is not None and horizon:
        table = table.filter(pc.field("horizon") == horizon)
    if table is None or pa.scalar(day) not in table["date"].unique():
        asked = f"of the next {horizon} hours on" if horizon else "of"
        raise ValueError(
            f"No reported fold of {city.name} has forecasts {asked} {day}: materialize evaluation_reports, or train a small fold."
        )
    return table


def issued_forecasts(store: Store, city: City) -> pa.Table | None:
    """Read the issued next-day forecasts with observed alerts; None without any of a known day."""
    first, last = stored_days(store, city)
    forecasts = next_day_forecasts(store.of(city.target), city, first, last)
    history = CityHistory.load(store, city, last, min(forecasts, default=last))
    return scored_days(known_forecasts(forecasts, history), history, "candidate")
