"""A small made-up city by the hour: hot spots, evenings, near repeats, types that differ by place."""

from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.grid.tensors import grid_schema
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST_DAY = date(2021, 1, 1)
COVERED = np.ones((6, 6), dtype=bool)
COVERED[0, :3] = False
TRAIN = range(260 * 24)
VALIDATION = range(260 * 24, 320 * 24)
TEST = range(320 * 24, 360 * 24)


def city(**changed: object) -> City:
    return made_up_city("made_up_city", (-77.0, 38.0, -76.0, 39.0), (6, 6), start=FIRST_DAY, **changed)


def counts(days: int = 360, seed: int = 0, repeats: float = 0.15) -> np.ndarray:
    """Shape (hours, 4, 6, 6); half of all alerts fall into a quarter of the day, and each may be followed by another."""
    return _drawn(days, seed, repeats).copy()


@cache
def _drawn(days: int, seed: int, repeats: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    place = random.gamma(0.5, 0.03, (6, 6)) * COVERED
    mix = np.stack([np.linspace(0.1, 0.7, 36), np.linspace(0.7, 0.1, 36), np.full(36, 0.1), np.full(36, 0.1)])
    evening = np.where(np.arange(days * 24) % 24 >= 18, 3.0, 1 / 3)
    total = random.poisson(place * evening[:, None, None])
    for hour in range(1, len(total)):
        total[hour] += random.binomial(total[hour - 1], repeats)
    return random.multinomial(total, mix.T.reshape(6, 6, 4)).transpose(0, 3, 1, 2).astype(np.uint16)


def of_counts(on_grid: np.ndarray, **changed: object) -> HourlyHistory:
    return HourlyHistory(city(**changed), FIRST_DAY, on_grid[:, :, COVERED], COVERED)


def history(hours: int | None = None, **changed: object) -> HourlyHistory:
    return of_counts(counts()[:hours], **changed)


def quiet(first_day: date, hours: int) -> HourlyHistory:
    return HourlyHistory(city(), first_day, np.zeros((hours, 4, COVERED.sum()), np.uint16), COVERED)


def stored(on_grid: np.ndarray, **changed: object) -> CityHistory:
    """Return the days of `counts`, as they come from the store."""
    days = len(on_grid) // 24
    at, *index = np.nonzero(on_grid.reshape(days, 24, *on_grid.shape[1:]))
    schema = grid_schema(24, city(**changed))
    values = [*index, on_grid[on_grid > 0]]
    frames = pa.table([pa.array(value, field.type) for value, field in zip(values, schema, strict=True)], schema=schema)
    dates = pa.array(np.datetime64(FIRST_DAY) + at, pa.date32())
    last = FIRST_DAY + timedelta(days=days - 1)
    return CityHistory(city(**changed), days_between(FIRST_DAY, last), frames.add_column(0, "date", dates))
