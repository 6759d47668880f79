"""A Hawkes process on cells and hours: alerts make alerts of the next hours in the same and in near cells likelier.

An occupied hour of cell i has the intensity b r_i(t) g(t) + sum over s < t of a^(t-1-s) (k x_i(s) + l (S x)_i(s)), with r
the background, g the profile of the hour of week, x occupied hours and S a Gaussian smoothing. It is fitted by
likelihood: an hour has 1 - exp(-intensity) where it is occupied, else exp(-intensity). In the sum over hours that are
not, the intensity is linear, so that only occupied hours need to be looked at one by one.
"""

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shotspotter_assets.models.filters import Singles, decay_of, exponential_mean, smoothing_weights, span
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours.baseline import (
    Fold,
    HourlyBaseline,
    background_rate,
    burst_scale,
    occurrence,
)
from shotspotter_assets.models.next_hours.features import NEAR_WIDTHS, hour_profile
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes

TRIGGER_HALF_LIVES_HOURS: Final = (0.5, 1.0, 3.0)
MAX_FIT_HOURS: Final = 2 * 8766
"""The process is fitted on the last two years: its few numbers need no more."""
INITIAL_STRENGTHS: Final = (0.8, 0.03, 0.03)


@dataclass(frozen=True)
class FittedSelfExciting:
    """The process; `strengths` are b, k and l, `profile` is that of the hour of week (168,)."""

    horizon: int
    profile: Numbers
    half_life: float
    strengths: Numbers
    scale: float

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        rate = _rate_at(history, issues)
        return occurrence(self.expected(history, issues, rate), self.scale)

    def expected(self, history: HourlyHistory, issues: Indexes, rate: Array) -> Array:
        """Expected occupied hours within the horizon, with what the hours ahead trigger themselves; (issues, cells).

        Args:
            rate: of the background at the issues, shape (issues, cells).
        """
        hours = span(issues)
        near = smoothing_weights(history.in_coverage, NEAR_WIDTHS[0])
        own = _excitation(history, hours, self.half_life)[issues - hours.start].astype(np.float64)
        steady = self.strengths[0] * rate
        total = np.zeros_like(own)
        for step in range(self.horizon):
            now = steady * self.profile[history.clock.hour_of_week[issues + step], None]
            now = now + self.strengths[1] * own + self.strengths[2] * (own @ near.T)
            total += now
            own = own * 2.0 ** (-1 / self.half_life) + now
        return total


class SelfExciting(HourlyBaseline):
    """See the module."""

    name: ClassVar[str] = "self_exciting"
    model: ClassVar[type[Any]] = FittedSelfExciting

    def _fit_horizon(self, fold: Fold) -> tuple[FittedSelfExciting, FittedSelfExciting]:
        history, train = fold.history, fold.train
        recent = range(max(train.start, train.stop - MAX_FIT_HOURS), train.stop)
        # A night of fireworks would pass for contagion.
        ordinary = ~history.clock.fireworks[recent.start : recent.stop]
        occupied = history.occupied[recent.start : recent.stop][ordinary]
        level = hour_profile(history, recent)[history.clock.hour_of_week[recent.start : recent.stop], None]
        steady = (background_rate(history, recent) * level).astype(np.float32)[ordinary]
        near = smoothing_weights(history.in_coverage, NEAR_WIDTHS[0])
        profile = hour_profile(history, train)
        rate, positives = _rate_at(history, fold.issues), fold.observed.sum()
        tried = []
        for half_life in TRIGGER_HALF_LIVES_HOURS:
            own = _excitation(history, recent, half_life)
            strengths = _likeliest([steady, own[ordinary], (own @ near.T)[ordinary]], occupied)
            fitted = FittedSelfExciting(fold.horizon, profile, half_life, strengths, 1.0)
            expected = fitted.expected(history, fold.issues, rate)
            scale = burst_scale(expected, positives)
            tried.append((fold.loss(occurrence(expected, scale)), replace(fitted, scale=scale)))
        best = min(tried, key=itemgetter(0))[1]
        return best, replace(best, profile=hour_profile(history, fold.both))


def _rate_at(history: HourlyHistory, issues: Indexes) -> Array:
    hours = span(issues)
    return background_rate(history, hours)[issues - hours.start]


def _likeliest(parts: list[Singles], occupied: npt.NDArray[np.bool_]) -> Array:
    """Strengths of the intensity's parts, each (hours, cells), of maximum likelihood."""
    at_alerts = np.stack([part[occupied] for part in parts], axis=1).astype(np.float64)
    elsewhere = np.array([part.sum(dtype=np.float64) for part in parts]) - at_alerts.sum(axis=0)

    def loss(logs: Array) -> tuple[float, Array]:
        strengths = np.exp(logs)
        intensity = np.maximum(at_alerts @ strengths, 1e-12)
        value = elsewhere @ strengths - np.log(-np.expm1(-intensity)).sum()
        slope = elsewhere - (at_alerts / np.expm1(intensity)[:, None]).sum(axis=0)
        return value / len(at_alerts), slope * strengths / len(at_alerts)

    return np.exp(minimize(loss, np.log(INITIAL_STRENGTHS), jac=True, method="L-BFGS-B", bounds=[(-12, 3)] * 3).x)


def _excitation(history: HourlyHistory, hours: range, half_life: float) -> npt.NDArray[Any]:
    """Sum (float32) over the hours before each of `hours` of a^(hours gone by) x, shape (len(hours), cells)."""
    occupied = history.occupied[: hours.stop].astype(np.float32)
    return exponential_mean(occupied, half_life, before=hours) / np.float32(1 - decay_of(half_life))
