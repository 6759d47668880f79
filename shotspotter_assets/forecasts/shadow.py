"""The shadow (`shadow` in the city's file): a forecaster that is trained, forecast and scored daily, and never shown.

It runs after everything that serves, and changes none of it. Its failures are sentences in the records, and stop no forecast.
"""

from dataclasses import replace

import numpy as np

from shotspotter_assets.forecasts.issued_forecasts import Forecast, with_shadow_column
from shotspotter_assets.forecasts.serving_record import ForecastWindow, ServingRecord, Shadow
from shotspotter_assets.models import forecaster_registry as registry
from shotspotter_assets.models.forecaster import FitContext, FittedDaily
from shotspotter_assets.models.history import History
from shotspotter_assets.models.trained_models import ModelFiles, files_sha256, read_model_files
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import LIVE_MODEL
from shotspotter_assets.storage.store import Store


def with_shadow(
    record: ServingRecord, files: ModelFiles, history: History, windows: tuple[range, range], context: FitContext
) -> tuple[ServingRecord, ModelFiles]:
    """Train the city's shadow on the days that serving models were trained on; return their record and files with it."""
    city = history.city
    name = city.shadow
    if name is None:
        return record, files
    shadow = Shadow(name=name)
    if name not in registry.members_of(city, record.candidate):
        try:
            chosen = registry.forecaster(name, registry.city_settings(city, name, context.changes.get(name)))
            content = chosen.fit(history, windows[0], windows[1], context).files()
            shadow = Shadow(name=name, files=files_sha256(content))
            files = {**files, f"{name}{record.suffix}": content}
        except Exception as error:  # whatever a forecaster raises, what serves is trained
            shadow = Shadow(name=name, problem=f"The shadow {name} could not be trained: {_in_words(error)}")
    return record.model_copy(update={"shadow": shadow}), files


def forecast_shadow(store: Store, forecast: Forecast, window: ForecastWindow) -> Forecast:
    """Return a forecast with its shadow's probabilities, or with the reason for their absence in its record."""
    record = window.record
    shadow = record.shadow
    if shadow is None or shadow.name != window.city.shadow:
        return forecast
    table = forecast.table
    sentence = shadow.problem
    if not sentence:
        try:
            if shadow.files:
                model = f"{shadow.name}{record.suffix}"
                files = read_model_files(store, LIVE_MODEL, record.city, record.models_from, model, shadow.files)
                fitted = registry.forecaster(shadow.name).load(files)
            else:
                fitted = window.models.next_day[shadow.name]
            table = with_shadow_column(table, shadow.name, _probability(fitted, window))
            sentence = f"{shadow.name} is forecast in the shadow: scored, never shown."
        except Exception as error:  # whatever a forecaster raises, what serves is issued
            sentence = f"The shadow {shadow.name} could not be forecast: {_in_words(error)}"
    return replace(forecast, table=table, record=forecast.record.model_copy(update={"shadow": sentence}))


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _probability(fitted: FittedDaily, window: ForecastWindow) -> Array:
    """Return the probability of the next day in the covered cells, shape (cells,); raise ValueError for other values."""
    (probability,) = fitted.predict(window.history, window.index)
    if probability.shape != (len(window.record.covered),) or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("it must return a probability for each covered cell")
    return np.asarray(probability, np.float64)
