"""The network that starts at the regression's log odds and learns what is missing; no tree is inside.

Its frames are the last 31 days, pooled over time the more the longer they are past; beside them it reads the next-day
inputs that differ from cell to cell, as by the others it would learn single days by heart. The regression's log odds are
first moved by the city's offset of the last weeks, as a city drifts away from the rate of the years it was fitted on. Only
ordinary days are learned from: firework days have a regime of their own.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, FitContext, OtherInputsError
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import Inputs, is_same_for_all_cells, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegression,
    Integers,
    Regressions,
    fit_regressions,
    with_firework_days,
)
from shotspotter_assets.models.next_day.settings import ResidualConvLSTMSettings
from shotspotter_assets.models.probability import clip_probability, log_losses

if TYPE_CHECKING:
    from shotspotter_assets.models.networks.quiet_keras import keras

Floats = npt.NDArray[np.float32]

FRAME_EDGES: Final = (31, 15, 7, 3, 1, 0)
"""A frame is the mean of the days from one of these (exclusive) before the target's eve to the next (inclusive)."""
OFFSET_DAYS: Final = 42
"""The offset is that of so many days before; whole weeks, so that each weekday counts alike."""
OFFSET_PRIOR: Final = 100.0
"""Prior strength of the offset in occupied cell-days as expected, so that few alerts do not move it much."""
MAX_INPUT: Final = 4.0
"""Standardised inputs beyond this are cut: nothing was learned there."""
BATCH_DAYS: Final = 16
PREDICTED_DAYS: Final = 32
"""At a time."""
MODEL_FILE: Final = "network.keras"
TRAIN_MODEL_FILE: Final = "network_of_training_days.keras"
SETTINGS_FILE: Final = "network.json"


class NetworkSettings(TypedDict):
    """`share` of what the network adds is added; `seconds` is the wall time of the network's own training."""

    share: float
    validation_log_loss: float
    baseline_validation_log_loss: float
    went_on_from_an_earlier_network: bool
    parameters: int
    seconds: float


@dataclass(frozen=True)
class FittedResidualNetwork:
    """See `Fitted`.

    Attributes:
        regression: of training and validation days.
        model: network of training and validation days.
        train_model: network of the training days alone, from which a later fit goes on, as it must not have seen what it
            is validated on.
    """

    regression: FittedRegression
    model: "keras.Model"
    train_model: "keras.Model"
    settings: NetworkSettings
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        start, added = self._parts(history, days)
        return clip_probability(with_firework_days(history, days, expit(start + added), self.regression))

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        """See `HasDrivers.drivers`; those of the regression that it starts at."""
        return self.regression.drivers(history, day)

    def spread(self, history: History, day: int) -> tuple[Array, Array]:
        """See `HasSpread.spread`; the other forecast is the regression, moved by the city's offset."""
        _, added = self._parts(history, range(day, day + 1))
        return np.minimum(-added[0], 0), np.maximum(-added[0], 0)

    def _parts(self, history: History, days: range) -> tuple[Array, Array]:
        """(log odds that the network starts at, what is added to them), each (days, cells)."""
        around = range(max(days.start - OFFSET_DAYS - (history.lead - 1), 0), days.stop)
        data = _network_data(history, next_day_inputs(history, around), around, self.regression)
        added = self.settings["share"] * _residual(self.model, data, days)
        return data.start[days.start - around.start :], added

    def files(self) -> dict[str, bytes]:
        from shotspotter_assets.models.networks.quiet_keras import save_model

        return {
            **self.regression.files(),
            MODEL_FILE: save_model(self.model),
            TRAIN_MODEL_FILE: save_model(self.train_model),
            SETTINGS_FILE: json.dumps(self.settings).encode(),
        }


class _Chosen(NamedTuple):
    """What the validation window has chosen; `probability` is of its days, shape (days, cells)."""

    model: "keras.Model"
    share: float
    log_loss: float
    baseline_log_loss: float
    probability: Array


class ResidualConvLSTMForecaster:
    """Trained by AdamW on the training days, then on training and validation days together.

    The learning rate falls to zero along half a cosine, after which there is no best epoch to choose. Chosen on the
    validation window is which share, from none to all, of what the network adds to the regression is added.
    """

    name: ClassVar[str] = "residual_conv_lstm"

    def __init__(self, settings: ResidualConvLSTMSettings) -> None:
        self.settings = settings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedResidualNetwork:
        """See `Forecaster.fit`; it goes on from an earlier network where there is one."""
        data = FitData.make(history, train, validation)
        earlier = context.earlier if isinstance(context.earlier, FittedResidualNetwork) else None
        return self.fit_on_regressions(data, fit_regressions(data), earlier)

    def validate(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Array:
        """See `Tunable.validate`."""
        data = FitData.make(history, train, validation)
        return self._chosen(data, fit_regressions(data), None, context).probability

    def fit_on_regressions(
        self, data: FitData, regressions: Regressions, earlier: FittedResidualNetwork | None = None
    ) -> FittedResidualNetwork:
        began = perf_counter()
        chosen = self._chosen(data, regressions, earlier)
        history = data.history
        known = _network_data(history, data.every_input, range(data.validation.stop), regressions.both)
        refitted = self._trained(history, data.to_fit(data.both), known, earlier and earlier.model)
        settings: NetworkSettings = {
            "share": chosen.share,
            "validation_log_loss": chosen.log_loss,
            "baseline_validation_log_loss": chosen.baseline_log_loss,
            "went_on_from_an_earlier_network": earlier is not None,
            "parameters": chosen.model.count_params(),
            "seconds": perf_counter() - began,
        }
        return FittedResidualNetwork(regressions.both, refitted, chosen.model, settings, chosen.probability)

    def _chosen(
        self,
        data: FitData,
        regressions: Regressions,
        earlier: FittedResidualNetwork | None,
        context: FitContext = NO_CONTEXT,
    ) -> "_Chosen":
        """The network of the training days, and what share of it the validation window chooses."""
        history, validation = data.history, data.validation
        known = _network_data(history, data.every_input, range(validation.stop), regressions.train)
        start = known.start[validation.start : validation.stop]
        judged = data.scoring_days - validation.start
        observed = history.observed[data.scoring_days]

        def loss(share: float, added: Array) -> float:
            return float(log_losses(expit(start[judged] + share * added[judged]), observed).mean())

        def after_epoch(model: "keras.Model", epoch: int) -> None:
            if context.after_epoch is not None:
                validation_loss = loss(1.0, _residual(model, known, validation))
                context.log(f"epoch {epoch}/{self.settings.epochs}: validation loss {validation_loss:.5f}")
                context.after_epoch(epoch, validation_loss)

        model = self._trained(history, data.to_fit(data.train), known, earlier and earlier.train_model, after_epoch)
        added = _residual(model, known, validation)
        best = minimize_scalar(loss, args=(added,), bounds=(0, 1), method="bounded").x
        share = min((0.0, 1.0, float(best)), key=lambda share: loss(share, added))
        probability = with_firework_days(history, validation, expit(start + share * added), regressions.train)
        return _Chosen(model, share, loss(share, added), loss(0.0, added), clip_probability(probability))

    def load(self, files: Mapping[str, bytes]) -> FittedResidualNetwork:
        """See `Forecaster.load`.

        Raises:
            OtherInputsError: an earlier version stored it, with one network instead of two.
        """
        from shotspotter_assets.models.networks.quiet_keras import load_model

        if TRAIN_MODEL_FILE not in files:
            raise OtherInputsError("A stored residual_conv_lstm is of an earlier version; fit it again.")
        model, train_model = load_model(files[MODEL_FILE]), load_model(files[TRAIN_MODEL_FILE])
        return FittedResidualNetwork(FittedRegression.load(files), model, train_model, json.loads(files[SETTINGS_FILE]))

    def _trained(
        self,
        history: History,
        days: Integers,
        data: "_NetworkData",
        earlier: "keras.Model | None",
        after_epoch: Callable[["keras.Model", int], None] = lambda *_: None,
    ) -> "keras.Model":
        """A network trained on `days`, on from the weights of an earlier one."""
        from shotspotter_assets.models.networks.quiet_keras import keras
        from shotspotter_assets.models.networks.residual_conv_lstm import build_residual, members_cross_entropy

        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        model = build_residual(data.frames.shape[1:], data.inputs.shape[2])
        rate, epochs = settings.learning_rate, settings.epochs
        if earlier is not None:
            model.set_weights(earlier.get_weights())
            rate, epochs = settings.warm_learning_rate, settings.warm_epochs
        batches = max(len(days) // BATCH_DAYS, 1)
        falling = keras.optimizers.schedules.CosineDecay(rate, epochs * batches)
        model.compile(keras.optimizers.AdamW(falling), members_cross_entropy, jit_compile=False)
        model.optimizer.build(model.trainable_variables)  # else the first batch builds the graph twice
        random = np.random.default_rng(settings.seed)
        observed = history.observed[:, :, None].astype(np.float32)
        for epoch in range(1, epochs + 1):
            # Batches of one size, so that one graph is built; a few days, other ones each time, are left over.
            for chosen in random.permutation(days)[: batches * BATCH_DAYS].reshape(batches, -1):
                model.train_on_batch(data.batch(chosen), observed[chosen])
            after_epoch(model, epoch)
        return model


@dataclass(frozen=True)
class _NetworkData:
    """What the network reads of some days, which are the first axis of the arrays.

    Attributes:
        days: contiguous indexes of the day axis.
        cells: where the covered cells are in the grid, row by row, int32 (cells,).
        inputs: standardised, float32 (days, cells, inputs).
        frames: float32 (days, frames, rows, columns, channels).
        start: the regression's log odds moved by the city's offset of the last weeks, float64 (days, cells).
    """

    days: range
    cells: npt.NDArray[np.int32]
    inputs: Floats
    frames: Floats
    start: Array

    def batch(self, days: Integers) -> dict[str, npt.NDArray[Any]]:
        at = days - self.days.start
        return {
            "frames": self.frames[at],
            "cells": np.tile(self.cells, (len(at), 1)),
            "inputs": self.inputs[at],
            "baseline": self.start[at, :, None].astype(np.float32),
        }


def _network_data(history: History, inputs: Inputs, days: range, regression: FittedRegression) -> _NetworkData:
    """`inputs` are those of `days`."""
    logit = regression.logit(inputs)
    seen = [at for at, name in enumerate(inputs.names) if not is_same_for_all_cells(name)]
    mean, scale = (values[seen].astype(np.float32) for values in (regression.mean, regression.scale))
    standard = (inputs.values[:, :, seen] - mean) / scale
    np.clip(standard, -MAX_INPUT, MAX_INPUT, out=standard)
    start = logit + recent_offset(history, days, logit)[:, None]
    cells = np.flatnonzero(history.in_coverage).astype(np.int32)
    return _NetworkData(days, cells, standard, _recent_frames(history)[days.start : days.stop], start)


def recent_offset(history: History, days: range, logit: Array) -> Array:
    """How far the city's log odds (days, cells) were off in the `OFFSET_DAYS` known before each day, shape (days,)."""
    known = range(days.start, min(days.stop, len(history.counts)))
    ordinary = ordinary_days(history)[known.start : known.stop]

    def before(daily: Array) -> Array:
        total = np.concatenate([[0.0], (daily * ordinary).cumsum()])
        day = np.maximum(np.arange(len(days)) - (history.lead - 1), 0)
        return total[day] - total[np.maximum(day - OFFSET_DAYS, 0)]

    observed = before(history.observed[known.start : known.stop].sum(axis=1))
    expected = before(expit(logit[: len(known)]).sum(axis=1))
    return np.asarray(np.log((observed + OFFSET_PRIOR) / (expected + OFFSET_PRIOR)))


def _recent_frames(history: History) -> Floats:
    """Frames for every day to the one that is forecast, float32 (days + lead, frames, rows, columns, 2)."""
    evening = np.zeros(history.alerts.shape) if history.evening is None else history.evening
    daily = np.log1p(np.stack([history.alerts, evening], axis=-1))
    daily = (daily * ordinary_days(history)[:, None, None, None]).astype(np.float32)
    summed = np.concatenate([np.zeros_like(daily[:1]), daily.cumsum(axis=0)])
    day = history.known_before(range(history.next_day + 1))
    frames = [
        (summed[np.maximum(day - newest, 0)] - summed[np.maximum(day - oldest, 0)]) / (oldest - newest)
        for oldest, newest in pairwise(FRAME_EDGES)
    ]
    return np.stack(frames, axis=1)


def _residual(model: "keras.Model", data: _NetworkData, days: range) -> Array:
    """What the members of the network add to the log odds they start at, averaged, float64 (days, cells)."""
    parts = [
        np.asarray(model.predict_on_batch(data.batch(np.arange(first, min(first + PREDICTED_DAYS, days.stop)))))
        for first in range(days.start, days.stop, PREDICTED_DAYS)
    ]
    members = np.concatenate(parts).astype(np.float64)
    return members.mean(axis=2) - data.start[days.start - data.days.start : days.stop - data.days.start]
