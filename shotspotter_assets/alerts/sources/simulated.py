"""The embedded simulated city: alerts of a self-exciting point process (Hawkes and Oakes 1974).

First alerts are drawn from `background`, and every alert has offspring. Points outside the box or without sensors are no
alerts and have no offspring, so that the alerts alone are the whole history:

    intensity(t, x) = sensor(x) * (background(t, x) + OFFSPRING * sum over earlier alerts lag(t - ti) step(x - xi))
"""

from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr, ndtri

from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.alerts.sources.alert_source import AlertSource
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA, SIMULATED
from shotspotter_assets.alerts.sources.simulated_background import (
    DAY_STREAM,
    FIREWORKS,
    HOUR,
    MICROSECONDS_PER_SECOND,
    Background,
    Beginnings,
    Day,
)
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.grid.cells import cell_metres, grid_degrees
from shotspotter_assets.storage.arrays import Array, Integers

OFFSPRING = 0.35  # expected offspring of an alert, including those outside the sensors' reach
MEAN_LAG = 6 * HOUR  # mean of the exponential lag before the cut at `MAX_LAG`
MAX_LAG = 48 * HOUR
SPREAD_METRES = 200.0  # standard deviation of the way to offspring along each axis, before the cut
MAX_SPREAD = 3.0  # cut of that way, in standard deviations
LAG_DAYS = timedelta(days=2)
LAG_REACH = -np.expm1(-MAX_LAG / MEAN_LAG)
SPREAD_REACH = 1 - 2 * ndtr(-MAX_SPREAD)
POINTS_PER_SPREAD = 100  # places of parents along `SPREAD_METRES` over which shares are averaged
SAME_DAY_GENERATIONS = 2  # generations of a day's alerts that `true_risk` follows
GENERATIONS = 8  # generations of offspring; further ones have fewer than one alert in ten thousand
CLUSTER_REACH = timedelta(days=GENERATIONS * MAX_LAG // (24 * HOUR) + 1)  # reach of a first alert
TYPES = ("Single_Gunshot", "Multiple_Gunshots", "Gunshot_or_Firecracker", None)
SINGLE = 0
MULTIPLE = 1
ORDINARY_TYPES = (0.32, 0.53, 0.12, 0.03)
FIREWORKS_TYPES = (0.12, 0.20, 0.65, 0.03)  # share of each type among first alerts of fireworks, and above among others
TYPE_KEPT = 0.5  # probability that an alert has its parent's type, not a first alert's
FEW_ROUNDS = 0.22  # parameter of the geometric number of rounds beyond one (mean 5.5)
Alerts = np.recarray
ALERT = np.dtype([("time", np.int64), ("row", float), ("column", float), ("kind", np.int64), ("rounds", np.int64)])
"""One alert. Times are microseconds since 1970 UTC, rows and columns fractional cells from the box's south and west edge,
kinds indexes into `TYPES`; unknown rounds are 0."""


class SimulatedSource(AlertSource):
    """Alerts drawn from a simulation, whose shooting starts before `site.start`; a day is equal in every range."""

    address = SIMULATED

    def __init__(self, site: Site, seed: int, alerts_per_day: float) -> None:
        self._site = site
        self._seed = seed
        self._background = Background(site, seed)
        # An alert brings 1 / (1 - offspring) alerts in all; offspring beyond the sensors' reach do not count.
        usual = (self._background.weights @ self._background.surfaces).reshape(site.grid.shape)
        self._between = tuple(map(_between_cells, site.grid.shape, cell_metres(site)))
        heard = self._spread(usual / usual.sum())[self._background.sensors].sum()
        first_alerts = alerts_per_day * (1 - OFFSPRING * heard)
        fireworks_share = sum(size for size, _, _ in FIREWORKS.values()) / 365.25
        self._background.ordinary_number = first_alerts / (1 + fireworks_share)

    def report(self) -> SourceReport:
        """Return the report of a simulation, whose silence is complete."""
        return SourceReport(self.gives, is_complete=True)

    def read(self, first: date, last: date) -> pa.Table:
        """Return alerts to the present, see `AlertSource.read`; each day counts `received_row`, and its end is `received_at`."""
        first = max(first, self._site.start)
        if first > last:
            return RAW_SCHEMA.empty_table()
        days, alerts = self._alerts(first, last)
        alerts = alerts[alerts.time <= local_time.now().timestamp() * MICROSECONDS_PER_SECOND]
        bounds = np.searchsorted(alerts.time, [day.start for day in days] + [days[-1].end])
        counts = np.diff(bounds)
        number_in_day = np.arange(len(alerts.time)) - np.repeat(bounds[:-1], counts)
        dates = pa.array(np.repeat([day.date for day in days], counts), pa.date32())
        numerals = pc.utf8_lpad(pa.array(number_in_day).cast(pa.string()), 6, "0")
        ends = np.repeat([day.end for day in days], counts)
        longitude, latitude = grid_degrees(self._site, alerts.row, alerts.column)
        return pa.table(
            {
                "date": dates,
                "time_utc": pa.array(alerts.time, pa.timestamp("us", "UTC")),
                "longitude": longitude,
                "latitude": latitude,
                "gunshot_type": pa.array(TYPES, pa.string()).take(pa.array(alerts.kind)),
                "rounds": pa.array(alerts.rounds.astype(np.int32), mask=alerts.rounds == 0),
                "source_id": pc.binary_join_element_wise(pc.strftime(dates, "%Y%m%d"), numerals, "-"),
                "as_received": pa.nulls(len(alerts.time), pa.string()),
                "is_separate": pa.nulls(len(alerts.time), pa.bool_()),
                "received_from": pa.repeat(SIMULATED, len(alerts.time)),
                "received_row": number_in_day,
                "received_at": pa.array(ends, pa.timestamp("us", "UTC")),
            },
            RAW_SCHEMA,
        )

    def true_risk(self, first: date, last: date) -> Array:
        """Return the chance of an alert by day and cell, given earlier days, shape (days, rows, columns)."""
        _, alerts = self._alerts(first - LAG_DAYS, last)
        return np.stack([self._risk_of(day, alerts) for day in self._background.days(first, last)])

    def _spread(self, alive: Array) -> Array:
        rows, columns = self._between
        return np.asarray(rows @ alive @ columns.T)

    def _risk_of(self, day: Day, alerts: Alerts) -> Array:
        """Return the chance of an alert in each cell on a day, given earlier alerts, shape (rows, columns)."""
        parents = alerts[alerts.time < day.start]
        lags = _lag_shares(day.end - parents.time) - _lag_shares(day.start - parents.time)
        fertile = OFFSPRING * self._background.sensors
        family = fertile * self._spread_over_cells(parents, lags)
        family += np.stack([begin.number * begin.cells for begin in day.beginnings]).sum(axis=0).reshape(family.shape)
        reached = family
        stay = np.outer(*map(np.diag, self._between))
        ends = _lag_shares(day.end - (day.hour_edges[:-1] + day.hour_edges[1:]) / 2)
        for _ in range(SAME_DAY_GENERATIONS):
            alive = family * (day.beginnings[0].hours @ ends)
            family = fertile * self._spread(alive)
            # Offspring that stay in the cell of their alert add nothing to its chance.
            reached = reached + family - fertile * stay * alive
        return np.asarray(-np.expm1(-reached))

    def _spread_over_cells(self, parents: Alerts, lags: Array) -> Array:
        """Return the offspring of alerts by cell, given the share of each alert's offspring by their lag, (rows, columns)."""
        rows, columns = self._site.grid.shape
        height, width = cell_metres(self._site)
        to_rows = _step_shares(parents.row, rows, height)
        to_columns = _step_shares(parents.column, columns, width)
        return np.einsum("a,ar,ac->rc", lags, to_rows, to_columns)

    def _alerts(self, first: date, last: date) -> tuple[list[Day], Alerts]:
        days = self._background.days(first - CLUSTER_REACH, last)
        alerts = _join([self._clusters(day) for day in days])
        days = days[CLUSTER_REACH.days :]
        alerts = alerts[(alerts.time >= days[0].start) & (alerts.time < days[-1].end)]
        return days, alerts[np.argsort(alerts.time, kind="stable")]

    def _clusters(self, day: Day) -> Alerts:
        random = np.random.default_rng([self._seed, DAY_STREAM, day.date.toordinal()])
        generation = _join([self._first_alerts(random, day, begin) for begin in day.beginnings])
        generations = [generation]
        while len(generation.time) and len(generations) <= GENERATIONS:
            generation = self._offspring(random, generation)
            generations.append(generation)
        return _join(generations)

    def _first_alerts(self, random: np.random.Generator, day: Day, begin: Beginnings) -> Alerts:
        number = random.poisson(begin.number)
        cell = _draw(random, begin.cells, number)
        hour = _draw(random, begin.hours, number)
        offset = (random.random(number) * np.diff(day.hour_edges)[hour]).astype(np.int64)
        row, column = np.divmod(cell, self._site.grid.columns) + random.random((2, number))
        kind = _draw(random, FIREWORKS_TYPES if begin.fireworks else ORDINARY_TYPES, number)
        return _records(day.hour_edges[hour] + offset, row, column, kind, _draw_rounds(random, kind))

    def _offspring(self, random: np.random.Generator, parents: Alerts) -> Alerts:
        families = random.poisson(OFFSPRING, len(parents.time))
        parents = np.repeat(parents, families).view(np.recarray)
        number = len(parents.time)
        time = parents.time + draw_lags(random, number).astype(np.int64)
        steps = SPREAD_METRES * ndtri(ndtr(-MAX_SPREAD) + SPREAD_REACH * random.random((2, number)))
        row, column = np.stack([parents.row, parents.column]) + steps / np.array(cell_metres(self._site))[:, None]
        new_kind = _draw(random, ORDINARY_TYPES, number)
        kind = np.where(random.random(number) < TYPE_KEPT, parents.kind, new_kind)
        rows, columns = self._site.grid.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        children = _records(time, row, column, kind, _draw_rounds(random, kind))[inside]
        return children[self._background.sensors[children.row.astype(int), children.column.astype(int)]]


def _records(*columns: npt.NDArray[Any]) -> Alerts:
    return np.rec.fromarrays(columns, dtype=ALERT)


def _join(parts: list[Alerts]) -> Alerts:
    return np.concatenate(parts).view(np.recarray)


def _draw(random: np.random.Generator, shares: npt.ArrayLike, number: int) -> Integers:
    steps = np.cumsum(shares)
    return np.searchsorted(steps, random.random(number) * steps[-1], side="right")


def _draw_rounds(random: np.random.Generator, kind: Integers) -> Integers:
    many = 1 + random.geometric(FEW_ROUNDS, len(kind))
    return np.select([kind == SINGLE, kind == MULTIPLE], [np.ones_like(many), many], 0)


def draw_lags(random: np.random.Generator, number: int) -> Array:
    """Draw `number` lags in microseconds from the truncated exponential distribution."""
    return -MEAN_LAG * np.log1p(-LAG_REACH * random.random(number))


def _lag_shares(lags: Array) -> Array:
    return np.asarray(-np.expm1(-np.clip(lags, 0, MAX_LAG) / MEAN_LAG) / LAG_REACH)


def _step_shares(positions: Array, cells: int, size: float) -> Array:
    edges = (np.arange(cells + 1) - positions[:, None]) * size / SPREAD_METRES
    return np.diff(ndtr(np.clip(edges, -MAX_SPREAD, MAX_SPREAD)), axis=1) / SPREAD_REACH


def _between_cells(cells: int, size: float) -> Array:
    """Return the shares [to, from] of offspring along one axis of `cells` that are `size` metres long."""
    points = POINTS_PER_SPREAD * int(np.ceil(size / SPREAD_METRES))
    within = cells - 1 + (np.arange(points) + 0.5) / points
    # From the middle of a line twice as long there is every step that there can be between two cells.
    steps = _step_shares(within, 2 * cells - 1, size).mean(axis=0)
    to, from_ = np.indices((cells, cells))
    return steps[cells - 1 + to - from_]
