"""The forecasts of the next hours that a model must beat, tuned on the same validation window.

Like `forecasting.baselines`, each is tuned by log loss on the validation window and then fitted again on training and
validation hours together, and forecasts a test hour from all alerts before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.features import (
    NEAR_WIDTHS,
    PROFILE_WIDTHS,
    Array,
    Indexes,
    ahead,
    hour_profile,
    recursive_mean,
    smoother,
)
from shotspotter_assets.models.probability import clip_probability, log_losses

CLIMATOLOGY: Final = "climatology"
"""The reference of all skill scores: what happens in the cell at any hour."""
HOUR_OF_WEEK: Final = ("climatology_hour_of_week", "ewma_hour_of_week", "self_exciting")
"""The baselines that know the hour of week."""
MAX_SELF_EXCITING: Final = 4
"""Hours; what an alert triggers is over by then."""

PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
HALF_LIVES: Final = (30, 60, 120, 240, 480)
MIXTURE_STEPS: Final = 5
TUNING_HORIZON: Final = 4
MIN_RATE: Final = 1e-7
"""Per hour: nothing is impossible where nothing has happened yet."""
TRIGGER_HALF_LIVES: Final = (0.5, 1.0, 3.0)
"""In hours."""
TRIGGER_HOURS: Final = 2 * 8766
"""The self-exciting process is fitted on the last two years: its few numbers need no more."""
SCALE_STEPS: Final = 4


@dataclass(frozen=True)
class HourBaseline:
    """One baseline's forecasts.

    Attributes:
        name: key in reports.
        probability: of at least one alert within the horizon, float64, shape (issues, cells).
        settings: what was chosen on the validation window, with its validation log loss.
        seconds: wall-clock time of tuning, fit and forecast.
    """

    name: str
    probability: Array
    settings: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class _Fold:
    history: HourlyHistory
    train: range
    validation: range
    test: range
    horizon: int
    occupied: npt.NDArray[np.bool_]

    @cached_property
    def background(self) -> "Background":
        return tune_background(self)

    @property
    def fitted(self) -> range:
        return range(self.train.start, self.validation.stop)

    def issues(self, hours: range) -> Indexes:
        return self.history.issues(hours, self.horizon)

    def labels(self, hours: range) -> npt.NDArray[np.bool_]:
        return self.occupied[self.issues(hours)]

    def loss(self, probability: npt.NDArray[np.floating]) -> float:
        return float(log_losses(probability, self.labels(self.validation)).mean())


def fit_hour_baselines(
    history: HourlyHistory, train: range, validation: range, test: range, horizon: int
) -> dict[str, HourBaseline]:
    """All baselines of one fold and horizon by name; forecasts are issued at `HourlyHistory.issues` of the test hours.

    Args:
        history: up to the last test hour at least.
        train: indices of hours; `validation` starts where it ends, and `test` where that ends.
        validation: see `train`.
        test: see `train`.
        horizon: in hours.
    """
    fold = _Fold(history, train, validation, test, horizon, history.occupied_within(horizon))
    kinds: dict[str, Callable[[_Fold], tuple[Array, dict[str, Any]]]] = {
        CLIMATOLOGY: _climatology,
        "climatology_hour_of_week": _climatology_hour_of_week,
        "ewma_hour_of_week": _ewma_hour_of_week,
    }
    if horizon <= MAX_SELF_EXCITING:
        kinds["self_exciting"] = _self_exciting
    forecasts = {}
    for name, fit in kinds.items():
        started = perf_counter()
        probability, settings = fit(fold)
        forecasts[name] = HourBaseline(name, clip_probability(probability), settings, perf_counter() - started)
    return forecasts


def _frequency(fold: _Fold, hours: range, pseudo_days: float) -> Array:
    """Share of horizons with an alert, drawn towards the city's mean as if by `pseudo_days` days of it; (cells,)."""
    labels = fold.labels(hours)
    pseudo = pseudo_days * DAY_HOURS / fold.horizon
    return (labels.sum(axis=0) + pseudo * labels.mean()) / (len(labels) + pseudo)


def _climatology(fold: _Fold) -> tuple[Array, dict[str, Any]]:
    losses = {pseudo: fold.loss(_frequency(fold, fold.train, pseudo)[None]) for pseudo in PSEUDO_DAYS}
    best = min(losses, key=losses.__getitem__)
    shape = fold.labels(fold.test).shape
    probability = np.broadcast_to(_frequency(fold, fold.fitted, best), shape)
    return probability, {"pseudo_days": best, "validation_log_loss": losses[best]}


def _climatology_hour_of_week(fold: _Fold) -> tuple[Array, dict[str, Any]]:
    """Expected number of the cell's climatology times the city's profile of the hours ahead."""

    def forecast(fitted: range, issued: range, pseudo: float, width: float) -> Array:
        rate = -np.log1p(-_frequency(fold, fitted, pseudo))
        profile = hour_profile(fold.history, fitted, width)
        busy = ahead(profile[fold.history.clock.hour_of_week], fold.horizon)
        _, first, times = np.unique(week[fold.issues(fitted)], return_index=True, return_counts=True)
        by_week = rate * busy[fold.issues(fitted)[first], None]
        scale = _scale(by_week, fold.labels(fitted).sum(), times[:, None])
        return -np.expm1(-scale * rate * busy[fold.issues(issued), None])

    week = fold.history.clock.hour_of_week
    grid = list(product(PSEUDO_DAYS, PROFILE_WIDTHS))
    losses = {chosen: fold.loss(forecast(fold.train, fold.validation, *chosen)) for chosen in grid}
    best = min(losses, key=losses.__getitem__)
    settings = {"pseudo_days": best[0], "profile_hours": best[1], "validation_log_loss": losses[best]}
    return forecast(fold.fitted, fold.test, *best), settings


@dataclass(frozen=True)
class Background:
    """Settings of a cell's rate: a mixture of its recent rate, its whole history and the city's recent rate."""

    half_life_days: int
    recent: float
    history: float
    profile_hours: float

    def rate(self, history: HourlyHistory, hours: range) -> Array:
        """Expected occupied hours in an hour, without the hour of week; shape (len(hours), cells)."""
        occupied = (history.alerts[: hours.stop] > 0).astype(np.float32)
        recent = recursive_mean(occupied, hours, self.half_life_days * DAY_HOURS)
        whole = recursive_mean(occupied, hours, np.inf)
        city = recent.mean(axis=1, keepdims=True)
        rest = 1 - self.recent - self.history
        mixed = self.recent * recent + self.history * whole + rest * city
        return np.maximum(mixed, MIN_RATE).astype(np.float64)


def tune_background(fold: _Fold) -> "Background":
    """The background with the least validation log loss of `TUNING_HORIZON` hours: shorter ones say the same, dearer."""
    history, clock, validation = fold.history, fold.history.clock, fold.validation
    horizon = max(fold.horizon, TUNING_HORIZON)
    fold = replace(fold, horizon=horizon, occupied=history.occupied_within(horizon))
    at = fold.issues(validation)
    labels = fold.labels(validation)
    occupied = (history.alerts[: validation.stop] > 0).astype(np.float32)
    rows = at - validation.start
    whole = recursive_mean(occupied, validation, np.inf)[rows]
    busy = {
        width: ahead(hour_profile(history, fold.train, width)[clock.hour_of_week], horizon)[at, None]
        for width in PROFILE_WIDTHS
    }

    def loss(recent: npt.NDArray[np.floating], background: Background) -> float:
        mixed = background.recent * recent + background.history * whole
        mixed = mixed + (1 - background.recent - background.history) * recent.mean(axis=1, keepdims=True)
        expected = horizon * np.maximum(mixed, MIN_RATE) * busy[background.profile_hours]
        return fold.loss(-np.expm1(-_scale(expected, labels.sum()) * expected))

    steps = [at / MIXTURE_STEPS for at in range(MIXTURE_STEPS)]
    mixtures = [(first, second) for first, second in product(steps, repeat=2) if 0 < first + second < 1]
    recents = {days: recursive_mean(occupied, validation, days * DAY_HOURS)[rows] for days in HALF_LIVES}
    tried = [Background(days, *mixture, PROFILE_WIDTHS[1]) for days, mixture in product(HALF_LIVES, mixtures)]
    best = min(tried, key=lambda background: loss(recents[background.half_life_days], background))
    widths = [replace(best, profile_hours=width) for width in PROFILE_WIDTHS]
    return min(widths, key=lambda background: loss(recents[background.half_life_days], background))


def _ewma_hour_of_week(fold: _Fold) -> tuple[Array, dict[str, Any]]:
    background = fold.background

    def expected(profiled: range, issued: range) -> Array:
        at = fold.issues(issued)
        profile = hour_profile(fold.history, profiled, background.profile_hours)
        busy = ahead(profile[fold.history.clock.hour_of_week], fold.horizon)[at, None]
        return fold.horizon * background.rate(fold.history, issued)[at - issued.start] * busy

    before = expected(fold.train, fold.validation)
    scale = _scale(before, fold.labels(fold.validation).sum())
    loss = fold.loss(-np.expm1(-scale * before))
    probability = -np.expm1(-scale * expected(fold.fitted, fold.test))
    return probability, vars(background) | {"validation_log_loss": loss}


def _self_exciting(fold: _Fold) -> tuple[Array, dict[str, Any]]:
    """A Hawkes process on cells and hours, fitted by likelihood.

    An occupied hour of cell i has the intensity b r_i(t) g(t) + sum over s < t of a^(t-1-s) (k x_i(s) + l (S x)_i(s)),
    with r the background, g the profile of the hour of week, x occupied hours and S a Gaussian smoothing. The
    likelihood of an hour is 1 - exp(-intensity) where it is occupied, else exp(-intensity); in the sum over hours that
    are not, the intensity is linear, so that only occupied hours need to be looked at one by one.
    """
    background = fold.background
    weights = smoother(fold.history.covered, NEAR_WIDTHS[0])

    recent = range(max(fold.train.start, fold.train.stop - TRIGGER_HOURS), fold.train.stop)
    # A night of fireworks would pass for contagion.
    ordinary = ~fold.history.clock.fireworks[recent.start : recent.stop]
    occupied = fold.history.alerts[recent.start : recent.stop][ordinary] > 0
    best: tuple[float, float, Array, float] | None = None
    for half_life in TRIGGER_HALF_LIVES:
        parts = _intensity_parts(fold, background, weights, recent, half_life)
        strengths = _likeliest([part[ordinary] for part in parts], occupied)
        del parts
        expected = _expected(fold, background, weights, fold.validation, half_life, strengths)
        scale = _scale(expected, fold.labels(fold.validation).sum())
        loss = fold.loss(-np.expm1(-scale * expected))
        if best is None or loss < best[0]:
            best = loss, half_life, strengths, scale
    assert best is not None
    loss, half_life, strengths, scale = best
    expected = _expected(fold, background, weights, fold.test, half_life, strengths)
    named = dict(zip(("background", "own_cell", "near_cells"), strengths.tolist(), strict=True))
    return -np.expm1(-scale * expected), named | {"half_life_hours": half_life, "validation_log_loss": loss}


def _intensity_parts(
    fold: _Fold, background: Background, weights: npt.NDArray[np.float32], hours: range, half_life: float
) -> list[npt.NDArray[np.float32]]:
    profile = hour_profile(fold.history, hours, background.profile_hours)
    busy = profile[fold.history.clock.hour_of_week[hours.start : hours.stop], None]
    own = _excitation(fold, hours, half_life)
    rate = background.rate(fold.history, hours)
    return [(rate * busy).astype(np.float32), own, own @ weights.T]


def _excitation(fold: _Fold, hours: range, half_life: float) -> npt.NDArray[np.float32]:
    occupied = (fold.history.alerts[: hours.stop] > 0).astype(np.float32)
    return recursive_mean(occupied, hours, half_life) / np.float32(1 - 2.0 ** (-1 / half_life))


def _likeliest(parts: list[npt.NDArray[np.float32]], occupied: npt.NDArray[np.bool_]) -> Array:
    seen = np.stack([part[occupied] for part in parts], axis=1).astype(np.float64)
    unseen = np.array([part.sum(dtype=np.float64) for part in parts]) - seen.sum(axis=0)

    def loss(logs: Array) -> tuple[float, Array]:
        strengths = np.exp(logs)
        intensity = np.maximum(seen @ strengths, 1e-12)
        value = unseen @ strengths - np.log(-np.expm1(-intensity)).sum()
        slope = unseen - (seen / np.expm1(intensity)[:, None]).sum(axis=0)
        return value / len(seen), slope * strengths / len(seen)

    return np.exp(minimize(loss, np.log([0.8, 0.03, 0.03]), jac=True, method="L-BFGS-B", bounds=[(-12, 3)] * 3).x)


def _expected(
    fold: _Fold,
    background: Background,
    weights: npt.NDArray[np.float32],
    hours: range,
    half_life: float,
    strengths: Array,
) -> Array:
    """Expected occupied hours within the horizon, what the hours ahead trigger themselves included; (issues, cells)."""
    at = fold.issues(hours)
    own = _excitation(fold, hours, half_life)[at - hours.start].astype(np.float64)
    profile = hour_profile(fold.history, range(fold.train.start, hours.start), background.profile_hours)
    steady = strengths[0] * background.rate(fold.history, hours)[at - hours.start]
    total = np.zeros_like(own)
    for step in range(fold.horizon):
        now = steady * profile[fold.history.clock.hour_of_week[at + step], None]
        now = now + strengths[1] * own + strengths[2] * (own @ weights.T)
        total += now
        own = own * 2.0 ** (-1 / half_life) + now
    return total


def _scale(expected: npt.NDArray[np.floating], positives: float, times: npt.NDArray[np.number] | float = 1.0) -> float:
    """The factor with which 1 - exp(-factor * expected), each counted `times`, sums to the number of `positives`.

    Alerts of a cell come in bursts, so fewer horizons have one than their mean would say.
    """
    factor = 1.0
    for _ in range(SCALE_STEPS if positives else 0):
        factor *= positives / -(np.expm1(-factor * expected) * times).sum()
    return factor
