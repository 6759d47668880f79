"""Models of all cities in the store: fitted from stored days, read as the start of a city's own models."""

from collections.abc import Callable, Collection
from datetime import date, timedelta
from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.next_day.features import names_of_inputs
from shotspotter_assets.models.next_day.shared_regression import (
    SharedModels,
    SharedRows,
    fit_shared,
    package_start,
    required_inputs,
)
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.file_names import ALL_CITIES, GRID_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store

SHARED_MODELS: Final = "shared_models"


def shared_partition(cutoff: date) -> Partition:
    """The place of a cutoff's models."""
    return Partition(SHARED_MODELS, ALL_CITIES, "date", cutoff)


def train_shared(store: Store, cities: Collection[City], cutoff: date, log: Callable[[str], None]) -> SharedModels:
    """The models of a cutoff, from the stored days before it of all cities that share theirs."""
    rows: dict[str, SharedRows] = {}
    left_out: dict[str, str] = {}
    for city in cities:
        try:
            rows[city.name] = _rows_before(store, city, cutoff)
        except (MissingPartitionsError, ValueError) as error:
            left_out[city.name] = str(error)
        else:
            log(
                f"{city.name}: {len(rows[city.name].observed):,} cell-days, {rows[city.name].observed.sum():,} with alerts"
            )
    return fit_shared(rows, cutoff, package_start(ALL_CITIES, cutoff), left_out)


def _rows_before(store: Store, city: City, cutoff: date) -> SharedRows:
    if not city.shared:
        raise ValueError("Its file says `shared: false`.")
    if city.forecast:
        raise ValueError(f"It forecasts {', '.join(city.forecast)}, not gunshot alerts.")
    stored = [day for day in store.days_present("grid_tensors", city.name, GRID_FILE) if day < cutoff]
    if not stored:
        raise ValueError("No day before the cutoff is stored.")
    history = CityHistory.load(store, city, max(stored))
    in_coverage = history.in_coverage(history.last_known + timedelta(days=1))
    return SharedRows.of(history.daily(in_coverage))


def read_shared(store: Store, city: City, by: date) -> SharedStart | None:
    """The start of a city's models: the latest shared models with a cutoff no later than `by`, else those of the package.

    None where all use days from `by` on. Models with other inputs are passed over.
    """
    inputs = required_inputs(names_of_inputs(city))
    made = sorted(store.days_present(SHARED_MODELS, ALL_CITIES, RECORD_FILE), reverse=True)
    for cutoff in (one for one in made if one <= by):
        models = SharedModels.model_validate_json(store.read_bytes(shared_partition(cutoff), RECORD_FILE))
        start = models.start_of(city.name, ALL_CITIES)
        if start is not None and required_inputs(start.slopes) == inputs:
            return start
    return package_start(city.name, by)
