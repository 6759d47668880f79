"""A Hawkes process on cells and hours: alerts make alerts of the next hours in the same and in near cells likelier.

An occupied hour of cell i has the intensity b r_i(t) g(t) + sum over s < t of a^(t-1-s) (k x_i(s) + l (S x)_i(s)), with
r the background, g the profile of the hour of week, x occupied hours and S a Gaussian smoothing. It is fitted by
likelihood: an hour has 1 - exp(-intensity) where it is occupied, else exp(-intensity). In the sum over hours that are
not, the intensity is linear, so that only occupied hours need to be looked at one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.filters import decay_of, exponential_mean, smoothing_weights, span
from shotspotter_assets.models.forecaster import FittedHours, Numbers, clip_probability
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster, Pairs
from shotspotter_assets.models.next_hours.hourly_inputs import NEAR_WIDTHS, hour_profile
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

TRIGGER_HALF_LIFE_HOURS: Final = 1.0
HALF_LIFE_DAYS: Final = 60
RECENT_SHARE: Final = 0.8
WHOLE_SHARE: Final = 0.1  # weights in `background_rate`: best on validation hours of Washington DC and Oakland
MIN_HOURLY_RATE: Final = 1e-7  # nothing is impossible where nothing has happened yet
MAX_FIT_HOURS: Final = 2 * 8766  # the process is fitted on the last two years: its few numbers need no more
INITIAL_STRENGTHS: Final = (0.8, 0.03, 0.03)
SCALE_STEPS: Final = 4


@dataclass(frozen=True)
class FittedSelfExciting(FittedHours):
    """The process; `strengths` are b, k and l, `profile` is that of the hour of week (168,)."""

    horizon: int
    profile: Numbers
    strengths: Numbers
    scale: float

    def predict(self, history: HourlyHistory, issues: Integers) -> Array:
        return clip_probability(occurrence(self.expected(history, issues), self.scale))

    def expected(self, history: HourlyHistory, issues: Integers) -> Array:
        """Return expected occupied hours within the horizon, those triggered in it too; (issues, cells)."""
        hours = span(issues)
        near = smoothing_weights(history.in_coverage, NEAR_WIDTHS[0])
        steady = self.strengths[0] * background_rate(history, hours)[issues - hours.start]
        excitation = _excitation(history, hours)[issues - hours.start].astype(np.float64)
        total = np.zeros_like(excitation)
        for step in range(self.horizon):
            intensity = steady * self.profile[history.clock.hour_of_week[issues + step], None]
            intensity = intensity + self.strengths[1] * excitation + self.strengths[2] * (excitation @ near.T)
            total += intensity
            excitation = excitation * decay_of(TRIGGER_HALF_LIFE_HOURS) + intensity
        return total


class SelfExciting(HourlyForecaster):
    """The process, fitted on the last two years and scaled on the validation hours."""

    fitted = FittedSelfExciting

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range, horizons: Sequence[int]) -> Pairs:
        """Fit the strengths once for all horizons, and the scale of each on its validation hours."""
        strengths = _fit_strengths(history, range(max(train.start, train.stop - MAX_FIT_HOURS), train.stop))
        train_profile = hour_profile(history, train)
        profile = hour_profile(history, range(train.start, validation.stop))
        pairs = {}
        for horizon in horizons:
            issues = history.issues(validation, horizon)
            unscaled = FittedSelfExciting(horizon, train_profile, strengths, 1.0, chosen={})
            scale = burst_scale(unscaled.expected(history, issues), history.occupied_within(horizon)[issues].sum())
            pairs[horizon] = (replace(unscaled, scale=scale), replace(unscaled, scale=scale, profile=profile))
        return pairs


def background_rate(history: HourlyHistory, hours: range) -> Array:
    """Return a mixture of recent and past rates of cell and city, without the hour of week; shape (len(hours), cells)."""
    occupied = history.occupied[: hours.stop].astype(np.float32)
    recent = exponential_mean(occupied, HALF_LIFE_DAYS * DAY_HOURS, history.is_known, hours)
    whole = exponential_mean(occupied, np.inf, history.is_known, hours)
    city = recent.mean(axis=1, keepdims=True)
    mixture = RECENT_SHARE * recent + WHOLE_SHARE * whole + (1 - RECENT_SHARE - WHOLE_SHARE) * city
    return np.maximum(mixture, MIN_HOURLY_RATE).astype(np.float64)


def occurrence(expected: npt.NDArray[np.floating], scale: float) -> Array:
    """Return the probability of at least one occupied hour, given the expected number: 1 - exp(-scale * expected)."""
    return -np.expm1(-scale * expected)


def burst_scale(expected: npt.NDArray[np.floating], positives: float) -> float:
    """Return the scale with which `occurrence` sums to the number of `positives`."""
    # Alerts of a cell come in bursts, so fewer horizons have one than their mean would give.
    scale = 1.0
    for _ in range(SCALE_STEPS if positives else 0):
        scale *= positives / float(occurrence(expected, scale).sum())
    return scale


def _fit_strengths(history: HourlyHistory, hours: range) -> Array:
    """Return the likeliest strengths on the ordinary ones of some hours; a night of fireworks would pass for contagion."""
    window = slice(hours.start, hours.stop)
    ordinary = ~history.clock.fireworks[window] & history.are_known(np.array(hours))
    level = hour_profile(history, hours)[history.clock.hour_of_week[window], None]
    steady = (background_rate(history, hours) * level).astype(np.float32)
    excitation = _excitation(history, hours)
    near = smoothing_weights(history.in_coverage, NEAR_WIDTHS[0])
    parts = [part[ordinary] for part in (steady, excitation, excitation @ near.T)]
    return _likeliest(parts, history.occupied[window][ordinary])


def _likeliest(parts: list[Singles], occupied: Booleans) -> Array:
    """Return the strengths (3,) of the parts of the intensity, each (hours, cells), that make `occupied` likeliest."""
    at_alerts = np.stack([part[occupied] for part in parts], axis=1).astype(np.float64)
    elsewhere = np.array([part.sum(dtype=np.float64) for part in parts]) - at_alerts.sum(axis=0)

    def loss(logs: Array) -> tuple[float, Array]:
        strengths = np.exp(logs)
        intensity = np.maximum(at_alerts @ strengths, 1e-12)
        value = elsewhere @ strengths - np.log(-np.expm1(-intensity)).sum()
        slope = elsewhere - (at_alerts / np.expm1(intensity)[:, None]).sum(axis=0)
        return value / len(at_alerts), slope * strengths / len(at_alerts)

    return np.exp(minimize(loss, np.log(INITIAL_STRENGTHS), jac=True, method="L-BFGS-B", bounds=[(-12, 3)] * 3).x)


def _excitation(history: HourlyHistory, hours: range) -> npt.NDArray[Any]:
    """Return the sum (float32) over the hours before each of a^(hours gone by) x, shape (len(hours), cells)."""
    occupied = history.occupied[: hours.stop].astype(np.float32)
    mean = exponential_mean(occupied, TRIGGER_HALF_LIFE_HOURS, before=hours)
    return mean / np.float32(1 - decay_of(TRIGGER_HALF_LIFE_HOURS))
