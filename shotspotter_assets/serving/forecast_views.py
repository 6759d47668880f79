"""Views of a next-day forecast: alerts by hour, the top places with reasons, and GeoJSON."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.dates import hours_of_day, hours_of_week
from shotspotter_assets.calendar.local_time import day_starts, hours_of_days, wall_clock
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_edges, cell_middles, polygon_feature

Array = npt.NDArray[np.float64]

NOON: Final = 12
"""Local hour of the day after the forecast day to which alerts by hour go, for shifts over midnight."""
MAX_PLACES: Final = 20

HOURLY_SCHEMA: Final = pa.schema(
    [
        pa.field("starts_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("row", pa.int16(), nullable=False),
        pa.field("column", pa.int16(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
    ]
)


def hourly_table(next_day: pa.Table, profile: Array, city: City, day: date) -> pa.Table:
    """`HOURLY_SCHEMA`: the day's expected alerts by hour of its local clock, and those to noon of the day after.

    A cell's day is divided by the city's hour-of-week profile, so that its 24 hours add up to the day. No forecast reaches two
    days ahead: the hours after the next midnight have the day's level and the profile of their own weekday.

    Args:
        next_day: the rows of the next day.
        profile: shape (168,), 0 is Monday 0:00; flat for a city that publishes no hours.
    """
    days = [day, day + timedelta(days=1)]
    starts = np.concatenate(
        [
            start + np.arange(hours) * np.timedelta64(1, "h")
            for start, hours in zip(day_starts(days, city.zone), hours_of_days(days, city.zone), strict=True)
        ]
    )
    wall = wall_clock(starts, city.zone)
    is_forecast_day = wall.astype("datetime64[D]") == np.datetime64(day)
    kept = is_forecast_day | (hours_of_day(wall) < NOON)
    rate = profile[hours_of_week(wall)]
    share = (rate / rate[is_forecast_day].sum())[kept]
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


def top_locations(
    next_day: pa.Table, drivers: Sequence[Sequence[str]] | None, city: City, number: int = MAX_PLACES
) -> pa.Table:
    """The cells with the highest probability, ranked, with the middle of each and its main drivers.

    Args:
        drivers: of each cell; None if the model gives none.
    """
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
        "why": [_why(drivers, at) for at in best],
    }
    return pa.table(values)


def _why(drivers: Sequence[Sequence[str]] | None, cell: int) -> str:
    if drivers is None:
        return "the model gives no reasons"
    return "; ".join(drivers[cell]) or "close to the average cell"


def risk_geojson(next_day: pa.Table, city: City) -> bytes:
    """The next day's cells as GeoJSON polygons (RFC 7946) with probability, interval and expected alerts."""
    shown = ("row", "column", "probability", "low", "high", "expected")
    features = [
        polygon_feature(
            cell_edges(city, cell["row"], cell["column"]), {name: round(value, 6) for name, value in cell.items()}
        )
        for cell in next_day.select(shown).to_pylist()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()
