"""Forecasts that anyone can make in a spreadsheet: one rate, the cell's mean, weekdays, yesterday's map, recent rates."""

from collections.abc import Iterator
from itertools import product
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.weekdays import weekdays
from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.tuned_baseline import (
    NO_TABLE,
    VALIDATION_LOSS,
    FittedBaseline,
    Settings,
    TunedBaseline,
    shrunk_frequency,
)
from shotspotter_assets.models.probability import MIN_PROBABILITY

PSEUDO_DAYS: Final = (1, 3, 10, 30, 100, 300, 1000)
WEEKDAY_PSEUDO_DAYS: Final = (1, 10, 100, 1000)
PSEUDO_WEEKS: Final = (10, 30, 100, 1000)
HALF_LIVES: Final = (30, 60, 120, 180, 360, 720)
"""In days."""
WEIGHT_STEPS: Final = 10


class NeverForecaster(TunedBaseline):
    """The smallest probability allowed, as the log loss of 0 would be infinite."""

    name: ClassVar[str] = "never"
    table_key = None

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedBaseline:
        """See `Forecaster.fit`: there is nothing to learn."""
        forecast = self.forecast(NO_TABLE, {}, history, validation)
        return FittedBaseline(self, NO_TABLE, {"probability": MIN_PROBABILITY}, forecast)

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return np.full((len(days), int(history.in_coverage.sum())), MIN_PROBABILITY)


class CityMeanForecaster(TunedBaseline):
    """The same frequency for every cell and day; what knows neither places nor days cannot beat it."""

    name: ClassVar[str] = "city_mean"

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        return np.array(_labels(history, days).mean())

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return np.full((len(days), int(history.in_coverage.sum())), float(table))


class HistoricalMeanForecaster(TunedBaseline):
    """Frequency of each cell, shrunk towards the city's mean (a Beta prior)."""

    name: ClassVar[str] = "historical_mean"
    file = "mean.json"
    table_key = "frequency"
    grid = tuple({"pseudo_days": days} for days in PSEUDO_DAYS)

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency by cell, shape (cells,)."""
        return shrunk_frequency(_labels(history, days), settings["pseudo_days"])

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return np.broadcast_to(table, (len(days), len(table)))


class WeekdayMeanForecaster(TunedBaseline):
    """Frequency of a cell on that weekday, shrunk towards its own frequency times the city's factor of the weekday."""

    name: ClassVar[str] = "weekday_mean"
    grid = tuple(
        {"pseudo_days": days, "pseudo_weeks": weeks} for days, weeks in product(WEEKDAY_PSEUDO_DAYS, PSEUDO_WEEKS)
    )

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency by weekday and cell, shape (7, cells)."""
        labels, weekday = _labels(history, days), _weekdays(history, days)
        mean, pseudo_weeks = labels.mean(), settings["pseudo_weeks"]
        number = np.bincount(weekday, minlength=7)[:, None]
        hits = np.stack([labels[weekday == day].sum(axis=0) for day in range(7)])
        # One pseudo-week of the overall rate, where a weekday was never seen or never had an alert.
        factor = (hits.mean(axis=1, keepdims=True) + mean) / (number + 1) / mean
        prior = np.minimum(shrunk_frequency(labels, settings["pseudo_days"]) * factor, 1)
        return (hits + pseudo_weeks * prior) / (number + pseudo_weeks)

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return table[_weekdays(history, days)]


class PersistenceForecaster(TunedBaseline):
    """Yesterday's map, or the last known day's: one frequency for the cells with an alert on it, one for the others."""

    name: ClassVar[str] = "persistence"

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency after a day without and after a day with an alert, shape (2,)."""
        labels, yesterday = _labels(history, days), _occupied_the_day_before(history, days)
        # One pseudo-day of the overall frequency, where no cell was occupied the day before.
        return np.array(
            [(labels[yesterday == was].sum() + labels.mean()) / ((yesterday == was).sum() + 1) for was in (False, True)]
        )

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return table[_occupied_the_day_before(history, days).astype(np.int64)]


class ExponentialMeanForecaster(TunedBaseline):
    """Mixture of a cell's exponentially weighted rate, its mean over all history, and the city's weighted rate."""

    name: ClassVar[str] = "ewma"
    file = "mean.json"
    table_key = None

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return _mixture(_rates(history, settings["half_life_days"], days), settings)

    def candidates(self, history: History, train: range, validation: range) -> Iterator[tuple[Settings, Array]]:
        for half_life in HALF_LIVES:
            rates = _rates(history, half_life, validation)
            for recent, past in product(range(WEIGHT_STEPS + 1), repeat=2):
                city = WEIGHT_STEPS - recent - past
                if city < 0:
                    continue
                weights = {"recent": recent / WEIGHT_STEPS, "history": past / WEIGHT_STEPS, "city": city / WEIGHT_STEPS}
                # The order of the keys is that of the stored file.
                settings = {"half_life_days": half_life, VALIDATION_LOSS: np.inf} | weights
                yield settings, _mixture(rates, settings)


def _rates(history: History, half_life: float, days: range) -> tuple[Array, Array, Array]:
    """(recent, over all history, the city's recent) rates of what is known before each of `days`."""
    occupied, known = history.observed, history.known_before(days)
    recent, past = (exponential_mean(occupied, decay, before=known) for decay in (half_life, np.inf))
    return recent, past, recent.mean(axis=1, keepdims=True)


def _mixture(rates: tuple[Array, Array, Array], settings: Settings) -> Array:
    weights = (settings[name] for name in ("recent", "history", "city"))
    return sum((weight * rate for weight, rate in zip(weights, rates, strict=True)), start=np.zeros(1))


def _labels(history: History, days: range) -> npt.NDArray[np.bool_]:
    return history.observed[days.start : days.stop]


def _weekdays(history: History, days: range) -> npt.NDArray[np.int64]:
    return weekdays(history.days_to_forecast())[days.start : days.stop]


def _occupied_the_day_before(history: History, days: range) -> npt.NDArray[np.bool_]:
    """Occupancy of the last day known before each of `days`; the first day of all history has none."""
    observed = history.observed
    return np.vstack([np.zeros_like(observed[:1]), observed])[history.known_before(days)]
