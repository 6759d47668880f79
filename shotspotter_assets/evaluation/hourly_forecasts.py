"""Forecasts of a fold's test hours and of the types of its alerts, as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, GUNSHOT_TYPES
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.score_rows import TRAILING_MIX
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import FitContext, Fitted
from shotspotter_assets.models.forecaster_registry import NEXT_HOURS, forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes, trailing_mix, typed_alerts
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.records import FoldRecord
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.storage.catalogue import FOLD_HOURS, FOLD_TYPES
from shotspotter_assets.storage.stored_file import StoredFile


def hour_forecasts(
    history: HourlyHistory, train: range, validation: range, test: range, horizons: Sequence[int]
) -> pa.Table:
    """Return forecasts of the next hours, in successive blocks of each horizon (hours), as a forecasts table."""
    by_horizon: dict[int, dict[str, Fitted]] = {horizon: {} for horizon in horizons}
    for name in NEXT_HOURS:
        if any(name not in fitted for fitted in by_horizon.values()):
            models = forecaster(name).fit(history, train, validation, FitContext(horizons=horizons)).models
            for horizon, model in models.items():
                by_horizon[horizon] |= {name: model} | (model.members if isinstance(model, FittedStack) else {})
    tables = []
    for horizon, fitted in by_horizon.items():
        issues = history.issues(test, horizon)
        probability = {name: model.predict(history, issues).astype(np.float32) for name, model in fitted.items()}
        dates, hours = history.clock.day[issues], history.clock.hour[issues]
        cells, observed = np.nonzero(history.in_coverage), history.occupied_within(horizon)[issues]
        tables.append(forecasts_table(dates, cells, observed, probability, hours=hours, horizon=horizon))
    return pa.concat_tables(tables, promote_options="default")


def type_forecasts(history: HourlyHistory, train: range, validation: range, test: range) -> pa.Table:
    """Return type probabilities of the typed test alerts (`catalogue.FOLD_TYPES`), issued at the start of their local day."""
    alerts = typed_alerts(history).within(test)
    issues = history.day_beginnings(alerts.hour)
    model = GunshotTypes.fit(history, train, validation)
    forecasts = {
        model.name: model.predict(history, issues, alerts.hour, alerts.cell),
        TRAILING_MIX: trailing_mix(history, issues),
    }
    row, column = np.nonzero(history.in_coverage)
    when, where = (
        (history.clock.day[alerts.hour], history.clock.hour[alerts.hour]),
        (row[alerts.cell], column[alerts.cell]),
    )
    values = zip(FOLD_TYPES.schema, (*when, *where, alerts.gunshot_type), strict=True)
    columns = {field.name: pa.array(value, field.type) for field, value in values}
    columns |= {f"{name}_{code}": pa.array(p[:, code]) for name, p in forecasts.items() for code in range(p.shape[1])}
    table = pa.table(columns)
    return table.take(pa.array(np.repeat(np.arange(len(table)), alerts.number)))


def fold_tables(stored: CityHistory, record: FoldRecord, horizons: Sequence[int], types: bool) -> dict[StoredFile, Any]:
    """Return the tables of a fold's next hours, by `horizons` in hours, and types, if the city's data allow them.

    `stored` are all days to the last test day.
    """
    city, tables = stored.city, dict[StoredFile, Any]()
    types = types and city.forecast_codes == tuple(range(FIRST_EVENT_CODE))
    if city.time_precision == "day" or not (horizons or types):
        return {}
    history = stored.hourly(covered_mask(record.covered, city.shape))
    validation, test = (history.hour_at(day_start(day, city.zone)) for day in (record.validation_first, record.cutoff))
    windows = range(validation), range(validation, test), range(test, len(history))
    if horizons:
        tables[FOLD_HOURS] = hour_forecasts(history, *windows, horizons)
    if types and history.counts[validation:, : len(GUNSHOT_TYPES)].any():
        tables[FOLD_TYPES] = type_forecasts(history, *windows)
    return tables
