"""The tables of a forecast: risk by horizon and cell with intervals and types."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit, logit

from shotspotter_assets.calendar.dates import DAY_HOURS, is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_starts, hours_of_days
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.cleaning.day_settings import GRID, grid_settings
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_day.new_city import FittedNewCity
from shotspotter_assets.models.next_hours.features import fireworks_ahead
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets.serving.columns import RISK_COLUMNS
from shotspotter_assets.serving.intervals import ENDS, day_offset
from shotspotter_assets.serving.record import ServingModels, ServingRecord
from shotspotter_assets.storage.arrow_schema import arrow_schema

Array = npt.NDArray[np.float64]

NEXT_DAY_HORIZON: Final = "day"

CANDIDATE_COLUMN: Final = "candidate"
"""The column of the candidate's probability, whether it serves or not, so that its scores go on."""

BASELINE_PREFIX: Final = "baseline_"

LEAD_KEY: Final = b"lead"
"""Key of the schema's metadata of a forecast whose lead is more than a day."""

REPLAYED_KEY: Final = b"replayed"
"""Key of the schema's metadata of a forecast that was made after its day."""

TYPE_COLUMNS: Final = tuple(f"type_{code}" for code in GUNSHOT_TYPES)

RISK_SCHEMA: Final = arrow_schema(RISK_COLUMNS, required=set(RISK_COLUMNS) - set(TYPE_COLUMNS))
"""The interval is one of the probability itself (`INTERVAL`); types are those of an alert, given that there is one."""


def next_day_table(record: ServingRecord, models: ServingModels, history: History, mixes: Array | None) -> pa.Table:
    """The day that is forecast from the history, `RISK_SCHEMA` with a column for the candidate and each baseline.

    Args:
        history: to the last known day, and no further.
        mixes: `type_mixes` of its first 24 hours; None where types are not forecast.
    """
    at = history.next_day
    day: date = history.days_to_forecast()[-1].astype(object)
    shown = (record.served, record.candidate, *BASELINES)
    by_model = {
        name: model.predict(history, range(at, at + 1))[0] for name, model in models.next_day.items() if name in shown
    }
    probability, served = by_model[record.served], models.next_day[record.served]
    fireworks = bool(is_holiday_fireworks(np.array([day], "datetime64[D]"))[0])
    low, high = day_offset(record.level, fireworks)
    # Only the rates of a new city have an uncertainty of their own in each cell.
    no_spread = np.zeros(1), np.zeros(1)
    below, above = served.spread(history, at) if isinstance(served, FittedNewCity) else no_spread
    mix = None if mixes is None else np.tensordot(profile_of_day(models.profile, day), mixes, axes=1)
    table = risk_table(
        NEXT_DAY_HORIZON,
        day_starts([day], history.city.zone)[0],
        int(hours_of_days([day], history.city.zone)[0]),
        history.in_coverage,
        probability,
        (logit(probability) + low + below, logit(probability) + high + above),
        models.counts,
        fireworks,
        mix,
    )
    for name, values in by_model.items():
        column = CANDIDATE_COLUMN if name == record.candidate else f"{BASELINE_PREFIX}{name}"
        table = table.append_column(column, pa.array(values))
    return table


def next_hours_table(
    record: ServingRecord,
    models: ServingModels,
    history: HourlyHistory,
    issue: int,
    probability: Array,
    mixes: Array | None,
) -> pa.Table:
    """The next hours from hour `issue` on, of all fitted horizons, `RISK_SCHEMA`.

    Args:
        history: hours before `issue`; later ones are not used.
        issue: index of the first hour that is forecast.
        probability: as `next_hours.forecaster.predict_all` gives it, shape (horizons, cells).
        mixes: `type_mixes` from `issue` on; None where types are not forecast.
    """
    assert models.hours is not None
    low, high = record.level
    tables = []
    for horizon, horizon_probability in zip(models.hours.models, probability, strict=True):
        mix = None
        if mixes is not None:
            weights = models.hours.profile[history.clock.hour_of_week[issue : issue + horizon]]
            mix = np.tensordot(weights / weights.sum(), mixes[:horizon], axes=1)
        log_odds = logit(horizon_probability)
        tables.append(
            risk_table(
                f"{horizon}h",
                history.starts[issue],
                horizon,
                history.in_coverage,
                horizon_probability,
                (log_odds + low, log_odds + high),
                models.hours.models[horizon].counts,
                bool(fireworks_ahead(history, horizon)[issue]),
                mix,
            )
        )
    return pa.concat_tables(tables)


def type_mixes(types: GunshotTypes | None, history: HourlyHistory, issue: int, hours: int) -> Array | None:
    """Type probabilities of an alert in each of the hours from `issue` on and each cell, shape (hours, cells, types).

    None without a forecaster. `issue` is at most `len(history)`; of it and later hours nothing is used.
    """
    if types is None:
        return None
    cells = history.alerts.shape[1]
    hour, cell = np.repeat(issue + np.arange(hours), cells), np.tile(np.arange(cells), hours)
    return types.predict(history, np.full(len(hour), issue), hour, cell).reshape(hours, cells, -1)


def risk_table(
    horizon: str,
    starts: np.datetime64,
    hours: int,
    in_coverage: npt.NDArray[np.bool_],
    probability: Array,
    interval: tuple[Array, Array],
    counts: AlertCounts,
    fireworks: bool,
    mix: Array | None,
) -> pa.Table:
    """One horizon as `RISK_SCHEMA`.

    Args:
        interval: log odds of low and high, each (cells,).
        mix: probabilities of the types, shape (cells, types).
    """
    row, column = np.nonzero(in_coverage)
    is_firework = np.full(len(row), fireworks)
    values: list[Any] = [
        pa.repeat(horizon, len(row)),
        pa.array(np.full(len(row), starts.astype("datetime64[us]")), pa.timestamp("us", "UTC")),
        np.full(len(row), hours, np.int16),
        row.astype(np.int16),
        column.astype(np.int16),
        probability,
        counts.expected(probability, is_firework),
        # Rounding must not leave the probability outside.
        np.minimum(expit(interval[0]), probability),
        np.maximum(expit(interval[1]), probability),
        *(counts.quantile(end, probability, is_firework).astype(np.int32) for end in ENDS),
    ]
    types = [pa.nulls(len(row), pa.float64()) if mix is None else pa.array(mix[:, code]) for code in GUNSHOT_TYPES]
    return pa.table([pa.array(value) for value in values] + types, schema=RISK_SCHEMA)


def next_day_rows(forecast: pa.Table) -> pa.Table:
    """The rows of the next day of a stored forecast."""
    return forecast.filter(pc.equal(forecast["horizon"], NEXT_DAY_HORIZON))


def lead_of(forecast: pa.Table) -> int:
    """Days from the last day that a stored forecast used to the day that it is for."""
    return int((forecast.schema.metadata or {}).get(LEAD_KEY, 1))


def is_of_grid(forecast: pa.Table, city: City) -> bool:
    """Whether a stored forecast is of the city's present box, cells and counts."""
    stored = (forecast.schema.metadata or {}).get(GRID.encode(), b"{}")
    return bool(json.loads(stored) == json.loads(grid_settings(city)))


def is_replayed(forecast: pa.Table) -> bool:
    """Whether a stored forecast was made after its day."""
    return REPLAYED_KEY in (forecast.schema.metadata or {})


def at_lead(forecasts: Mapping[date, pa.Table], lead: int) -> dict[date, pa.Table]:
    """The forecasts that were issued at a lead."""
    return {day: table for day, table in forecasts.items() if lead_of(table) == lead}


def profile_of_day(profile: Array, day: date) -> Array:
    """Share of each of 24 local hours in the alerts of the day, shape (24,), by an hour-of-week profile (168,)."""
    first = day.weekday() * DAY_HOURS
    hours = profile[first : first + DAY_HOURS]
    return hours / hours.sum()
