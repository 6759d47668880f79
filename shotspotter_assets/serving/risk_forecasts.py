"""From fitted models to the tables of one forecast: risk by horizon and cell, expected alerts by hour, places and why."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit, logit
from scipy.stats import norm

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_starts, hours_of_days, wall_clock
from shotspotter_assets.calendar.weekdays import WEEK_HOURS, hours_of_day, hours_of_week
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.gridding.cells import cell_edges, cell_middles, polygon_feature
from shotspotter_assets.models.alert_counts import FIREWORK_VARIANCE, AlertCounts
from shotspotter_assets.models.forecaster import Array, Fitted
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_day.features import next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import FittedRegimeRegression
from shotspotter_assets.models.next_day.residual_boosting import FittedResidualBoosting
from shotspotter_assets.models.next_hours.next_hours import FittedNextHours
from shotspotter_assets.serving.live_models import CANDIDATE

NEXT_DAY_HORIZON: Final = "day"
CANDIDATE_COLUMN: Final = "candidate"
"""Column of the candidate's probability, whether it is served or not: a baseline in force must not keep it out for ever."""
BASELINE_PREFIX: Final = "baseline_"
LEVEL: Final = 0.8
"""Of all intervals."""
NOON: Final = 12
"""Local hour of the day after the forecast day to which alerts by hour go, for shifts over midnight."""
TOP: Final = 20

TYPE_COLUMNS: Final = tuple(f"type_{code}" for code in GUNSHOT_TYPES)

RISK_SCHEMA: Final = pa.schema(
    [
        pa.field("horizon", pa.string(), nullable=False),
        pa.field("starts_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("hours", pa.int16(), nullable=False),
        pa.field("row", pa.int16(), nullable=False),
        pa.field("column", pa.int16(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("count_low", pa.int32(), nullable=False),
        pa.field("count_high", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64()) for name in TYPE_COLUMNS),
    ]
)
"""`horizon` is "day" or hours such as "4h". `probability` is of at least one alert, `expected` the number of alerts.

`low` to `high` is an 80% interval of the probability itself: how far the weekly level was off on the validation window
(10% and 90% quantiles), and for the next day how far boosting moved from the regression that it starts at; on firework
days also how far their level usually is off. It has no part for what both miss. `count_low` to `count_high` are the 10%
and 90% quantiles of the number of alerts. `type_0` and so on are the probabilities of the types of an alert, given that
there is one; null where the source gives no types.
"""

HOURLY_SCHEMA: Final = pa.schema(
    [
        pa.field("starts_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("row", pa.int16(), nullable=False),
        pa.field("column", pa.int16(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class LoadedModels:
    """What a forecast is made with; `hours` and `types` are None where the city has none."""

    served: str
    next_day: Mapping[str, Fitted]
    counts: AlertCounts
    level: tuple[float, float]
    hours: FittedNextHours | None
    types: GunshotTypes | None


def next_day_table(models: LoadedModels, history: History, mixes: Array | None) -> pa.Table:
    """The next local day after the history, `RISK_SCHEMA` with a column for the candidate and each baseline.

    Args:
        history: to the issue date, and no further.
        mixes: `type_mixes` of its first 24 hours; None where types are not forecast.
    """
    at = len(history.counts)
    day: date = history.days(more=1)[-1].astype(object)
    each = {name: of.predict(history, range(at, at + 1))[0] for name, of in models.next_day.items()}
    probability = each[models.served]
    below, above = _spread(models, history, at)
    fireworks = bool(is_holiday_fireworks(np.array([day], "datetime64[D]"))[0])
    level = level_of_day(models.level, fireworks)
    mix = None
    if mixes is not None:
        mix = np.tensordot(
            profile_of_day(models.hours.profile if models.hours else np.ones(WEEK_HOURS), day), mixes, axes=1
        )
    table = risk_table(
        NEXT_DAY_HORIZON,
        _instants([day], history.city)[0],
        int(hours_of_days([day], history.city.zone)[0]),
        history.covered,
        probability,
        (logit(probability) + level[0] + below, logit(probability) + level[1] + above),
        models.counts,
        fireworks,
        mix,
    )
    named = {CANDIDATE_COLUMN if name == CANDIDATE else f"{BASELINE_PREFIX}{name}": of for name, of in each.items()}
    for name, of in named.items():
        table = table.append_column(name, pa.array(of))
    return table


def level_of_day(level: tuple[float, float], fireworks: bool) -> tuple[float, float]:
    """The interval of a next day's level in log odds, from that of ordinary weeks (`live.level_interval`)."""
    if not fireworks:
        return level
    of_fireworks = float(norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.log1p(FIREWORK_VARIANCE)))
    return -math.hypot(level[0], of_fireworks), math.hypot(level[1], of_fireworks)


def next_hours_table(
    models: LoadedModels, history: HourlyHistory, issue: int, probability: Array, mixes: Array | None
) -> pa.Table:
    """The next hours from hour `issue` on, of all fitted horizons, `RISK_SCHEMA`.

    Args:
        history: hours before `issue`; it may hold later ones, which are not looked at.
        issue: index of the first hour that is forecast.
        probability: as `FittedNextHours.predict_all` gives it, shape (horizons, cells).
        mixes: `type_mixes` from `issue` on; None where types are not forecast.
    """
    if models.hours is None:
        raise ValueError(f"City {history.city.name} has no forecaster of the next hours.")
    clock = history.clock
    tables = []
    for horizon, of_horizon in zip(models.hours.models, probability, strict=True):
        mix = None
        if mixes is not None:
            weights = models.hours.profile[clock.hour_of_week[issue : issue + horizon]]
            mix = np.tensordot(weights / weights.sum(), mixes[:horizon], axes=1)
        tables.append(
            risk_table(
                f"{horizon}h",
                history.starts[issue],
                horizon,
                history.covered,
                of_horizon,
                (logit(of_horizon) + models.level[0], logit(of_horizon) + models.level[1]),
                models.counts,
                bool(clock.fireworks[issue]),
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
    covered: npt.NDArray[np.bool_],
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
    row, column = np.nonzero(covered)
    night = np.full(len(row), fireworks)
    values: list[Any] = [
        pa.repeat(horizon, len(row)),
        pa.array(np.full(len(row), starts.astype("datetime64[us]")), pa.timestamp("us", "UTC")),
        np.full(len(row), hours, np.int16),
        row.astype(np.int16),
        column.astype(np.int16),
        probability,
        counts.expected(probability, night),
        # Rounding must not leave the probability outside.
        np.minimum(expit(interval[0]), probability),
        np.maximum(expit(interval[1]), probability),
        *(counts.quantile(q, probability, night).astype(np.int32) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)),
    ]
    types = [pa.nulls(len(row), pa.float64()) if mix is None else pa.array(mix[:, code]) for code in GUNSHOT_TYPES]
    return pa.table([pa.array(value) for value in values] + types, schema=RISK_SCHEMA)


def profile_of_day(profile: Array, day: date) -> Array:
    """Share of each of 24 local hours in the alerts of the day, shape (24,), by an hour-of-week profile (168,)."""
    hours = profile[day.weekday() * 24 : day.weekday() * 24 + 24]
    return hours / hours.sum()


def hourly_table(next_day: pa.Table, profile: Array, city: City, day: date) -> pa.Table:
    """`HOURLY_SCHEMA`: the day's expected alerts by hour of its local clock, and those to noon of the day after.

    A cell's day is divided by the city's hour-of-week profile. The hours after midnight have the same cells' levels,
    divided alike, as no forecast reaches two days ahead.

    Args:
        next_day: the rows of the next day.
        profile: shape (168,), 0 is Monday 0:00; flat for a city that publishes no hours.
    """
    days = [day, day + timedelta(days=1)]
    lengths = hours_of_days(days, city.zone)
    starts = np.concatenate(
        [
            start + np.arange(hours) * np.timedelta64(1, "h")
            for start, hours in zip(_instants(days, city), lengths, strict=True)
        ]
    )
    wall = wall_clock(starts, city.zone)
    date_of = wall.astype("datetime64[D]")
    kept = (date_of == np.datetime64(day)) | (hours_of_day(wall) < NOON)
    level = profile[hours_of_week(wall)]
    share = (level / level[date_of == np.datetime64(day)].sum())[kept]
    expected, probability = (next_day[name].to_numpy() for name in ("expected", "probability"))
    cells, hours = len(expected), int(kept.sum())
    values = [
        pa.array(np.repeat(starts[kept], cells), pa.timestamp("us", "UTC")),
        pa.array(np.tile(next_day["row"].to_numpy(), hours)),
        pa.array(np.tile(next_day["column"].to_numpy(), hours)),
        pa.array((1 - (1 - probability) ** share[:, None]).ravel()),
        pa.array((expected * share[:, None]).ravel()),
    ]
    return pa.table(values, schema=HOURLY_SCHEMA)


def drivers(linear: FittedRegimeRegression, history: History) -> list[tuple[str, ...]]:
    """For each covered cell, at most two phrases: what lifts the next day's odds there most over the average cell's.

    The regression's contributions, relative to their mean over the cells, are summed over inputs that say the
    same kind of thing, since such inputs share their weights among each other.
    """
    inputs = next_day_inputs(history, [len(history.counts)])
    values = inputs.values[0].astype(np.float64)
    contributions = (values - values.mean(axis=0)) * (linear.weights / linear.scale)
    kinds = [_kind(name) for name in inputs.names]
    names = list(dict.fromkeys(kind for kind in kinds if kind))
    summed = np.stack([contributions[:, [kind == name for kind in kinds]].sum(axis=1) for name in names], axis=1)
    found = []
    for of_cell in summed:
        best = np.argsort(-of_cell)[:2]
        found.append(
            tuple(f"{names[at]} (odds x{np.exp(of_cell[at]):.1f})" for at in best if of_cell[at] > np.log(1.05))
        )
    return found


def top_locations(next_day: pa.Table, why: list[tuple[str, ...]], city: City, number: int = TOP) -> pa.Table:
    """The cells with the highest probability, ranked, with the middle of each and the main drivers."""
    probability = next_day["probability"].to_numpy()
    best = np.argsort(-probability, kind="stable")[:number]
    row, column = (next_day[name].to_numpy()[best].astype(np.int64) for name in ("row", "column"))
    longitude, latitude = cell_middles(city, row, column)
    values = {
        "rank": np.arange(1, len(best) + 1, dtype=np.int32),
        "row": row.astype(np.int16),
        "column": column.astype(np.int16),
        "longitude": np.round(longitude, 6),
        "latitude": np.round(latitude, 6),
        **{name: next_day[name].to_numpy()[best] for name in ("probability", "low", "high", "expected")},
        "why": ["; ".join(why[at]) or "close to the average cell" for at in best],
    }
    return pa.table(values)


def risk_geojson(next_day: pa.Table, city: City) -> bytes:
    """The next day's cells as GeoJSON polygons (RFC 7946) with probability, interval and expected alerts."""
    shown = ("row", "column", "probability", "low", "high", "expected")
    features = [
        polygon_feature(
            cell_edges(city, record["row"], record["column"]),
            {name: round(value, 6) for name, value in record.items()},
        )
        for record in next_day.select(shown).to_pylist()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _spread(models: LoadedModels, history: History, at: int) -> tuple[Array, Array]:
    """How far the regression that boosting starts at lies below and above it, in log odds; zeros for another forecast."""
    boosting = models.next_day[models.served]
    if not isinstance(boosting, FittedResidualBoosting):
        return np.zeros(1), np.zeros(1)
    inputs = next_day_inputs(history, [at])
    off = (boosting.linear.logit(inputs) - boosting.logit(inputs))[0]
    return np.minimum(off, 0), np.maximum(off, 0)


def _instants(days: list[date], city: City) -> npt.NDArray[np.datetime64]:
    return day_starts(days, city.zone)


def _kind(name: str) -> str | None:
    """What an input of `forecasting.inputs` says, for people; None where it is the same for all cells."""
    if name.startswith("log_occupied_"):
        _, _, half_life, _, width, _ = name.split("_")
        recent = float(half_life) <= 30
        if float(width) == 0:
            return "alerts here in recent weeks" if recent else "alerts here over the years"
        return "alerts nearby in recent weeks" if recent else "alerts nearby over the years"
    if name.startswith("log_shrunk_"):
        recent = float(name.split("_")[3]) <= 30
        return "alerts here in recent weeks" if recent else "alerts here over the years"
    if name.startswith("log_nearby_"):
        *layer, half_life, _ = name.removeprefix("log_nearby_").split("_")
        return f"{' '.join(layer)} nearby " + ("in recent weeks" if float(half_life) <= 30 else "over the years")
    phrases = {
        "log_alerts_7_": "alerts here in recent weeks",
        "log_alerts_": "alerts here over the years",
        "yesterday_": "alerts yesterday here or nearby",
        "late_yesterday_": "alerts yesterday here or nearby",
        "log_days_since_last_alert": "the last alert was not long ago",
        "log_same_kind_of_day": "busy on this kind of day",
    }
    return next((phrase for start, phrase in phrases.items() if name.startswith(start)), None)
