"""Training of a network by Keras: its batches, its loss, a class-weighted cross-entropy over the covered cells, and its file."""

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout

from shotspotter_assets.models.forecaster import NO_CONTEXT, Choices, FitContext
from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.network_model import build_network
from shotspotter_assets.models.networks.quiet_keras import keras, ops
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.progress import Steps

log = logging.getLogger(__name__)
EPOCH_FOLLOWS: Final = 0.85  # usual chance of another epoch, as trainings stop early; for the progress
PLATEAU_FACTOR: Final = 0.5  # factor of the learning rate after `plateau_patience` epochs without a better loss


class Windows(keras.utils.PyDataset):
    """Batches of (inputs by name, occupancy) for target days; pass `shuffle=False` to Keras.

    The inputs are `frames` (n, length, rows, columns, layers), `maps` (n, rows, columns, channels) and `start` (n, rows,
    columns), those that there are; the targets (n, rows, columns, maps), all float32. `days` are indexes into the counts;
    those without a full window before them, or not `used` (days,), are left out. `own_maps` are the layers with a map beside
    map 0; None, for days whose counts are not known yet, gives no targets. `seed` is that of the order of days, which changes
    every epoch; None keeps the order of time. Raises ValueError if no day has a full window, or one lies beyond the counts.
    """

    def __init__(
        self,
        inputs: NetworkInputs,
        days: range,
        batch_size: int,
        own_maps: Sequence[int] | None = None,
        seed: int | None = None,
        used: np.ndarray | None = None,
    ) -> None:
        """Prepare the frames of all days, and the targets of the layers with a map."""
        super().__init__()
        first = max(inputs.first_day, inputs.first_forecast)
        stop = len(inputs.counts) + (inputs.lead if own_maps is None else 0)
        self.days = np.arange(max(days.start, first), days.stop)
        if not len(self.days) or days.stop > stop:
            raise ValueError(
                f"target days {days.start} to {days.stop - 1} must lie from {first} (a full window before them) to {stop - 1}"
            )
        if used is not None:
            self.days = self.days[used[self.days]]
        self.inputs = inputs
        self.batch_size = batch_size
        # Channels last and contiguous: a window is one block. log1p keeps a burst of alerts from dominating.
        by_cell = inputs.counts.transpose(0, 2, 3, 1)
        self.frames = np.ascontiguousarray(np.log1p(by_cell, dtype=np.float32))
        self.before = np.arange(-inputs.length, 0) - (inputs.lead - 1)
        self.occupied: np.ndarray | None = None
        if own_maps is not None:
            # Map 0 is learned separately: it follows from the maps of types only if types were independent, and untyped
            # alerts are in none of them.
            is_any = (by_cell > 0).any(axis=-1, keepdims=True)
            self.occupied = np.concatenate([is_any, by_cell[..., list(own_maps)] > 0], axis=-1)
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the order of days of the next epoch."""
        if self.random is not None:
            self.random.shuffle(self.days)

    def release(self) -> None:
        """Drop the arrays: TensorFlow keeps each data set of a training for the life of the process."""
        del self.inputs, self.frames, self.occupied

    def rates(self) -> np.ndarray:
        """Return the share of occupied covered cells per map over the target days: float64 (maps,)."""
        assert self.occupied is not None
        return self.occupied[self.days].mean(axis=0)[self.inputs.in_coverage].mean(axis=0)

    def __len__(self) -> int:
        return math.ceil(len(self.days) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        days = self.days[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = self.inputs
        named = {}
        if inputs.length:
            named["frames"] = self.frames[days[:, None] + self.before]
        if inputs.maps is not None:
            named["maps"] = inputs.on_grid(inputs.maps, days)
        if inputs.start is not None:
            named["start"] = inputs.on_grid(inputs.start, days)
        return (named,) if self.occupied is None else (named, self.occupied[days].astype(np.float32))


def weighted_cross_entropy(in_coverage: np.ndarray, class_weight: float) -> Callable[[Any, Any], Any]:
    """Return the loss of (targets, logits), both (batch, rows, columns, maps): one number per sample, in nats.

    Per cell and map w*y*log(1 + e^-x) + (1 - y)*log(1 + e^x), w being the class weight, averaged over maps and covered
    cells (rows, columns); the optimum is the probability whose odds are w times the true odds. Raises ValueError if none is.
    """
    cells = int(in_coverage.sum())
    if cells == 0:
        raise ValueError("no cell of the grid is covered, so there is nothing to learn from")
    share = (in_coverage[None, :, :, None] / cells).astype(np.float32)

    def loss(targets: Any, logits: Any) -> Any:
        positive = class_weight * targets * ops.softplus(-logits)
        negative = (1.0 - targets) * ops.softplus(logits)
        return ops.sum((positive + negative) * share, axis=(1, 2, 3)) / logits.shape[-1]

    return loss


def undo_class_weight(q: np.ndarray, weight: float) -> np.ndarray:
    """Return the probability behind an output q of a fit whose class weight w multiplies the odds by w."""
    # Elkan 2001, "The foundations of cost-sensitive learning", theorem 2.
    return q / (weight - (weight - 1) * q)


def fit_network(
    inputs: NetworkInputs,
    train: range,
    validation: range,
    settings: NetworkSettings,
    own_maps: Sequence[int],
    context: FitContext = NO_CONTEXT,
    used: np.ndarray | None = None,
    earlier: keras.Model | None = None,
) -> tuple[keras.Model, Choices]:
    """Train by Adam with early stopping and a learning rate that is cut on plateaus; the best epoch's weights are kept.

    Return the network, which ends in probabilities, and: `best_epoch` (0 for the weights of `earlier`), `resumed_from_epoch`
    (0 if not resumed), `validation_loss_before` (if it continues `earlier`), and the `history` of each epoch since: `loss`,
    `val_loss` (nats per covered cell and map, class weight included) and `learning_rate`. Seeds the process's random
    generators, and makes TensorFlow deterministic for the rest of the process.

    `own_maps` and `used` are those of `Windows`. `train` and `validation` are target days; of `train` the last
    `settings.train_days` are used. Training starts at the weights of the network `earlier` where their shapes are the same,
    and keeps them if no epoch has a lower validation loss. A killed training with the same arguments goes on from
    `context.backups` after its last finished epoch. Raises ValueError if shapes, days or settings do not fit together,
    FloatingPointError if the loss is not finite.
    """
    import tensorflow

    train = range(max(train.start, train.stop - settings.train_days), train.stop)
    loss = weighted_cross_entropy(inputs.in_coverage, settings.class_weight)
    tensorflow.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    batches = Windows(inputs, train, settings.batch_size, own_maps, seed=settings.seed, used=used)
    held_out = Windows(inputs, validation, settings.batch_size, own_maps, used=used)
    model = untrained(batches, settings)
    weights = [] if earlier is None else earlier.get_weights()
    continues = [initial.shape for initial in model.get_weights()] == [trained.shape for trained in weights]
    if continues:
        model.set_weights(weights)
    # The trained twin ends in logits, where the loss is exact, and keeps optimizer and loss out of the saved model.
    twin = keras.Model(model.input, model.get_layer("logits").output)
    # A decay of the weights apart from the gradient, because a penalty in the loss would mislead early stopping.
    adam = keras.optimizers.Adam(settings.learning_rate, weight_decay=settings.weight_decay or None)
    # With its variables built, a training step is traced once, else twice: seconds of each training.
    adam.build(twin.trainable_variables)
    twin.compile(adam, loss, jit_compile=False)
    before = float(twin.evaluate(held_out, verbose=0)) if continues else math.inf
    backup = None
    if context.backups is not None:
        backup = context.backups / _training_key(settings, (train, validation), inputs, own_maps, [used, *weights])
    chosen = _train(twin, batches, held_out, settings, context, backup)
    if continues:
        chosen["validation_loss_before"] = before
        if chosen["history"] and before <= min(chosen["history"]["val_loss"]):
            model.set_weights(weights)
            chosen["best_epoch"] = 0
    return model, chosen


def _training_key(
    settings: NetworkSettings,
    windows: tuple[range, range],
    inputs: NetworkInputs,
    own_maps: Sequence[int],
    arrays: Sequence[np.ndarray | None],
) -> str:
    """Return a hash of all that decides how a training goes on, so that another one starts anew."""
    arguments = [settings.model_dump(), *map(repr, (*windows, inputs.lead, own_maps, inputs.counts.shape))]
    arrays = [inputs.counts, inputs.in_coverage, inputs.maps, inputs.start, *arrays]
    return sha256(json.dumps(arguments), *(b"" if array is None else array.tobytes() for array in arrays))[:16]


def _train(
    twin: keras.Model,
    batches: Windows,
    held_out: Windows,
    settings: NetworkSettings,
    context: FitContext,
    backup: Path | None,
) -> Choices:
    """Train a compiled network, leave it with the best epoch's weights, and return that epoch and the losses of each."""
    stopping = keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True)
    seconds = EPOCH_FOLLOWS ** np.arange(settings.epochs)
    with _backup(backup) as restoring, Steps("epoch", settings.epochs, seconds=seconds.tolist()) as epochs:
        callbacks = [
            keras.callbacks.TerminateOnNaN(),
            stopping,
            keras.callbacks.ReduceLROnPlateau(
                factor=PLATEAU_FACTOR, patience=settings.plateau_patience, min_delta=0.0, min_lr=0.0
            ),
            *restoring,  # early stopping counts from there
            _epoch_reports(context, epochs),
        ]
        fitted = twin.fit(
            batches,
            validation_data=held_out,
            epochs=settings.epochs,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    for data_set in (batches, held_out):
        data_set.release()
    history = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    if not all(math.isfinite(value) for values in history.values() for value in values):
        raise FloatingPointError(f"the loss is not finite in epoch {len(fitted.epoch)}; lower the learning rate")
    resumed_from = fitted.epoch[0] if fitted.epoch else settings.epochs
    return {"best_epoch": stopping.best_epoch + 1, "resumed_from_epoch": resumed_from, "history": history}


@contextmanager
def _backup(folder: Path | None) -> Iterator[list[keras.callbacks.Callback]]:
    """Yield the callback that keeps a backup in a folder; none without a folder, or while another process trains the same."""
    with ExitStack() as held:
        callbacks = []
        if folder is not None:
            with suppress(Timeout):
                held.enter_context(FileLock(f"{folder}.lock", blocking=False))
                callbacks = [keras.callbacks.BackupAndRestore(str(folder), double_checkpoint=True)]
        yield callbacks


def _epoch_reports(context: FitContext, epochs: Steps) -> keras.callbacks.Callback:
    """Return the callback that logs each epoch, and hands its validation loss to the context."""
    began = time.monotonic()

    def on_epoch_end(epoch: int, logs: dict[str, Any]) -> None:
        log.info(
            "epoch %s/%s: loss %.5f, validation loss %.5f, learning rate %.2g, %.0f s so far",
            epoch + 1,
            epochs.total,
            logs["loss"],
            logs["val_loss"],
            logs["learning_rate"],
            time.monotonic() - began,
        )
        epochs.done = epoch  # more than were trained here, if a backup goes on
        epochs.advance()
        if context.after_epoch is not None:
            context.after_epoch(epoch + 1, float(logs["val_loss"]))

    return keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)


def untrained(batches: Windows, settings: NetworkSettings) -> keras.Model:
    """Return the network before training: it gives the training days' rate, or its start, at the odds of the class weight."""
    # A map without any alert would ask for an infinite bias: half an alert is assumed at least.
    half = 0.5 / (len(batches.days) * batches.inputs.in_coverage.sum())
    rates = np.clip(batches.rates(), half, 1 - half)
    weighted = settings.class_weight * rates / (1 + (settings.class_weight - 1) * rates)
    return build_network(settings, batches.inputs, weighted)


def predict_network(model: keras.Model, inputs: NetworkInputs, days: range, batch_size: int) -> np.ndarray:
    """Return outputs with the class weight still in them, float32 (n, rows, columns, maps); raise ValueError for other days."""
    if days.start < inputs.first_forecast:
        raise ValueError(f"forecast day {days.start} has no full window of {inputs.length} days before it")
    # Called directly, as `predict` compiles a function anew for each of the few batches.
    batches = Windows(inputs, days, batch_size)
    return np.concatenate([np.asarray(model(batches[index][0], training=False)) for index in range(len(batches))])


def save_model(model: keras.Model) -> bytes:
    """Return the content of the `.keras` file of a network, without optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()


def load_model(content: bytes) -> keras.Model:
    """Return the network of a `.keras` file; safe mode, so that a file cannot bring code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
