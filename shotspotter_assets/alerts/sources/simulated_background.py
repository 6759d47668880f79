"""Beginnings of alert clusters in the simulated city: its calendar, hot spots and sensors."""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from scipy.special import ndtri

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets.grid.dates import day_starts
from shotspotter_assets.storage.arrays import Array, Integers

MICROSECONDS_PER_SECOND = 1_000_000
HOUR = 3600 * MICROSECONDS_PER_SECOND

# The random streams of one seed. A stream depends on nothing but the seed and the number of its period,
# which is why a day is the same whatever range of days is asked for.
CITY_STREAM = 1
FLARE_STREAM = 2
DAY_STREAM = 3
SENSOR_SHARE = 0.6  # share of the grid's cells with sensors
HOT_SPOTS = 160
HOT_SPOT_WEIGHT_SPREAD = 2.1  # standard deviation of the logarithm of a hot spot's weight
MIN_HOT_SPOT_METRES = 120.0
MAX_HOT_SPOT_METRES = 300.0
SENSOR_RADIUS_METRES = 900.0
CELL_SPREAD = 1.0  # standard deviation of the logarithm of a cell's factor
DIFFUSE_SHARE = 0.02  # share of first alerts anywhere with sensors
DRIFT_SIZE = 0.55  # amplitude of a hot spot's two slow waves, on the logarithm of its weight
MIN_DRIFT_DAYS = 400.0
MAX_DRIFT_DAYS = 2200.0  # shortest and longest period of the waves
FLARE_PERIOD_DAYS = 28
FLARES_PER_PERIOD = 3.0
MIN_FLARE_DAYS = 14
MAX_FLARE_DAYS = 84  # shortest and longest flare-up, which fades linearly
MIN_FLARE_SHARE = 0.015
MAX_FLARE_SHARE = 0.05  # initial strength of a flare-up, as a share of the weight of all hot spots
SEASON_SIZE = 0.3
SEASON_PEAK_DAY = 205  # day of the year with the highest rate
WEEKDAYS = (0.88, 0.83, 0.85, 0.90, 1.06, 1.28, 1.20)  # rate by weekday from Monday, relative to the mean
NIGHT_AND_MORNING = (1.9, 1.7, 1.5, 1.2, 0.9, 0.6, 0.4, 0.3, 0.3, 0.3, 0.35, 0.4)
AFTERNOON_AND_EVENING = (0.5, 0.55, 0.6, 0.65, 0.75, 0.85, 1.1, 1.4, 1.7, 2.0, 2.2, 2.2)
"""Relative rates by hour of the wall clock."""
WEEKEND_NIGHT = 1.5  # factor on the hours from 0 to 5 of Saturday and Sunday

FIREWORKS = {
    (7, 3): (0.8, 20, 24),
    (7, 4): (6.0, 20, 24),
    (7, 5): (2.0, 0, 2),
    (12, 31): (1.5, 21, 24),
    (1, 1): (4.0, 0, 2),
}
"""First alerts from fireworks in ordinary days' worth, and their wall-clock hours (first, last exclusive), by month and
day. They come from every cell with sensors alike."""


@dataclass(frozen=True)
class Beginnings:
    """A Poisson stream of first alerts on one day."""

    number: float  # expected
    cells: Array  # shares of the cells of the flattened grid
    hours: Array  # shares of the elapsed hours
    fireworks: bool


@dataclass(frozen=True)
class Day:
    """One local civil day; `start`, `end` and `hour_edges` (hours + 1) are in microseconds since 1970 UTC."""

    date: date
    start: int
    end: int
    hour_edges: Integers
    beginnings: tuple[Beginnings, ...]


class Background:
    """The part of the simulated city's intensity that no earlier alert has caused.

    `sensors` (rows, columns) are the cells with sensors. `surfaces` (hot spots + 1, cells) spread each hot spot, and last the
    city, over these; `weights` (hot spots + 1) are their shares. `ordinary_number` are first alerts of an ordinary day.
    """

    def __init__(self, site: Site, seed: int) -> None:
        """Draw the hot spots of a city and their surfaces; the order of the draws is part of the simulation."""
        self._site = site
        self._seed = seed
        self.ordinary_number = 1.0
        random = np.random.default_rng([self._seed, CITY_STREAM])
        squared = _squared_metres(site, random.beta(1.5, 1.5, (HOT_SPOTS, 2)))
        weight = np.exp(HOT_SPOT_WEIGHT_SPREAD * ndtri((np.arange(HOT_SPOTS) + 0.5) / HOT_SPOTS))
        radius = random.uniform(MIN_HOT_SPOT_METRES, MAX_HOT_SPOT_METRES, HOT_SPOTS)
        self._period = random.uniform(MIN_DRIFT_DAYS, MAX_DRIFT_DAYS, (2, HOT_SPOTS))
        self._phase = random.uniform(0.0, 2 * np.pi, (2, HOT_SPOTS))

        activity = np.sqrt(weight) @ np.exp(-squared / (2 * SENSOR_RADIUS_METRES**2))
        with_sensor = np.zeros(activity.size, bool)
        with_sensor[np.argsort(-activity, kind="stable")[: max(1, round(SENSOR_SHARE * activity.size))]] = True
        self.sensors = with_sensor.reshape(site.grid.shape)

        surfaces = np.exp(-squared / (2 * radius[:, None] ** 2))
        surfaces *= random.lognormal(0.0, CELL_SPREAD, activity.size)
        # A hot spot in a corner of very small cells may give nothing anywhere: the tiny number avoids 0 / 0.
        surfaces /= surfaces.sum(axis=1, keepdims=True) + np.finfo(float).tiny
        self.surfaces = np.vstack([surfaces * with_sensor, with_sensor / with_sensor.sum()])
        self.weights = np.append(weight, weight.sum() * DIFFUSE_SHARE / (1 - DIFFUSE_SHARE))

        hours_of_week = np.outer(WEEKDAYS, NIGHT_AND_MORNING + AFTERNOON_AND_EVENING)
        hours_of_week[5:, :5] *= WEEKEND_NIGHT
        self._hours_of_week = hours_of_week / hours_of_week.mean()

    def days(self, first: date, last: date) -> list[Day]:
        """Return the days `first` to `last`, both included."""
        weights = self._hot_spot_weights(first, last)
        days = days_between(first, last)
        midnights = day_starts([*days, last + timedelta(days=1)], self._site.zone).astype(np.int64).tolist()
        return [
            self._day(day, start, end, day_weights)
            for day, start, end, day_weights in zip(days, midnights[:-1], midnights[1:], weights, strict=True)
        ]

    def _day(self, day: date, start: int, end: int, weights: Array) -> Day:
        """Return a day from its midnights (microseconds since 1970 UTC) and the weights of the surfaces."""
        edges = np.minimum(np.arange(start, end + HOUR, HOUR), end)
        middles = (edges[:-1] + edges[1:]) / (2 * MICROSECONDS_PER_SECOND)
        wall_hours = np.array([datetime.fromtimestamp(middle, self._site.zone).hour for middle in middles])
        lengths = np.diff(edges) / HOUR
        rates = self._hours_of_week[day.weekday(), wall_hours] * lengths / 24
        since_peak = (day.timetuple().tm_yday - SEASON_PEAK_DAY) / 365.25
        number = self.ordinary_number * (1 + SEASON_SIZE * math.cos(2 * math.pi * since_peak)) * rates.sum()
        # One day at a time, not one product for all: the last bits of a larger product depend on its shape,
        # and a day must not depend on the range that it is asked for with.
        cells = weights @ self.surfaces
        beginnings = [Beginnings(number, cells / cells.sum(), rates / rates.sum(), False)]
        if (day.month, day.day) in FIREWORKS:
            size, first_hour, last_hour = FIREWORKS[day.month, day.day]
            hours = lengths * ((wall_hours >= first_hour) & (wall_hours < last_hour))
            beginnings.append(Beginnings(self.ordinary_number * size, self.surfaces[-1], hours / hours.sum(), True))
        return Day(day, start, end, edges, tuple(beginnings))

    def _hot_spot_weights(self, first: date, last: date) -> Array:
        """Return the weight of each hot spot and of the whole city (days, hot spots + 1), with drift and flare-ups."""
        days = np.arange(first.toordinal(), last.toordinal() + 1)
        waves = np.sin(2 * np.pi * days[:, None, None] / self._period + self._phase).sum(axis=1)
        weights = np.tile(self.weights, (len(days), 1))
        # The mean of exp(a sin) over a wave is the Bessel function I0(a): drift leaves the mean weight as it is.
        weights[:, :HOT_SPOTS] *= np.exp(DRIFT_SIZE * waves) / np.i0(DRIFT_SIZE) ** 2

        periods = range((days[0] - MAX_FLARE_DAYS) // FLARE_PERIOD_DAYS, days[-1] // FLARE_PERIOD_DAYS + 1)
        for period in periods:
            random = np.random.default_rng([self._seed, FLARE_STREAM, period])
            number = random.poisson(FLARES_PER_PERIOD)
            spot = random.integers(HOT_SPOTS, size=number)
            begin = period * FLARE_PERIOD_DAYS + random.integers(FLARE_PERIOD_DAYS, size=number)
            length = random.integers(MIN_FLARE_DAYS, MAX_FLARE_DAYS + 1, size=number)
            strength = random.uniform(MIN_FLARE_SHARE, MAX_FLARE_SHARE, number) * self.weights.sum()
            age = days[:, None] - begin
            fading = np.where((age >= 0) & (age < length), strength * (1 - age / length), 0.0)
            np.add.at(weights.T, spot, fading.T)
        return weights


def _squared_metres(site: Site, position: Array) -> Array:
    """Return the squared distance of each cell from each position, a share of the rows and columns; (positions, cells)."""
    rows, columns = site.grid.shape
    height, width = cell_metres(site)
    north = (np.arange(rows)[None, :] + 0.5 - position[:, :1] * rows) * height
    east = (np.arange(columns)[None, :] + 0.5 - position[:, 1:] * columns) * width
    return np.asarray((north[:, :, None] ** 2 + east[:, None, :] ** 2).reshape(len(position), -1))
