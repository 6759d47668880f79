"""Forecasts of the next 1 to 12 hours from any hour by logistic regression, one for each horizon.

It is fitted on a sample of (hour, cell) rows in which alerts are over-represented; the odds are corrected exactly for
that. Boosted trees on what it leaves, tried on the first quarter of 2017 in Washington DC, added nothing at 1 hour and
less than 0.01 nats per positive at 4, and are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.filters import Singles, span
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import Numbers, StoredModel, Unstored
from shotspotter_assets.models.next_hours.features import (
    CELL_FEATURES,
    WINDOW_FEATURES,
    Rows,
    cell_features,
    hour_profile,
    window_features,
)
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, Indexes
from shotspotter_assets.models.probability import clip_probability, log_losses

WARM_UP_HOURS: Final = 90 * DAY_HOURS
"""First hours of all history that are not fitted on, as their rates rest on a few days."""
FIREWORK_HALF_LIFE_HOURS: Final = 180 * DAY_HOURS
"""Of the weight of firework hours in the fit: how many of their alerts are published changes by the year."""
MAX_ROWS_AT_ONCE: Final = 1_000_000
PROFILE_HOURS: Final = 1.5
"""Standard deviation of the smoothing of the profile of the week."""
MAX_POSITIVES: Final = 20_000
"""Of the sample of a fit."""
NEGATIVES_PER_POSITIVE: Final = 8
INVERSE_PENALTY: Final = 0.01
SEED: Final = 0


@dataclass(frozen=True)
class NextHours:
    """The forecaster of some horizons."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str] = "next_hours"

    def fit(self, history: HourlyHistory, train: range, validation: range) -> "FittedNextHours":
        """See `HourlyForecaster.fit`.

        How well one fitted on the training hours does on the validation hours is kept in `HorizonModel.validation`;
        the one that is kept is fitted on both.

        Raises:
            HourlyHistoryError: the ranges do not follow each other within the history, or there is nothing to learn.
        """
        profile = hour_profile(history, train, PROFILE_HOURS)
        hours = range(min(max(train.start, WARM_UP_HOURS), (train.start + train.stop) // 2), validation.stop)
        if not (train.stop == validation.start and train and validation and validation.stop <= len(history)):
            raise HourlyHistoryError(
                f"City {history.city.name}: training hours {train} and validation hours {validation} must follow each "
                f"other, none empty, within the {len(history)} hours from {history.first_day}."
            )
        samples = {
            horizon: self._sample(history, hours, train.stop, horizon, np.random.default_rng([SEED, horizon]))
            for horizon in self.horizons
        }
        everything = Rows(
            *(np.concatenate([getattr(s.rows, axis) for s in samples.values()]) for axis in ("hour", "cell"))
        )
        cell_inputs = cell_features(history, hours, everything, profile)
        bounds = np.cumsum([0, *(len(sample.positive) for sample in samples.values())])
        pairs = {}
        for at, (horizon, sample) in enumerate(samples.items()):
            window_inputs = window_features(history, hours, horizon, profile)[sample.rows.hour]
            pairs[horizon] = self._fit_horizon(sample, cell_inputs[bounds[at] : bounds[at + 1]], window_inputs)
        on_train, on_both = ({horizon: pair[at] for horizon, pair in pairs.items()} for at in (0, 1))
        return FittedNextHours(profile, on_both, FittedNextHours(profile, on_train))

    @staticmethod
    def load(files: Mapping[str, bytes]) -> "FittedNextHours":
        """See `HourlyForecaster.load`."""
        return FittedNextHours.load(files)

    def _sample(
        self, history: HourlyHistory, hours: range, train_stop: int, horizon: int, random: np.random.Generator
    ) -> "_Sample":
        """Rows of hours from which the horizon lies within training or within validation, not across both."""
        occupied = history.occupied_within(horizon)[hours.start : hours.stop - horizon + 1]
        positives = int(occupied.sum())
        if not 0 < positives < occupied.size:
            raise HourlyHistoryError(
                f"City {history.city.name}: {positives} of {occupied.size} cells and hours from {history.starts[hours[0]]} on "
                f"have an alert within {horizon} hours; fit on a longer window or check the coverage."
            )
        keep_positive = min(1.0, MAX_POSITIVES / positives)
        wanted = keep_positive * positives * NEGATIVES_PER_POSITIVE
        keep_negative = min(1.0, wanted / (occupied.size - positives))
        share = np.where(occupied, np.float32(keep_positive), np.float32(keep_negative))
        hour, cell = np.nonzero(random.random(occupied.shape, dtype=np.float32) < share)
        at = hour + hours.start
        whole = (at + horizon <= train_stop) | (at >= train_stop)
        hour, cell, at = hour[whole], cell[whole], at[whole]
        return _Sample(Rows(hour, cell), occupied[hour, cell], at >= train_stop, keep_positive, keep_negative)

    def _fit_horizon(
        self, sample: "_Sample", cell_inputs: Singles, window_inputs: Singles
    ) -> "tuple[HorizonModel, HorizonModel]":
        """The regressions on the training hours and on both windows."""
        inputs, check = _linear_inputs(cell_inputs, window_inputs), sample.is_validation
        age = sample.rows.hour.max() - sample.rows.hour
        fireworks = window_inputs[:, WINDOW_FEATURES.index("fireworks_ahead")] > 0
        sample_weight = np.where(fireworks, 2.0 ** (-age / FIREWORK_HALF_LIFE_HOURS), 1.0)
        on_train, on_both = (
            replace(regression, intercept=regression.intercept - sample.log_odds)
            for regression in (
                self._regression(inputs[~check], sample.positive[~check], sample_weight[~check]),
                self._regression(inputs, sample.positive, sample_weight),
            )
        )
        forecast, observed, weight = expit(on_train.logit(inputs[check])), sample.positive[check], sample.weight[check]
        validation = {
            "log_loss": float(np.average(log_losses(forecast, observed), weights=weight)),
            "predicted_over_observed": float((weight @ forecast) / max(weight @ observed, 1.0)),
        }
        return on_train, replace(on_both, validation=validation)

    def _regression(self, inputs: Singles, positive: npt.NDArray[np.bool_], sample_weight: Array) -> "HorizonModel":
        from sklearn.linear_model import LogisticRegression

        # float64 and a solver that goes to the end: nearly equal rates make the fit stiff.
        rows = inputs.astype(np.float64)
        centre, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
        model = LogisticRegression(C=INVERSE_PENALTY, solver="newton-cholesky")
        with threadpool_limits(1):
            model.fit((rows - centre) / spread, positive, sample_weight)
        weights = model.coef_[0] / spread
        return HorizonModel(weights, float(model.intercept_[0] - weights @ centre), {})


@dataclass(frozen=True)
class _Sample:
    rows: Rows
    positive: npt.NDArray[np.bool_]
    is_validation: npt.NDArray[np.bool_]
    keep_positive: float
    keep_negative: float

    @property
    def log_odds(self) -> float:
        """Shift of every logit by the sampling: the odds of a kept row are those of all rows times this ratio."""
        return float(np.log(self.keep_positive / self.keep_negative))

    @property
    def weight(self) -> Array:
        """Number of rows that each kept one stands for."""
        return np.where(self.positive, 1 / self.keep_positive, 1 / self.keep_negative)


@dataclass(frozen=True)
class HorizonModel:
    """The regression of one horizon on `_linear_inputs`, and how one without the validation hours did on them."""

    weights: Numbers
    intercept: float
    validation: dict[str, float]

    def logit(self, inputs: Singles) -> Array:
        return inputs @ self.weights + self.intercept


@dataclass(frozen=True)
class FittedNextHours(StoredModel):
    """A fitted forecaster of a city's next hours."""

    profile: Numbers
    models: dict[int, HorizonModel]
    on_train: Unstored = None
    name: ClassVar[str] = NextHours.name

    def predict(self, history: HourlyHistory, issues: Sequence[int] | Indexes, horizon: int) -> Array:
        """See `FittedHourly.predict`.

        Raises:
            HourlyHistoryError: the horizon was not fitted, or an issue lies outside the history.
        """
        issues = np.asarray(issues, np.int64)
        is_valid = len(issues) and issues[0] >= 1 and issues[-1] <= len(history) and (np.diff(issues) > 0).all()
        if horizon not in self.models or not is_valid:
            raise HourlyHistoryError(
                f"City {history.city.name}: cannot forecast {horizon} hours at {len(issues)} issues; fitted are "
                f"{list(self.models)} hours, and issues must ascend from 1 to {len(history)}."
            )
        cells = history.alerts.shape[1]
        blocks = []
        for part in np.array_split(issues, -(-len(issues) * cells // MAX_ROWS_AT_ONCE)):
            hours = span(part)
            rows = Rows(np.repeat(part - part[0], cells), np.tile(np.arange(cells), len(part)))
            cell_inputs = cell_features(history, hours, rows, self.profile)
            window_inputs = window_features(history, hours, horizon, self.profile)[rows.hour]
            logit = self.models[horizon].logit(_linear_inputs(cell_inputs, window_inputs))
            blocks.append(clip_probability(expit(logit)).reshape(-1, cells))
        return np.concatenate(blocks)


def _linear_inputs(cell_inputs: Singles, window_inputs: Singles) -> Singles:
    """Inputs of the regression, shape (rows, inputs): hours as waves, and the products that a line needs."""
    window = {name: window_inputs[:, at] for at, name in enumerate(WINDOW_FEATURES)}
    angle = np.float32(2 * np.pi / DAY_HOURS) * window.pop("hour")
    waves = [wave(harmonic * angle) for harmonic in (1, 2) for wave in (np.sin, np.cos)]
    night = cell_inputs[:, CELL_FEATURES.index("night_share")]
    products = [
        night * window["log_profile_ahead"],
        *(window[season] * wave for season in ("season_sine", "season_cosine") for wave in waves[:2]),
    ]
    return np.column_stack([cell_inputs, *window.values(), *waves, *products])
