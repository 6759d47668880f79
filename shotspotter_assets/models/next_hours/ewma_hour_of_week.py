"""Exponentially weighted means by hour of week: a mixture of recent and old rates times the city's profile of the week."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.models.filters import Singles, recursive_mean, span
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.baseline import FittedHorizon, Fold, HourlyBaseline, burst_scale, occurrence
from shotspotter_assets.models.next_hours.features import PROFILE_WIDTHS, hour_profile, profile_ahead
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes

HALF_LIVES_DAYS: Final = (30, 60, 120, 240, 480)
MIXTURE_STEPS: Final = 5
MIN_TUNING_HORIZON: Final = 4
"""Hours; shorter ones choose the same background, at a higher cost."""
MIN_HOURLY_RATE: Final = 1e-7
"""Nothing is impossible where nothing has happened yet."""


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
        recent = recursive_mean(occupied, hours, self.half_life_days * DAY_HOURS)
        return self.mixed(recent, recursive_mean(occupied, hours, np.inf)).astype(np.float64)


def tuned_background(fold: Fold) -> Background:
    """The background with the least validation log loss, of a horizon of `MIN_TUNING_HORIZON` hours at least."""
    if fold.horizon < MIN_TUNING_HORIZON:
        fold = Fold(fold.history, fold.train, fold.validation, MIN_TUNING_HORIZON)
    history, validation, positives = fold.history, fold.validation, fold.observed.sum()
    occupied = history.occupied[: validation.stop].astype(np.float32)
    rows = fold.issues - validation.start
    whole = recursive_mean(occupied, validation, np.inf)[rows]
    recents = {days: recursive_mean(occupied, validation, days * DAY_HOURS)[rows] for days in HALF_LIVES_DAYS}
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
class FittedEwma:
    """The background with the city's profile (168,)."""

    horizon: int
    background: Background
    profile: Array
    scale: float

    def expected(self, history: HourlyHistory, issues: Indexes) -> Array:
        """Expected occupied hours within the horizon, shape (issues, cells)."""
        hours = span(issues)
        level = profile_ahead(history, self.profile, self.horizon)[issues, None]
        return self.horizon * self.background.rate(history, hours)[issues - hours.start] * level

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        return occurrence(self.expected(history, issues), self.scale)


class EwmaHourOfWeek(HourlyBaseline):
    """See the module."""

    name: ClassVar[str] = "ewma_hour_of_week"

    def _fit_horizon(self, fold: Fold) -> tuple[FittedHorizon, FittedHorizon]:
        history, background = fold.history, tuned_background(fold)
        of_train, of_both = (
            hour_profile(history, hours, background.profile_hours) for hours in (fold.train, fold.both)
        )
        unscaled = FittedEwma(fold.horizon, background, of_train, 1.0)
        scale = burst_scale(unscaled.expected(history, fold.issues), fold.observed.sum())
        return replace(unscaled, scale=scale), FittedEwma(fold.horizon, background, of_both, scale)

    @classmethod
    def _load_horizon(cls, record: dict[str, Any]) -> FittedEwma:
        arrays = {"background": Background(**record["background"]), "profile": np.array(record["profile"])}
        return FittedEwma(**record | arrays)
