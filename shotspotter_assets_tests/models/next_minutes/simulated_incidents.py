"""Incidents of a known process on a small city: what a fit has to find again."""

from datetime import date

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import CityWideTrigger, FittedMinutes, Trigger

FIRST_DAY = date(2021, 1, 10)
NOT_CITY_WIDE = CityWideTrigger(0.0, 30.0)
TRUTH = FittedMinutes(
    0.9, 0.4, (Trigger(0.12, 6.0, 120.0), Trigger(0.15, 90.0, 500.0)), CityWideTrigger(0.15, 25.0), 1.0, 0, 0.0
)
CITY = City.model_validate(
    {
        "name": "made_up_city",
        "time_zone": "America/New_York",
        "start": FIRST_DAY,
        "box": {"west": -77.05, "south": 38.85, "east": -76.95, "north": 38.93},
        "grid": {"rows": 12, "columns": 12},
        "source": {"kind": "simulated"},
    }
)
COVERED = np.ones(CITY.shape, dtype=bool)
COVERED[:4, :4] = False


def quiet_history(days: int) -> HourlyHistory:
    """Hours without counts: only the clock and the coverage are looked at."""
    return HourlyHistory(CITY, FIRST_DAY, np.zeros((24 * days, 4, int(COVERED.sum())), np.uint16), COVERED)


def even_forecast(history: HourlyHistory, a_day: float) -> np.ndarray:
    """Expected incidents by hour and cell: a few hot cells, and evenings, shape (hours, cells)."""
    place = np.random.default_rng(3).gamma(0.5, 1.0, int(COVERED.sum()))
    evening = np.where(history.clock.hour[: len(history)] >= 18, 3.0, 1 / 3)
    return a_day / 24 * evening[:, None] * place / place.sum()


def simulated(history: HourlyHistory, even: np.ndarray, truth: FittedMinutes = TRUTH, seed: int = 0) -> Incidents:
    """Incidents of the process, generation by generation."""
    random = np.random.default_rng(seed)
    starts = seconds_of(history.starts)
    hour, cell = np.nonzero(counts := random.poisson(truth.background * even))
    repeats = counts[hour, cell]
    hour, cell = np.repeat(hour, repeats), np.repeat(cell, repeats)
    metres_east = 111_320 * np.cos(np.radians((CITY.box.south + CITY.box.north) / 2))
    generation = (starts[hour] + 3600 * random.random(len(hour)), _points_in(cell, metres_east, random))
    everything = [generation]
    while len(generation[0]):
        parents, children = generation, []
        hour_ends = starts[np.searchsorted(starts, parents[0], "right")]
        for trigger in (*truth.triggers, truth.city_wide):
            number = random.poisson(trigger.triggered, len(parents[0]))
            at, points = np.repeat(parents[0], number), np.repeat(parents[1], number, axis=0)
            at = at + random.exponential(60 * trigger.half_life / np.log(2), len(at))
            kept = (at <= np.repeat(hour_ends, number)) | (random.random(len(at)) < truth.known_share)
            kept &= at < starts[len(history)]
            at = at[kept]
            if isinstance(trigger, Trigger):
                points = points[kept] + random.normal(0, trigger.width, (len(at), 2))
            else:
                until = even[np.searchsorted(starts, at, "right") - 1].cumsum(axis=1)
                drawn = (until < random.random((len(at), 1)) * until[:, -1:]).sum(axis=1)
                points = _points_in(drawn, metres_east, random)
            children.append((at, points))
        times, points = (np.concatenate(parts) for parts in zip(*children, strict=True))
        degrees = points / [metres_east, 111_320] + [CITY.box.west, CITY.box.south]
        inside = np.all(
            (degrees > [CITY.box.west, CITY.box.south]) & (degrees < [CITY.box.east, CITY.box.north]), axis=1
        )
        generation = (times[inside], points[inside])
        everything.append(generation)
    times, points = (np.concatenate(parts) for parts in zip(*everything, strict=True))
    return Incidents.of_alerts(
        alerts_at(times, points / [metres_east, 111_320] + [CITY.box.west, CITY.box.south]), CITY
    )


def _points_in(cell: np.ndarray, metres_east: float, random: np.random.Generator) -> np.ndarray:
    """Points anywhere in covered cells, in metres, shape (cells, 2)."""
    row, column = (places[cell] for places in np.nonzero(COVERED))
    corner = np.column_stack([column, row]) + random.random((len(cell), 2))
    box, (rows, columns) = CITY.box, CITY.shape
    return corner / [columns, rows] * [(box.east - box.west) * metres_east, (box.north - box.south) * 111_320]


def alerts_at(seconds: np.ndarray, degrees: np.ndarray) -> pa.Table:
    """Cleaned alerts, as far as they are looked at, each an incident of its own."""
    order = np.argsort(seconds)
    numbers = pa.array(np.arange(len(order)), pa.int64())
    return pa.table(
        {
            "user_id": numbers,
            "incident_id": numbers,
            "time_utc": pa.array((seconds[order] * 1e6).astype(np.int64), pa.timestamp("us", "UTC")),
            "longitude": degrees[order, 0],
            "latitude": degrees[order, 1],
            "gunshot_type": pa.nulls(len(order), pa.int8()),
        }
    )
