"""Baselines of the next hours by frequencies and rates: tuned by log loss on the validation hours, separately for each horizon."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.filters import Booleans, Singles, exponential_mean, span
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours.features import PROFILE_WIDTHS, hour_profile, profile_ahead
from shotspotter_assets.models.next_hours.forecaster import Array, HourlyForecaster, Indexes
from shotspotter_assets.models.probability import log_losses

SCALE_STEPS: Final = 4
PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
"""Strengths of the prior of a cell's frequency that are tried, in days of the city's mean."""
HALF_LIVES_DAYS: Final = (30, 60, 120, 240, 480)
MIXTURE_STEPS: Final = 5
MIN_TUNING_HORIZON: Final = 4
"""Hours; shorter ones choose the same background, at a higher cost."""
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

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range) -> dict[int, tuple[Any, Any]]:
        horizons = [horizon for horizon in self.horizons if horizon <= self.max_horizon]
        return {horizon: self._fit_horizon(Fold(history, train, validation, horizon)) for horizon in horizons}

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


@dataclass(frozen=True)
class Background:
    """Settings of a cell's rate: a mixture of its recent rate, its whole history and the city's recent rate."""

    half_life_days: int
    recent: float
    history: float
    profile_hours: float

    def mixed(self, recent: Singles, whole: Singles) -> npt.NDArray[np.floating]:
        """The mixture of a cell's recent and whole rates and the city's mean of the recent ones, all (hours, cells)."""
        city = recent.mean(axis=1, keepdims=True)
        mixture = self.recent * recent + self.history * whole + (1 - self.recent - self.history) * city
        return np.maximum(mixture, MIN_HOURLY_RATE)

    def rate(self, history: HourlyHistory, hours: range) -> Array:
        """Expected occupied hours in an hour, without the hour of week; shape (len(hours), cells)."""
        occupied = history.occupied[: hours.stop].astype(np.float32)
        recent = exponential_mean(occupied, self.half_life_days * DAY_HOURS, before=hours)
        return self.mixed(recent, exponential_mean(occupied, np.inf, before=hours)).astype(np.float64)


def tuned_background(fold: Fold) -> Background:
    """The background with the least validation log loss, of a horizon of `MIN_TUNING_HORIZON` hours at least."""
    fold = replace(fold, horizon=max(fold.horizon, MIN_TUNING_HORIZON))
    history, positives = fold.history, fold.observed.sum()
    occupied = history.occupied[: fold.validation.stop].astype(np.float32)
    whole, *means = (
        exponential_mean(occupied, days * DAY_HOURS, before=fold.issues) for days in (np.inf, *HALF_LIVES_DAYS)
    )
    recents = dict(zip(HALF_LIVES_DAYS, means, strict=True))
    levels = {
        width: profile_ahead(history, hour_profile(history, fold.train, width), fold.horizon)[fold.issues, None]
        for width in PROFILE_WIDTHS
    }

    def loss(background: Background) -> float:
        mixed = background.mixed(recents[background.half_life_days], whole)
        expected = fold.horizon * mixed * levels[background.profile_hours]
        return fold.loss(occurrence(expected, burst_scale(expected, positives)))

    steps = [step / MIXTURE_STEPS for step in range(MIXTURE_STEPS)]
    mixtures = [(recent, old) for recent, old in product(steps, repeat=2) if 0 < recent + old < 1]
    tried = [Background(days, *mixture, PROFILE_WIDTHS[1]) for days, mixture in product(HALF_LIVES_DAYS, mixtures)]
    best = min(tried, key=loss)
    return min((replace(best, profile_hours=width) for width in PROFILE_WIDTHS), key=loss)


@dataclass(frozen=True)
class RateByHour:
    """The background with the city's profile of the week (168,)."""

    horizon: int
    background: Background
    profile: Numbers
    scale: float

    def expected(self, history: HourlyHistory, issues: Indexes) -> Array:
        """Expected occupied hours within the horizon, shape (issues, cells)."""
        hours = span(issues)
        level = profile_ahead(history, self.profile, self.horizon)[issues, None]
        return self.horizon * self.background.rate(history, hours)[issues - hours.start] * level

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        return occurrence(self.expected(history, issues), self.scale)


class EwmaHourOfWeek(HourlyBaseline):
    """Exponentially weighted means by hour of week: a mixture of recent and old rates times the city's profile of the week."""

    name: ClassVar[str] = "ewma_hour_of_week"
    model: ClassVar[type[Any]] = RateByHour

    def _fit_horizon(self, fold: Fold) -> tuple[RateByHour, RateByHour]:
        history, background = fold.history, tuned_background(fold)
        of_train, of_both = (
            hour_profile(history, hours, background.profile_hours) for hours in (fold.train, fold.both)
        )
        unscaled = RateByHour(fold.horizon, background, of_train, 1.0)
        scale = burst_scale(unscaled.expected(history, fold.issues), fold.observed.sum())
        return replace(unscaled, scale=scale), RateByHour(fold.horizon, background, of_both, scale)


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
