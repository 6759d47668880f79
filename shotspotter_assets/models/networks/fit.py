"""Training of the network `conv_lstm` by Keras, and its raw outputs."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from shotspotter_assets.models.forecaster import NO_CONTEXT, Choices, FitContext
from shotspotter_assets.models.forecaster_registry import NetworkSettings
from shotspotter_assets.models.networks.conv_lstm_network import build_conv_lstm
from shotspotter_assets.models.networks.losses import weighted_cross_entropy
from shotspotter_assets.models.networks.quiet_keras import keras
from shotspotter_assets.models.networks.windows import Windows
from shotspotter_assets.storage.fingerprints import sha256

PLATEAU_FACTOR: Final = 0.5
"""Factor of the learning rate after `plateau_patience` epochs without a better validation loss."""


def fit_network(
    counts: np.ndarray,
    in_coverage: np.ndarray,
    train: range,
    validation: range,
    settings: NetworkSettings,
    lead: int,
    own_maps: Sequence[int],
    context: FitContext = NO_CONTEXT,
    start: np.ndarray | None = None,
    kept: np.ndarray | None = None,
) -> tuple[keras.Model, Choices]:
    """Train by Adam with early stopping and a learning rate that is cut on plateaus; the best epoch's weights are kept.

    Return the network, which ends in probabilities, its `best_epoch` from 1 on, the last epoch of a killed attempt (0
    without one), the wall time, and the `history`: `loss`, `val_loss` (nats per covered cell and map, class weight
    included) and `learning_rate` of each epoch after that.

    Seeds the process's random generators, and makes TensorFlow deterministic for the rest of the process. A killed
    training with the same arguments goes on from `context.backups` after its last finished epoch; its early stopping
    counts from there.

    `counts`, `lead`, `own_maps`, `start` and `kept` are those of `Windows`. `train` and `validation` are target days; of
    `train` the last `settings.train_days` are used. The loss is that of the cells `in_coverage` (rows, columns). Raises
    ValueError if shapes, days or settings do not fit together, FloatingPointError if the loss is not finite.
    """
    train = range(max(train.start, train.stop - settings.train_days), train.stop)
    loss = weighted_cross_entropy(in_coverage, settings.class_weight)
    _make_repeatable(settings.seed)
    cut = settings.days, lead, settings.batch_size, own_maps
    batches = Windows(counts, train, *cut, seed=settings.seed, start=start, kept=kept)
    held_out = Windows(counts, validation, *cut, start=start, kept=kept)
    model = _untrained(batches, in_coverage, settings)
    # The trained twin ends in logits, where the loss is exact, and keeps optimizer and loss out of the saved model.
    twin = keras.Model(model.input, model.get_layer("logits").output)
    twin.compile(keras.optimizers.Adam(settings.learning_rate), loss, jit_compile=False)
    began = time.monotonic()
    stopping = keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True)
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        stopping,
        keras.callbacks.ReduceLROnPlateau(
            factor=PLATEAU_FACTOR, patience=settings.plateau_patience, min_delta=0.0, min_lr=0.0
        ),
        _epoch_reports(context, settings.epochs, began),
    ]
    if context.backups is not None:
        arguments = [settings.model_dump(), *map(repr, (train, validation, lead, own_maps, counts.shape, counts.dtype))]
        key = _backup_key(arguments, (counts, in_coverage, start, kept))
        callbacks.insert(-1, keras.callbacks.BackupAndRestore(str(context.backups / key), double_checkpoint=True))
    fitted = twin.fit(
        batches, validation_data=held_out, epochs=settings.epochs, callbacks=callbacks, shuffle=False, verbose=0
    )
    history = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    if not all(math.isfinite(value) for values in history.values() for value in values):
        raise FloatingPointError(f"the loss is not finite in epoch {len(fitted.epoch)}; lower the learning rate")
    resumed_from = fitted.epoch[0] if fitted.epoch else settings.epochs
    chosen = {"best_epoch": stopping.best_epoch + 1, "resumed_from_epoch": resumed_from, "history": history}
    return model, chosen | {"seconds": time.monotonic() - began}


def _make_repeatable(seed: int) -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def _epoch_reports(context: FitContext, epochs: int, began: float) -> keras.callbacks.Callback:
    def on_epoch_end(epoch: int, logs: dict[str, Any]) -> None:
        took = time.monotonic() - began
        context.log(
            f"epoch {epoch + 1}/{epochs}: loss {logs['loss']:.5f}, validation loss {logs['val_loss']:.5f}, "
            f"learning rate {logs['learning_rate']:.2g}, {took:.0f} s so far"
        )
        if context.after_epoch is not None:
            context.after_epoch(epoch + 1, float(logs["val_loss"]))

    return keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)


def _backup_key(arguments: Sequence[Any], arrays: Iterable[np.ndarray | None]) -> str:
    """Return a hash of all that decides how a training goes on, so that another one starts anew."""
    return sha256(json.dumps(arguments), *[b"" if one is None else one.tobytes() for one in arrays])[:16]


def _untrained(batches: Windows, in_coverage: np.ndarray, settings: NetworkSettings) -> keras.Model:
    """Return the network whose every output is the training days' rate, as the class weight distorts it."""
    # A map without any alert would ask for an infinite bias: half an alert is assumed at least.
    half = 0.5 / (len(batches.days) * in_coverage.sum())
    rates = np.clip(batches.rates(in_coverage), half, 1 - half)
    start_level = None if batches.start is None else float(np.log(rates[0] / (1 - rates[0])))
    rows, columns, layers = batches.frames.shape[1:]
    weighted = settings.class_weight * rates / (1 + (settings.class_weight - 1) * rates)
    return build_conv_lstm(settings, rows, columns, weighted, layers, start_level)


def predict_network(
    model: keras.Model,
    counts: np.ndarray,
    days: range,
    settings: NetworkSettings,
    lead: int = 1,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Return raw outputs of the network (the class weight still in them), float32 (n, rows, columns, maps).

    `counts`, `settings`, `lead` and `start` are as in `fit_network`. The last of `days` may be the day `lead` days after
    the last counted one. Raises ValueError if a day has no full window before it, or lies beyond that day.
    """
    if days.start < settings.days + lead - 1:
        raise ValueError(f"forecast day {days.start} has no full window of {settings.days} days before it")
    batches = Windows(counts, days, settings.days, lead, settings.batch_size, start=start)
    return np.asarray(model.predict(batches, verbose=0))
