"""Baselines of the next hours by frequencies and rates: tuned by log loss on the validation hours, for each horizon by itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.filters import Booleans, Singles, exponential_mean, span
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import MODEL_FILE, Numbers
from shotspotter_assets.models.next_hours.features import PROFILE_WIDTHS, hour_profile, profile_ahead
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, Indexes
from shotspotter_assets.models.probability import clip_probability, log_losses

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


class HorizonModel(Protocol):
    """A baseline fitted for one horizon: a dataclass of numbers and arrays."""

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        """See `FittedHourly.predict`; of a shape that broadcasts to (issues, cells)."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """See `FittedHourly`."""

    name: str
    models: Mapping[int, HorizonModel]
    on_train: "FittedBaseline | None" = None

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        """See `FittedHourly.predict`."""
        shape = (len(issues), history.alerts.shape[1])
        return clip_probability(np.broadcast_to(self.models[horizon](history, issues), shape))

    def files(self) -> dict[str, bytes]:
        """See `FittedHourly.files`."""
        [kind] = {type(model) for model in self.models.values()}
        return {MODEL_FILE: TypeAdapter(dict[int, kind]).dump_json(dict(self.models), indent=1)}  # type: ignore[valid-type]


@dataclass(frozen=True)
class HourlyBaseline(ABC):
    """A baseline, fitted for each of `horizons` up to `max_horizon`."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str]
    model: ClassVar[type[Any]]
    max_horizon: ClassVar[int] = HORIZONS[-1]

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedBaseline:
        """See `HourlyForecaster.fit`."""
        horizons = [horizon for horizon in self.horizons if horizon <= self.max_horizon]
        pairs = {horizon: self._fit_horizon(Fold(history, train, validation, horizon)) for horizon in horizons}
        on_train, on_both = ({horizon: pair[at] for horizon, pair in pairs.items()} for at in (0, 1))
        return FittedBaseline(self.name, on_both, FittedBaseline(self.name, on_train))

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> FittedBaseline:
        """See `HourlyForecaster.load`."""
        return FittedBaseline(cls.name, TypeAdapter(dict[int, cls.model]).validate_json(files[MODEL_FILE]))  # type: ignore[name-defined]

    @abstractmethod
    def _fit_horizon(self, fold: Fold) -> tuple[HorizonModel, HorizonModel]:
        """(fitted on the training hours, fitted on both windows with the same settings)."""


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
class FrequencyByHour:
    """Expected occupied hours of each cell within the horizon (cells,), and the city's profile of the week (168,).

    `cells` are the covered ones at the fit, as indexes of the grid. The coverage may change before the next fit: a cell that joins
    has had few alerts, and gets the least rate.
    """

    horizon: int
    cells: Numbers
    rate: Numbers
    profile: Numbers
    scale: float

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        rate = np.full(history.in_coverage.size, self.rate.min())
        rate[self.cells] = self.rate
        ahead = profile_ahead(history, self.profile, self.horizon)[issues, None]
        return occurrence(rate[history.in_coverage.ravel()] * ahead, self.scale)


class ClimatologyHourOfWeek(HourlyBaseline):
    """The cell's climatology by hour of week: its expected number times the city's profile of the hours ahead."""

    name: ClassVar[str] = "climatology_hour_of_week"
    model: ClassVar[type[Any]] = FrequencyByHour

    def _fit_horizon(self, fold: Fold) -> tuple[FrequencyByHour, FrequencyByHour]:
        def loss(settings: tuple[float, float]) -> float:
            return fold.loss(self._fitted(fold, fold.train, *settings)(fold.history, fold.issues))

        best = min(product(PSEUDO_DAYS, PROFILE_WIDTHS), key=loss)
        return self._fitted(fold, fold.train, *best), self._fitted(fold, fold.both, *best)

    @staticmethod
    def _fitted(fold: Fold, hours: range, pseudo_days: float, width: float) -> FrequencyByHour:
        horizon = fold.horizon
        observed, issues = fold.observed_in(hours), fold.history.issues(hours, horizon)
        rate = -np.log1p(-shrunk_frequency(observed, horizon, pseudo_days))
        profile = hour_profile(fold.history, hours, width)
        level = profile_ahead(fold.history, profile, horizon)
        # All issues of one hour of the week are alike.
        _, first, times = np.unique(fold.history.clock.hour_of_week[issues], return_index=True, return_counts=True)
        scale = burst_scale(rate * level[issues[first], None], observed.sum(), times[:, None])
        return FrequencyByHour(horizon, np.flatnonzero(fold.history.in_coverage), rate, profile, scale)


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


def burst_scale(
    expected: npt.NDArray[np.floating], positives: float, times: npt.NDArray[np.number] | float = 1.0
) -> float:
    """The scale with which `occurrence`, each counted `times`, sums to the number of `positives`.

    Alerts of a cell come in bursts, so fewer horizons have one than their mean would give.
    """
    scale = 1.0
    for _ in range(SCALE_STEPS if positives else 0):
        scale *= positives / float((occurrence(expected, scale) * times).sum())
    return scale
