"""The climatology of the next hours, tuned on the validation hours, and a cell's rate, from which `self_exciting` starts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.filters import Booleans, exponential_mean
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours.forecaster import Array, HourlyForecaster, Indexes
from shotspotter_assets.models.probability import log_losses

SCALE_STEPS: Final = 4
PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
"""Strengths of the prior of a cell's frequency that are tried, in days of the city's mean."""
HALF_LIFE_DAYS: Final = 60
RECENT_SHARE: Final = 0.8
WHOLE_SHARE: Final = 0.1
"""Of the mixture of `background_rate`: best on the validation hours of Washington DC and Oakland."""
MIN_HOURLY_RATE: Final = 1e-7
"""Nothing is impossible where nothing has happened yet."""


@dataclass(frozen=True)
class Fold:
    """The hours that a baseline is tuned and fitted on for one horizon."""

    history: HourlyHistory
    train: range
    validation: range
    horizon: int

    @property
    def both(self) -> range:
        """Training and validation hours."""
        return range(self.train.start, self.validation.stop)

    @cached_property
    def issues(self) -> Indexes:
        """Issues of the validation hours (`HourlyHistory.issues`)."""
        return self.history.issues(self.validation, self.horizon)

    @cached_property
    def observed(self) -> Booleans:
        """Whether each cell had an alert within the horizon from `issues` on, shape (issues, cells)."""
        return self.observed_in(self.validation)

    def observed_in(self, hours: range) -> Booleans:
        """Whether each cell had an alert within the horizon from the issues of other hours, shape (issues, cells)."""
        return self._occupied[self.history.issues(hours, self.horizon)]

    def loss(self, probability: npt.NDArray[np.floating]) -> float:
        """Mean log loss of forecasts of the validation issues."""
        return float(log_losses(probability, self.observed).mean())

    @cached_property
    def _occupied(self) -> Booleans:
        return self.history.occupied_within(self.horizon)


class HourlyBaseline(HourlyForecaster):
    """A baseline, fitted separately for each horizon."""

    is_baseline: ClassVar[bool] = True

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range) -> dict[int, tuple[Any, Any]]:
        return {horizon: self._fit_horizon(Fold(history, train, validation, horizon)) for horizon in self.horizons}

    def _fit_horizon(self, fold: Fold) -> tuple[Any, Any]:
        """(fitted on the training hours, fitted on both windows with the same settings)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Frequency:
    """The frequency of each cell at any hour, shape (cells,)."""

    frequency: Numbers

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        return self.frequency


class Climatology(HourlyBaseline):
    """The frequency of the cell, shrunk to the city's mean: the reference of all skill scores of the next hours."""

    name: ClassVar[str] = "climatology"
    model: ClassVar[type[Any]] = Frequency

    def _fit_horizon(self, fold: Fold) -> tuple[Frequency, Frequency]:
        observed, horizon = fold.observed_in(fold.train), fold.horizon
        days = min(PSEUDO_DAYS, key=lambda days: fold.loss(shrunk_frequency(observed, horizon, days)[None]))
        on_both = shrunk_frequency(fold.observed_in(fold.both), horizon, days)
        return Frequency(shrunk_frequency(observed, horizon, days)), Frequency(on_both)


def background_rate(history: HourlyHistory, hours: range) -> Array:
    """Expected occupied hours in an hour, without the hour of week; shape (len(hours), cells).

    A mixture of the cell's recent rate, its whole history and the city's recent rate.
    """
    occupied = history.occupied[: hours.stop].astype(np.float32)
    recent = exponential_mean(occupied, HALF_LIFE_DAYS * DAY_HOURS, before=hours)
    whole, city = exponential_mean(occupied, np.inf, before=hours), recent.mean(axis=1, keepdims=True)
    mixture = RECENT_SHARE * recent + WHOLE_SHARE * whole + (1 - RECENT_SHARE - WHOLE_SHARE) * city
    return np.maximum(mixture, MIN_HOURLY_RATE).astype(np.float64)


def shrunk_frequency(observed: Booleans, horizon: int, pseudo_days: float) -> Array:
    """Share of horizons with an alert, shrunk to the city's mean by a prior of `pseudo_days` days of it, shape (cells,)."""
    pseudo = pseudo_days * DAY_HOURS / horizon
    return (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)


def occurrence(expected: npt.NDArray[np.floating], scale: float) -> Array:
    """Probability of at least one occupied hour, given the expected number: 1 - exp(-scale * expected)."""
    return -np.expm1(-scale * expected)


def burst_scale(expected: npt.NDArray[np.floating], positives: float) -> float:
    """The scale with which `occurrence` sums to the number of `positives`.

    Alerts of a cell come in bursts, so fewer horizons have one than their mean would give.
    """
    scale = 1.0
    for _ in range(SCALE_STEPS if positives else 0):
        scale *= positives / float(occurrence(expected, scale).sum())
    return scale
