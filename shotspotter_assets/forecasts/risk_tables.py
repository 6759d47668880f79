"""Tables of a forecast: risk by horizon and cell, by hour, the top locations, and GeoJSON."""

import json
import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit
from scipy.stats import norm

from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.forecasts.issued_forecasts import CANDIDATE_COLUMN, MODEL_PREFIX, NEXT_DAY_HORIZON
from shotspotter_assets.forecasts.serving_record import ForecastWindow, ServingRecord
from shotspotter_assets.grid import dates
from shotspotter_assets.grid.cells import cell_edges, cell_middles
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.models.alert_counts import ENDS, FIREWORK_VARIANCE, CountDistribution
from shotspotter_assets.models.forecaster_registry import BASELINES, NETWORK
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.next_day.new_city import FittedNewCity
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.arrays import Array, Booleans
from shotspotter_assets.storage.catalogue import FORECAST, HOURLY, TOP_LOCATIONS

TYPE_COLUMNS: Final = tuple(f"type_{code}" for code in GUNSHOT_TYPES)
NOON: Final = 12  # local hour of the day after the forecast date at which hourly alerts end, for shifts over midnight
MAX_LOCATIONS: Final = 20


def next_day_table(window: ForecastWindow) -> pa.Table:
    """Forecast the day of a window (`catalogue.FORECAST`), by what serves, candidate, network and baselines."""
    record = window.record
    models = window.models
    names = {record.served, record.candidate, NETWORK, *BASELINES}
    by_model = {
        name: model.predict(window.history, window.index)[0] for name, model in models.next_day.items() if name in names
    }
    log_m = models.counts.log_m(window.history, window.index)[0]
    # The interval of the next day in log odds, low and high, shape (2, cells) or (2, 1).
    offset = np.array(day_offset(record.weekly_offset, window.is_firework_day))[:, None]
    served = models.next_day[record.served]
    if isinstance(served, FittedNewCity):  # only the rates of a new city have an uncertainty of their own in each cell
        offset = offset + served.spread(window.history, window.history.next_day)
    first_hour = window.date.weekday() * dates.DAY_HOURS
    zone = window.city.zone
    table = risk_table(
        NEXT_DAY_HORIZON,
        (dates.day_starts([window.date], zone)[0], int(dates.hours_of_days([window.date], zone)[0])),
        window.history.in_coverage,
        offset,
        models.counts.distribution(by_model[record.served], np.array(window.is_firework_day), log_m),
        models.profile[first_hour : first_hour + dates.DAY_HOURS],
        window.mixes,
    )
    for name, values in by_model.items():
        column = CANDIDATE_COLUMN if name == record.candidate else f"{MODEL_PREFIX}{name}"
        table = table.append_column(column, pa.array(values))
    return table


def day_offset(weekly: tuple[float, float], fireworks: bool) -> tuple[float, float]:
    """Return the interval of the next day's offset in log odds; `weekly` is that of weeks (`weekly_offset`)."""
    if not fireworks:
        return weekly
    fireworks_offset = float(norm.ppf(ENDS[1]) * np.sqrt(np.log1p(FIREWORK_VARIANCE)))
    return -math.hypot(weekly[0], fireworks_offset), math.hypot(weekly[1], fireworks_offset)


def next_hours_table(
    record: ServingRecord,
    models: TrainedModels,
    history: HourlyHistory,
    first_hour: int,
    probability: Array,
    mixes: Array | None,
) -> pa.Table:
    """Return the next hours of all fitted horizons (`catalogue.NOWCAST_HOURS`).

    `first_hour` is the index of the first forecast hour; later hours of the history are not used. `probability` is from
    `predict_all` or `first_hours`, shape (horizons, cells); `mixes` are the `shown_mixes` from `first_hour` on, None without types.
    """
    assert models.hours is not None
    return pa.concat_tables(
        risk_table(
            f"{horizon}h",
            (history.starts[first_hour], horizon),
            history.in_coverage,
            np.array(record.weekly_offset)[:, None],
            models.hours.models[horizon].counts.distribution(of_horizon, fireworks_ahead(history, horizon)[first_hour]),
            models.profile[history.clock.hour_of_week[first_hour : first_hour + horizon]],
            mixes,
        )
        for horizon, of_horizon in zip(models.hours.models, probability, strict=True)
    )


def first_hours(models: TrainedModels, history: HourlyHistory, first_hour: int, next_day: pa.Table) -> Array:
    """Return the probability in a day's first hours, shape (horizons, cells), from the day's by the profile of the week.

    `first_hour` is the first hour of the day in the clock of `history`, which may end days before.
    """
    assert models.hours is not None
    level = models.profile[history.clock.hour_of_week[first_hour : first_hour + next_day["hours"][0].as_py()]]
    shares = (level.cumsum() / level.sum())[np.array(list(models.hours.models)) - 1]
    return CountDistribution.of_forecast(next_day).probability_of(shares[:, None])


def risk_table(
    horizon: str,
    period: tuple[np.datetime64, int],
    in_coverage: Booleans,
    offset: Array,
    counts: CountDistribution,
    profile: Array,
    mixes: Array | None,
) -> pa.Table:
    """Return the rows of one horizon (`catalogue.FORECAST`).

    `period` is (start in UTC, hours). `offset` is the interval in log odds, low and high, shape (2, cells) or (2, 1).
    `mixes` are the types' probabilities of the first hours, (hours, cells, types), `profile` the weights of these hours.
    """
    row, column = np.nonzero(in_coverage)
    probability = counts.probability
    low, high = expit(logit(probability) + offset)
    values = {
        "horizon": np.repeat(horizon, len(row)),
        "starts_utc": np.repeat(period[0].astype("datetime64[us]"), len(row)),
        "hours": np.repeat(period[1], len(row)),
        "row": row,
        "column": column,
        "probability": probability,
        "expected": counts.expected,
        "size": counts.size,
        # Rounding must not leave the probability outside.
        "low": np.minimum(low, probability),
        "high": np.maximum(high, probability),
        **dict.fromkeys(TYPE_COLUMNS, pa.nulls(len(row), pa.float64())),
    }
    if mixes is not None:
        mix = np.tensordot(profile / profile.sum(), mixes[: len(profile)], axes=1)
        values |= dict(zip(TYPE_COLUMNS, mix.T, strict=True))
    return pa.table(values, schema=FORECAST.schema)


def hourly_table(next_day: pa.Table, profile: Array, zone: ZoneInfo, forecast_date: date) -> pa.Table:
    """Return expected alerts by hour of the forecast date, and to noon of the day after (`catalogue.HOURLY`).

    `profile` has shape (168,), from Monday 0:00 on. It divides a cell's day, so that the 24 hours add up to the day. Hours
    after the next midnight have the day's level, because no forecast reaches two days ahead, and the profile of their own weekday.
    """
    days = [forecast_date, forecast_date + timedelta(days=1)]
    number = dates.hours_of_days(days, zone).sum()
    starts = dates.day_starts(days, zone)[0] + np.arange(number) * np.timedelta64(1, "h")
    wall = dates.wall_clock(starts, zone)
    is_forecast_day = wall.astype("datetime64[D]") == np.datetime64(forecast_date)
    is_before_noon = is_forecast_day | (dates.hours_of_day(wall) < NOON)
    rate = profile[dates.hours_of_week(wall)]
    share = (rate / rate[is_forecast_day].sum())[is_before_noon]
    day = CountDistribution.of_forecast(next_day)
    values = {
        "starts_utc": np.repeat(starts[is_before_noon], len(next_day)),
        "row": np.tile(next_day["row"].to_numpy(), len(share)),
        "column": np.tile(next_day["column"].to_numpy(), len(share)),
        "probability": day.probability_of(share[:, None]).ravel(),
        "expected": (share[:, None] * day.expected).ravel(),
    }
    return pa.table(values, schema=HOURLY.schema)


def top_locations(next_day: pa.Table, drivers: Sequence[Sequence[str]] | None, city: City) -> pa.Table:
    """Return the `MAX_LOCATIONS` cells with the highest probability, ranked, with middles and main drivers."""
    probability = next_day["probability"].to_numpy()
    best = np.argsort(-probability, kind="stable")[:MAX_LOCATIONS]
    row, column = (next_day[name].to_numpy()[best].astype(np.int64) for name in ("row", "column"))
    longitude, latitude = cell_middles(city, row, column)
    values = {
        "rank": np.arange(1, len(best) + 1, dtype=np.int32),
        "row": row.astype(np.int16),
        "column": column.astype(np.int16),
        "longitude": np.round(longitude, 6),
        "latitude": np.round(latitude, 6),
        **{name: next_day[name].to_numpy()[best] for name in ("probability", "low", "high", "expected")},
        "why": [
            "the model gives no reasons"
            if drivers is None
            else "; ".join(drivers[cell]) or "no single reason stands out"
            for cell in best
        ],
    }
    return pa.table(values, schema=TOP_LOCATIONS.schema)


def risk_geojson(next_day: pa.Table, city: City) -> bytes:
    """Return the next day's cells as GeoJSON polygons (RFC 7946) with probability, interval and expected alerts."""
    cells = next_day.select(["row", "column", "probability", "low", "high", "expected"]).to_pylist()
    features = [
        polygon_feature(
            cell_edges(city, cell["row"], cell["column"]), {name: round(value, 6) for name, value in cell.items()}
        )
        for cell in cells
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()
