"""The network that starts at the regression's log odds and learns what is missing; no tree is inside.

Its frames are the last 31 days, pooled over time the more the longer they are past; beside them it reads the next-day
inputs that differ from cell to cell, as by the others it would learn single days by heart. The regression's log odds are
first moved to the level of the last weeks, as a city drifts away from the level of the years it was fitted on. Only
ordinary days are learned from: firework days have a regime of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from shotspotter_assets.models.forecaster import Array, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import Inputs, is_same_for_all_cells, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.regime_regression import (
    FittedRegimeRegression,
    OtherInputsError,
    RegimeRegressionForecaster,
    days_to_fit,
    days_to_judge,
    fit_on_inputs,
    with_firework_days,
)
from shotspotter_assets.models.probability import clip_probability, log_losses

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

FRAME_EDGES: Final = (31, 15, 7, 3, 1, 0)
"""A frame is the mean of the days from one of these (exclusive) before the target's eve to the next (inclusive)."""
LEVEL_DAYS: Final = 42
"""The level is that of so many days before; whole weeks, so that each weekday counts alike."""
LEVEL_PRIOR: Final = 100.0
"""Occupied cell-days as expected that the level starts with, so that few alerts do not move it much."""
MAX_INPUT: Final = 4.0
"""Standardised inputs beyond this are cut: nothing was learned there."""
BATCH_DAYS: Final = 16
DAYS_AT_ONCE: Final = 32
MODEL_FILE: Final = "network.keras"
TRAIN_MODEL_FILE: Final = "network_of_training_days.keras"
SETTINGS_FILE: Final = "network.json"


@dataclass(frozen=True)
class FittedResidualNetwork:
    """See `Fitted`.

    Attributes:
        linear: regression of training and validation days.
        model: network of training and validation days.
        of_train: network of the training days alone, from which a later fit goes on, as it must not have seen what it is
            validated on.
        settings: `share` of what the network adds is added; `seconds` is the wall time of the network's own training.
    """

    linear: FittedRegimeRegression
    model: "keras.Model"
    of_train: "keras.Model"
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        around = range(max(days.start - LEVEL_DAYS, 0), days.stop)
        known = _known(history, next_day_inputs(history, around), around, self.linear)
        added = _residual(self.model, known, days)
        ordinary = expit(known.baseline[days.start - around.start :] + self.settings["share"] * added)
        return clip_probability(with_firework_days(history, days, ordinary, self.linear))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        from shotspotter_assets.models.networks.keras_files import save_model

        return {
            **self.linear.files(),
            MODEL_FILE: save_model(self.model),
            TRAIN_MODEL_FILE: save_model(self.of_train),
            SETTINGS_FILE: json.dumps(self.settings).encode(),
        }


class ResidualConvLSTMForecaster:
    """Trained by AdamW on the training days, then on training and validation days together.

    The learning rate falls to zero along half a cosine, after which there is no best epoch to choose. Chosen on the
    validation window is which share, from none to all, of what the network adds to the regression is added.

    Args:
        epochs: passes over the days, and `warm_epochs` from an earlier network on.
        learning_rate: at first; `warm_learning_rate` from an earlier network on.
    """

    name: ClassVar[str] = "residual_conv_lstm"

    def __init__(
        self,
        epochs: int = 16,
        learning_rate: float = 5e-3,
        warm_epochs: int = 2,
        warm_learning_rate: float = 2e-3,
        seed: int = 0,
    ) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.warm_epochs = warm_epochs
        self.warm_learning_rate = warm_learning_rate
        self.seed = seed

    def fit(
        self, history: History, train: range, validation: range, start: FittedResidualNetwork | None = None
    ) -> FittedResidualNetwork:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        inputs = next_day_inputs(history, range(validation.stop))
        linear = fit_on_inputs(history, inputs, train, validation)
        return self.fit_on_linear(history, inputs, train, validation, *linear, start)

    def fit_on_linear(
        self,
        history: History,
        inputs: Inputs,
        train: range,
        validation: range,
        of_train: FittedRegimeRegression,
        of_both: FittedRegimeRegression,
        start: FittedResidualNetwork | None = None,
    ) -> FittedResidualNetwork:
        """Train on the two regressions of `fit_on_inputs`; the arguments before them are those that it took."""
        began = perf_counter()
        days = range(len(inputs.values))
        known = _known(history, inputs, days, of_train)
        model = self._trained(history, days_to_fit(history, train), known, start and start.of_train)
        added = _residual(model, known, validation)
        baseline = known.baseline[validation.start : validation.stop]
        tested = days_to_judge(history, validation) - validation.start
        observed = history.observed[validation.start : validation.stop][tested]

        def loss(share: float) -> float:
            return float(log_losses(expit(baseline[tested] + share * added[tested]), observed).mean())

        share = min((0.0, 1.0, float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)), key=loss)
        ordinary = expit(baseline + share * added)
        probability = clip_probability(with_firework_days(history, validation, ordinary, of_train))
        known = _known(history, inputs, days, of_both)
        both = days_to_fit(history, range(train.start, validation.stop))
        refitted = self._trained(history, both, known, start and start.model)
        settings = {
            "share": share,
            "validation_log_loss": loss(share),
            "baseline_validation_log_loss": loss(0),
            "went_on_from_an_earlier_network": start is not None,
            "parameters": model.count_params(),
            "seconds": perf_counter() - began,
        }
        return FittedResidualNetwork(of_both, refitted, model, settings, probability)

    def load(self, files: Mapping[str, bytes]) -> FittedResidualNetwork:
        """See `Forecaster.load`.

        Raises:
            OtherInputsError: an earlier version stored it, with one network instead of two.
        """
        from shotspotter_assets.models.networks.keras_files import load_model

        if TRAIN_MODEL_FILE not in files:
            raise OtherInputsError("A stored residual_conv_lstm is of an earlier version; fit it again.")
        linear = RegimeRegressionForecaster().load(files)
        model, of_train = load_model(files[MODEL_FILE]), load_model(files[TRAIN_MODEL_FILE])
        return FittedResidualNetwork(linear, model, of_train, json.loads(files[SETTINGS_FILE]))

    def _trained(self, history: History, days: Integers, known: "_Known", start: "keras.Model | None") -> "keras.Model":
        """A network trained on `days`, on from the weights of `start`."""
        import keras

        from shotspotter_assets.models.networks.residual_conv_lstm import build_residual, members_cross_entropy

        keras.utils.set_random_seed(self.seed)
        model = build_residual(known.frames.shape[1:], known.inputs.shape[2])
        rate, epochs = self.learning_rate, self.epochs
        if start is not None:
            model.set_weights(start.get_weights())
            rate, epochs = self.warm_learning_rate, self.warm_epochs
        batches = max(len(days) // BATCH_DAYS, 1)
        falling = keras.optimizers.schedules.CosineDecay(rate, epochs * batches)
        model.compile(keras.optimizers.AdamW(falling), members_cross_entropy, jit_compile=False)
        random = np.random.default_rng(self.seed)
        observed = history.observed[:, :, None].astype(np.float32)
        for _ in range(epochs):
            # Batches of one size, so that one graph is built; a few days, other ones each time, are left over.
            for chosen in random.permutation(days)[: batches * BATCH_DAYS].reshape(batches, -1):
                model.train_on_batch(known.batch(chosen), observed[chosen])
        return model


@dataclass(frozen=True)
class _Known:
    """What the network reads of the days of `days`; the first axis of the arrays are these days.

    Attributes:
        days: contiguous indexes of the day axis.
        cells: where the covered cells are in the grid, row by row, int32 (cells,).
        inputs: standardised, float32 (days, cells, inputs).
        frames: float32 (days, frames, rows, columns, channels).
        baseline: the regression's log odds at the level of the last weeks, float64 (days, cells).
    """

    days: range
    cells: npt.NDArray[np.int32]
    inputs: Floats
    frames: Floats
    baseline: Array

    def batch(self, days: Integers) -> dict[str, npt.NDArray[Any]]:
        """The network's inputs for some of the days."""
        at = days - self.days.start
        return {
            "frames": self.frames[at],
            "cells": np.tile(self.cells, (len(at), 1)),
            "inputs": self.inputs[at],
            "baseline": self.baseline[at, :, None].astype(np.float32),
        }


def _known(history: History, inputs: Inputs, days: range, linear: FittedRegimeRegression) -> _Known:
    """`inputs` are those of `days`."""
    logit = linear.logit(inputs)
    seen = [at for at, name in enumerate(inputs.names) if not is_same_for_all_cells(name)]
    mean, scale = (of[seen].astype(np.float32) for of in (linear.mean, linear.scale))
    standard = (inputs.values[:, :, seen] - mean) / scale
    np.clip(standard, -MAX_INPUT, MAX_INPUT, out=standard)
    baseline = logit + recent_level(history, days, logit)[:, None]
    cells = np.flatnonzero(history.covered).astype(np.int32)
    return _Known(days, cells, standard, _recent_frames(history)[days.start : days.stop], baseline)


def recent_level(history: History, days: range, logit: Array) -> Array:
    """How far the log odds (days, cells) have to move to the level of the `LEVEL_DAYS` before each day, shape (days,)."""
    known = range(days.start, min(days.stop, len(history.counts)))
    ordinary = ordinary_days(history)[known.start : known.stop]

    def before(daily: Array) -> Array:
        total = np.concatenate([[0.0], (daily * ordinary).cumsum()])
        day = np.arange(len(days))
        return total[day] - total[np.maximum(day - LEVEL_DAYS, 0)]

    observed = before(history.observed[known.start : known.stop].sum(axis=1))
    expected = before(expit(logit[: len(known)]).sum(axis=1))
    return np.asarray(np.log((observed + LEVEL_PRIOR) / (expected + LEVEL_PRIOR)))


def _recent_frames(history: History) -> Floats:
    """Frames for every day and the day after the last, float32 (days + 1, frames, rows, columns, 2)."""
    late = np.zeros(history.alerts.shape) if history.late is None else history.late
    daily = np.log1p(np.stack([history.alerts, late], axis=-1))
    daily = (daily * ordinary_days(history)[:, None, None, None]).astype(np.float32)
    summed = np.concatenate([np.zeros_like(daily[:1]), daily.cumsum(axis=0)])
    day = np.arange(len(summed))
    frames = [
        (summed[np.maximum(day - newest, 0)] - summed[np.maximum(day - oldest, 0)]) / (oldest - newest)
        for oldest, newest in pairwise(FRAME_EDGES)
    ]
    return np.stack(frames, axis=1)


def _residual(model: "keras.Model", known: _Known, days: range) -> Array:
    """What the members of the network add to the baseline's log odds, averaged, float64 (days, cells)."""
    parts = [
        np.asarray(model.predict_on_batch(known.batch(np.arange(first, min(first + DAYS_AT_ONCE, days.stop)))))
        for first in range(days.start, days.stop, DAYS_AT_ONCE)
    ]
    of_members = np.concatenate(parts).astype(np.float64)
    return of_members.mean(axis=2) - known.baseline[days.start - known.days.start : days.stop - known.days.start]
