"""Simple baselines: one rate, the cell's mean, yesterday's map, recent rates, and a map of smoothed recent rates."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import ClassVar, Final, cast

import numpy as np
from threadpoolctl import threadpool_limits

from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import (
    MIN_PROBABILITY,
    NO_CONTEXT,
    Choices,
    DailyForecaster,
    FitContext,
    FittedDaily,
    Numbers,
    clip_probability,
    log_losses,
    shrunk_frequency,
)
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.storage.arrays import Array, Booleans

WEIGHT_STEPS: Final = 10


class GridBaseline(DailyForecaster):
    """A forecaster with the setting of least log loss on the validation window, fitted again on both windows together."""

    @abstractmethod
    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        """Return each tried setting, with its forecasts of the validation window by the fit on `train`."""

    @abstractmethod
    def fit_days(self, history: History, days: range, choices: Choices) -> FittedDaily:
        """Return the fit on some days with one setting."""

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedDaily:
        """Try all settings on the validation window, and fit the best one on both windows."""
        history = history.through(validation.stop)
        labels = history.observed[validation.start : validation.stop]
        known = history.known_in(validation)
        best: Choices = {"validation_log_loss": np.inf}
        # BLAS and OpenMP threads wait for each other by spinning: on a machine in use two take many times as long as one,
        # and on an idle one they save little on matrices this narrow.
        with threadpool_limits(1):
            for choices, probability in self.tried(history, train, validation):
                everywhere = np.broadcast_to(probability, labels.shape)
                loss = float(log_losses(everywhere[known], labels[known]).mean())
                if loss < best["validation_log_loss"]:
                    best = choices | {"validation_log_loss": loss}
                    forecast = everywhere
            fitted = self.fit_days(history, range(train.start, validation.stop), best)
        return replace(fitted, chosen=best, validation_probability=clip_probability(forecast))


@dataclass(frozen=True)
class FittedSimpleBaseline(FittedDaily):
    """A learned table of a simple baseline."""

    name: str
    table: Numbers

    def predict(self, history: History, days: range) -> Array:
        baseline = cast(SimpleBaseline, forecaster(self.name))
        forecast = baseline.forecast(self.table, self.chosen, history, days)
        return clip_probability(np.broadcast_to(forecast, (len(days), int(history.in_coverage.sum()))))


class SimpleBaseline(GridBaseline):
    """A baseline with a table of frequencies, empty if its rates follow from the history alone."""

    fitted = FittedSimpleBaseline
    grid: ClassVar[tuple[Choices, ...]] = ({},)  # the choices that are tried

    def learn(self, history: History, days: range, choices: Choices) -> Array:
        """Return the table, of any shape."""
        return np.zeros(0)

    def forecast(self, table: Array, choices: Choices, history: History, days: range) -> Array:
        """Return probabilities from the table and the days before each, to broadcast to (days, cells)."""
        return table

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        history = replace(history)  # Its cache ends with the search.
        for choices in self.grid:
            yield choices, self.forecast(self.learn(history, train, choices), choices, history, validation)

    def fit_days(self, history: History, days: range, choices: Choices) -> FittedDaily:
        return FittedSimpleBaseline(self.name, self.learn(history, days, choices), chosen=choices)


class Never(SimpleBaseline):
    """The smallest probability allowed, instead of 0, whose log loss would be infinite."""

    def learn(self, history: History, days: range, choices: Choices) -> Array:
        return np.array([MIN_PROBABILITY])


class CityMean(SimpleBaseline):
    """One frequency for every cell and day."""

    def learn(self, history: History, days: range, choices: Choices) -> Array:
        return np.array([_labels(history, days).mean()])


class HistoricalMean(SimpleBaseline):
    """The frequency of the cell, shrunk to the city's mean by a chosen prior: the reference of all skill scores."""

    grid = tuple({"pseudo_days": days} for days in (1, 3, 10, 30, 100, 300, 1000))

    def learn(self, history: History, days: range, choices: Choices) -> Array:
        return shrunk_frequency(_labels(history, days), choices["pseudo_days"])


class Persistence(SimpleBaseline):
    """The last known day's map: one frequency for the cells with an alert on it, one for the others."""

    def learn(self, history: History, days: range, choices: Choices) -> Array:
        labels = _labels(history, days)
        yesterday = _occupied_the_day_before(history, days)[history.known_in(days)]
        groups = (labels[~yesterday], labels[yesterday])
        # One pseudo-day of the overall frequency, where no cell was occupied the day before.
        return np.array([(group.sum() + labels.mean()) / (len(group) + 1) for group in groups])

    def forecast(self, table: Array, choices: Choices, history: History, days: range) -> Array:
        return table[_occupied_the_day_before(history, days).astype(np.int64)]


class ExponentialMean(SimpleBaseline):
    """Mixture of a cell's exponentially weighted rate, its mean over all history, and the city's weighted rate."""

    grid = tuple(
        {
            "half_life_days": half_life,
            "recent": recent / WEIGHT_STEPS,
            "history": past / WEIGHT_STEPS,
            "city": (WEIGHT_STEPS - recent - past) / WEIGHT_STEPS,
        }
        for half_life in (30, 60, 120, 180, 360, 720)
        for recent, past in product(range(WEIGHT_STEPS + 1), repeat=2)
        if recent + past <= WEIGHT_STEPS
    )

    def forecast(self, table: Array, choices: Choices, history: History, days: range) -> Array:
        recent, past = (_rate(history, half_life, days) for half_life in (choices["half_life_days"], np.inf))
        rates = {"recent": recent, "history": past, "city": recent.mean(axis=1, keepdims=True)}
        return sum((choices[name] * rate for name, rate in rates.items()), start=np.zeros(1))


class RecencyWeightedMap(SimpleBaseline):
    """A kernel density map in which old days weigh less, mixed with the cell's own mean over all history."""

    grid = tuple(
        {"width_cells": width, "half_life_days": half_life, "history": share}
        for width in (0.5, 0.7, 1.0, 1.5, 2.5)
        for half_life in (7, 14, 21, 30, 60, 120, 180, 360, 720)
        for share in (0.0, 0.25, 0.5, 0.75)
    )

    def forecast(self, table: Array, choices: Choices, history: History, days: range) -> Array:
        half_life = choices["half_life_days"]
        width = choices["width_cells"]
        share = choices["history"]
        make = partial(smooth_cells, _rate(history, half_life, days), history.in_coverage, width)
        recent = history.cached(f"map {half_life} {width}", np.array(days), make)
        return (1 - share) * recent + share * _rate(history, np.inf, days)


def _labels(history: History, days: range) -> Booleans:
    return history.observed[days.start : days.stop][history.known_in(days)]


def _occupied_the_day_before(history: History, days: range) -> Booleans:
    observed = history.observed
    return np.vstack([np.zeros_like(observed[:1]), observed])[history.known_before(days)]


def _rate(history: History, half_life: float, days: range) -> Array:
    before = history.known_before(days)
    make = partial(exponential_mean, history.observed, half_life, history.is_known, before)
    return history.cached(f"rate {half_life}", np.array(days), make)
