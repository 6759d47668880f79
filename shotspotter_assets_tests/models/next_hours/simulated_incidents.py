"""Incidents with repeats on a small city."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.next_hours.incident_points import Incidents, seconds_of
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST_DAY = date(2021, 1, 10)
CITY = made_up_city("made_up_city", (-77.05, 38.85, -76.95, 38.93), (12, 12), start=FIRST_DAY)
COVERED = np.ones(CITY.shape, dtype=bool)
COVERED[:4, :4] = False


def quiet_history(days: int) -> HourlyHistory:
    return HourlyHistory(CITY, FIRST_DAY, np.zeros((24 * days, 4, int(COVERED.sum())), np.uint16), COVERED)


def even_forecast(history: HourlyHistory, a_day: float) -> np.ndarray:
    """Expected incidents by hour and cell: a few hot cells, and evenings, shape (hours, cells)."""
    place = np.random.default_rng(3).gamma(0.5, 1.0, int(COVERED.sum()))
    evening = np.where(history.clock.hour[: len(history)] >= 18, 3.0, 1 / 3)
    return a_day / 24 * evening[:, None] * place / place.sum()


def simulated(history: HourlyHistory, even: np.ndarray, repeats: float = 0.3) -> Incidents:
    """Incidents of the even forecast; each has `repeats` others within some minutes and about 100 m."""
    random = np.random.default_rng(0)
    starts = seconds_of(history.starts)
    counts = random.poisson(even)
    hour, cell = (np.repeat(places, counts[counts > 0]) for places in np.nonzero(counts))
    metres_east = 111_320 * np.cos(np.radians((CITY.box.south + CITY.box.north) / 2))
    times = starts[hour] + 3600 * random.random(len(hour))
    points = _points_in(cell, metres_east, random)
    number = random.poisson(repeats, len(times))
    at = np.repeat(times, number) + random.exponential(300, number.sum())
    near = np.repeat(points, number, axis=0) + random.normal(0, 100, (len(at), 2))
    kept = at < starts[len(history)]
    times = np.concatenate([times, at[kept]])
    points = np.concatenate([points, near[kept]])
    degrees = points / [metres_east, 111_320] + [CITY.box.west, CITY.box.south]
    inside = np.all((degrees > [CITY.box.west, CITY.box.south]) & (degrees < [CITY.box.east, CITY.box.north]), axis=1)
    return Incidents.of_alerts(alerts_at(times[inside], degrees[inside]), CITY)


def _points_in(cell: np.ndarray, metres_east: float, random: np.random.Generator) -> np.ndarray:
    row, column = (places[cell] for places in np.nonzero(COVERED))
    corner = np.column_stack([column, row]) + random.random((len(cell), 2))
    box = CITY.box
    (rows, columns) = CITY.shape
    return corner / [columns, rows] * [(box.east - box.west) * metres_east, (box.north - box.south) * 111_320]


def alerts_at(
    seconds: np.ndarray, degrees: np.ndarray, incident: list[int] | None = None, kind: list[int | None] | None = None
) -> pa.Table:
    """Return alerts in the order of time, by default each with an incident of its own and no type."""
    numbers = np.arange(len(seconds))
    columns = {
        "user_id": pa.array(numbers, pa.int64()),
        "incident_id": pa.array(numbers if incident is None else incident, pa.int64()),
        "time_utc": pa.array((np.sort(seconds) * 1e6).astype(np.int64), pa.timestamp("us", "UTC")),
        "gunshot_type": pa.array(kind or [None] * len(seconds), pa.int8()),
    }
    places = degrees[np.argsort(seconds)].T
    return pa.table(columns | dict(zip(("longitude", "latitude"), places, strict=True)))


NOON = datetime(2021, 2, 3, 17, tzinfo=UTC)  # of the city's clock
CELLS = [(5, 5), (5, 6), (11, 0)]
MIDDLES = np.array([(-77.05 + (column + 0.5) / 120, 38.85 + (row + 0.5) / 150) for row, column in CELLS])


def incidents(*at: tuple[datetime, int]) -> Incidents:
    """Build incidents of instants in the middle of cells, by their place in `CELLS`."""
    seconds = np.array([instant.timestamp() for instant, _ in at])
    return Incidents.of_alerts(alerts_at(seconds, MIDDLES[[cell for _, cell in at]]), CITY)


def joined(earlier: Incidents, later: Incidents) -> Incidents:
    return Incidents(
        np.concatenate([earlier.seconds, later.seconds]),
        np.concatenate([earlier.metres, later.metres]),
        np.concatenate([earlier.places, later.places]),
    )
