"""Forecasts of a fold's test hours, and of the types of its test alerts, as tables."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.fold_window import FoldWindow
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.minute_forecasts import minute_forecasts
from shotspotter_assets.models.forecaster import HORIZONS, FittedDaily, FittedHourly, FittedHours
from shotspotter_assets.models.gunshot_types import TYPE_REGRESSION, GunshotTypes, TypedAlerts, type_mixes, typed_alerts
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.incident_points import Incidents
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import FOLD_HOURS, FOLD_MINUTES, FOLD_TYPES
from shotspotter_assets.storage.stored_file import StoredFile


def hour_forecasts(
    history: HourlyHistory, hourly: Mapping[str, FittedHourly], test: range, horizons: Sequence[int], apart: int = 1
) -> pa.Table:
    """Return forecasts of hours in blocks of each horizon, members' too; raise ValueError for another horizon.

    Forecasts of a horizon start at least `apart` hours apart, each day one block later, so that each hour has its share.
    """
    if bad := set(horizons) - set(HORIZONS):
        raise ValueError(f"The next hours are forecast for horizons of {HORIZONS} hours, not {sorted(bad)}.")
    tables = []
    for horizon in horizons:
        fitted: dict[str, FittedHours] = {}
        for name, by_horizon in hourly.items():
            model = by_horizon.models[horizon]
            fitted |= {name: model} | (model.members if isinstance(model, FittedStack) else {})
        issues = _apart(history, history.issues(test, horizon), horizon, apart)
        tables.append(
            forecasts_table(
                history.clock.day[issues],
                np.nonzero(history.in_coverage),
                history.occupied_within(horizon)[issues],
                {name: model.predict(history, issues).astype(np.float32) for name, model in fitted.items()},
                hours=history.clock.hour[issues],
                horizon=horizon,
            )
        )
    return pa.concat_tables(tables, promote_options="default")


def _apart(history: HourlyHistory, issues: Integers, horizon: int, apart: int) -> Integers:
    """Return the hours of issue that start at least `apart` hours apart, each day one block of the horizon later."""
    turns = max(apart // horizon, 1)
    turn = history.clock.day[issues].astype(np.int64) % turns
    return issues[history.clock.hour[issues] // horizon % turns == turn]


def type_forecasts(
    types: GunshotTypes,
    next_day: Mapping[str, FittedDaily],
    history: HourlyHistory,
    daily: History,
    hours: range,
    *,
    validation: bool = False,
) -> pa.Table:
    """Return forecasts of some hours' types, issued before their day; with `validation`, by the fit on training hours."""
    alerts = typed_alerts(history).within(hours)
    rows = alerts.forecast_rows(history)
    mixes = dict(type_mixes(types, next_day, history, daily, rows))
    if validation:
        mixes[TYPE_REGRESSION] = lambda: types.validation_mix
    return types_table(history, alerts, {name: mix() for name, mix in mixes.items()})


def types_table(history: HourlyHistory, alerts: TypedAlerts, mixes: Mapping[str, Array]) -> pa.Table:
    """Return type probabilities of alerts, each of shape (rows, types), as a table of `catalogue.FOLD_TYPES`."""
    row, column = np.nonzero(history.in_coverage)
    values = [
        history.clock.day[alerts.hour],
        history.clock.hour[alerts.hour],
        row[alerts.cell],
        column[alerts.cell],
        alerts.gunshot_type,
    ]
    fields = zip(FOLD_TYPES.schema, values, strict=True)
    table = pa.table({field.name: pa.array(value, field.type) for field, value in fields})
    for name, mix in mixes.items():
        for code in range(mix.shape[1]):
            table = table.append_column(f"{name}_{code}", pa.array(mix[:, code]))
    return table.take(pa.array(np.repeat(np.arange(len(table)), alerts.number)))


def fold_tables(
    window: FoldWindow,
    models: TrainedModels,
    horizons: Sequence[int],
    types: bool,
    apart: int = 1,
    incidents: Incidents | None = None,
) -> dict[StoredFile, pa.Table | bytes]:
    """Return a fold's tables of next hours, see `hour_forecasts`, of minutes and of types, by stored file.

    Absent models have no table, and none has one for a window without hours. With `incidents` of the window's days, the
    next minutes are forecast too where the city's data suffice.
    """
    tables: dict[StoredFile, pa.Table | bytes] = {}
    history = window.hourly
    if history is None:
        return tables
    test = range(history.hour_at(day_start(window.record.cutoff, history.city.zone)), len(history))
    if horizons and models.hourly:
        tables[FOLD_HOURS] = hour_forecasts(history, models.hourly, test, horizons, apart)
    if horizons and models.hours and incidents is not None:
        with suppress(HourlyHistoryError):
            tables[FOLD_MINUTES] = minute_forecasts(history, models.hours, incidents, window.record.cutoff, apart)
    if types and models.types:
        tables[FOLD_TYPES] = type_forecasts(models.types, models.next_day, history, window.history, test)
    return tables
