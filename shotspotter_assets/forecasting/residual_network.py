"""The network that starts at the regression's log odds and learns what is missing; no tree is inside.

The frames are the last `FRAME_DAYS` days, pooled over time the more the longer they are past; all next-day inputs come
as maps. Only ordinary days are learned from: firework days have a regime of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from shotspotter_assets.forecasting.forecaster import Array, through
from shotspotter_assets.forecasting.history import History
from shotspotter_assets.forecasting.inputs import Inputs, next_day_inputs, ordinary_days
from shotspotter_assets.forecasting.probability import clip_probability, log_losses
from shotspotter_assets.forecasting.regime_regression import (
    FittedRegimeRegression,
    RegimeRegressionForecaster,
    days_to_fit,
    days_to_judge,
    fit_on_inputs,
    with_firework_days,
)

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]

FRAME_EDGES: Final = (31, 15, 7, 3, 1, 0)
"""A frame is the mean of the days from one of these (exclusive) before the target's eve to the next (inclusive)."""
LARGEST_INPUT: Final = 4.0
"""Standardised inputs beyond this are cut: nothing was learned there."""
BATCH_DAYS: Final = 16
DAYS_AT_ONCE: Final = 32
MODEL_FILE: Final = "network.keras"
SETTINGS_FILE: Final = "network.json"


@dataclass(frozen=True)
class FittedResidualNetwork:
    """See `Fitted`. `seconds` in the settings is the wall time of the network's own training."""

    linear: FittedRegimeRegression
    model: "keras.Model"
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def logit(self, history: History, days: range, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells)."""
        return _logit(self.model, self.linear, history, np.arange(days.start, days.stop), inputs)

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        ordinary = expit(self.logit(history, days, next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self.linear))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        from shotspotter_assets.training.fit import save_model

        settings = json.dumps(self.settings).encode()
        return {**self.linear.files(), MODEL_FILE: save_model(self.model), SETTINGS_FILE: settings}


class ResidualConvLSTMForecaster:
    """Bidirectional peephole ConvLSTM over the frames, trained by Adam with early stopping on the validation window.

    The untrained network, which is the regression, counts as epoch 0.

    Args:
        epochs: most passes over the training days, and as many as `warm_epochs` from an earlier network on.
        learning_rate: of Adam; a third of it from an earlier network on.
        patience: epochs without a better validation loss before training stops.
    """

    name: ClassVar[str] = "residual_conv_lstm"

    def __init__(
        self, epochs: int = 6, warm_epochs: int = 2, learning_rate: float = 2e-3, patience: int = 2, seed: int = 0
    ) -> None:
        self.epochs = epochs
        self.warm_epochs = warm_epochs
        self.learning_rate = learning_rate
        self.patience = patience
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
        """Train on the regression of the training days; forecasts then start at that of both windows."""
        import keras

        from shotspotter_assets.networks.loss import covered_cross_entropy
        from shotspotter_assets.networks.residual import build_residual

        began = perf_counter()
        keras.utils.set_random_seed(self.seed)
        frames = (len(FRAME_EDGES) - 1, *history.covered.shape, 2)
        model = build_residual(frames, len(inputs.names))
        rate, epochs = self.learning_rate, self.epochs
        if start is not None:
            model.set_weights(start.model.get_weights())
            rate, epochs = rate / 3, self.warm_epochs
        optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-3)
        model.compile(optimizer, covered_cross_entropy(history.covered, 1.0), jit_compile=False)
        targets = np.zeros((len(history.counts), *history.covered.shape, 1), dtype=np.float32)
        targets[:, history.covered, 0] = history.observed
        days, tested = days_to_fit(history, train), days_to_judge(history, validation)
        recent = _recent_frames(history)
        random = np.random.default_rng(self.seed)

        def loss() -> float:
            logit = _logit(model, of_train, history, tested, Inputs(inputs.values[tested], inputs.names), recent)
            return float(log_losses(expit(logit), history.observed[tested]).mean())

        start_loss = float(
            log_losses(
                expit(of_train.logit(Inputs(inputs.values[tested], inputs.names))), history.observed[tested]
            ).mean()
        )
        losses = [start_loss if start is None else loss()]
        best = [np.copy(array) for array in model.get_weights()]
        for epoch in range(epochs):
            if epoch - int(np.argmin(losses)) >= self.patience:
                break
            order = random.permutation(days)
            for chosen in np.array_split(order, max(len(order) // BATCH_DAYS, 1)):
                batch = _batch(of_train, history, Inputs(inputs.values[chosen], inputs.names), recent[chosen])
                model.train_on_batch(batch, targets[chosen])
            losses.append(loss())
            if losses[-1] == min(losses):
                best = [np.copy(array) for array in model.get_weights()]
        model.set_weights(best)
        settings = {
            "validation_log_loss": min(losses),
            "validation_log_losses": losses,
            "baseline_validation_log_loss": start_loss,
            "went_on_from_an_earlier_network": start is not None,
            "parameters": model.count_params(),
            "seconds": perf_counter() - began,
        }
        window = np.arange(validation.start, validation.stop)
        logit = _logit(model, of_train, history, window, Inputs(inputs.values[window], inputs.names), recent)
        probability = clip_probability(with_firework_days(history, validation, expit(logit), of_train))
        return FittedResidualNetwork(of_both, model, settings, probability)

    def load(self, files: Mapping[str, bytes]) -> FittedResidualNetwork:
        """See `Forecaster.load`."""
        from shotspotter_assets.training.fit import load_model

        linear = RegimeRegressionForecaster().load(files)
        return FittedResidualNetwork(linear, load_model(files[MODEL_FILE]), json.loads(files[SETTINGS_FILE]))


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


def _batch(linear: FittedRegimeRegression, history: History, inputs: Inputs, frames: Floats) -> dict[str, Floats]:
    grid = (len(frames), *history.covered.shape)
    maps = np.zeros((*grid, len(inputs.names)), dtype=np.float32)
    standard = ((inputs.values - linear.mean) / linear.scale).astype(np.float32)
    maps[:, history.covered] = np.clip(standard, -LARGEST_INPUT, LARGEST_INPUT)
    baseline = np.zeros((*grid, 1), dtype=np.float32)
    baseline[:, history.covered, 0] = linear.logit(inputs)
    return {"frames": frames, "maps": maps, "baseline": baseline}


def _logit(
    model: "keras.Model",
    linear: FittedRegimeRegression,
    history: History,
    days: npt.NDArray[np.int64],
    inputs: Inputs,
    recent: Floats | None = None,
) -> Array:
    """The network's log odds, float64 (days, cells); `inputs` are those of `days`."""
    frames = _recent_frames(history) if recent is None else recent
    parts = []
    for first in range(0, len(days), DAYS_AT_ONCE):
        chosen = slice(first, first + DAYS_AT_ONCE)
        batch = _batch(linear, history, Inputs(inputs.values[chosen], inputs.names), frames[days[chosen]])
        parts.append(np.asarray(model.predict_on_batch(batch))[:, history.covered, 0].astype(np.float64))
    return np.concatenate(parts)
