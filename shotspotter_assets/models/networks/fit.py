"""The training of the network `conv_lstm`, which goes on where a killed run stopped, and its raw outputs.

Splitting days into training, validation and test, calibration and scores do not belong here.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shotspotter_assets.models.networks.checkpoint import Checkpoint, Epoch, TrainingState, run_key
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.models.networks.conv_lstm import build_conv_lstm
from shotspotter_assets.models.networks.losses import weighted_cross_entropy
from shotspotter_assets.models.networks.quiet_keras import keras
from shotspotter_assets.models.networks.windows import TYPED_LAYERS, WindowBatches, Windows, shuffled


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with the weights of its best epoch, and how it came about.

    `seconds` is wall time over all attempts. `resumed_from_epoch` is the last epoch of an earlier attempt, 0 if there was
    none.
    """

    model: keras.Model
    history: list[Epoch]
    best_epoch: int
    seconds: float
    resumed_from_epoch: int


def fit_network(
    counts: np.ndarray,
    in_coverage: np.ndarray,
    train: range,
    validation: range,
    config: NetworkConfig,
    checkpoint: Checkpoint | None,
    progress: Callable[[str], None],
    lead: int = 1,
    own_maps: Sequence[int] = TYPED_LAYERS,
    after_epoch: Callable[[int, float], None] | None = None,
) -> TrainedNetwork:
    """Train the network: Adam, early stopping, best weights kept, learning rate cut on a plateau.

    After every epoch the whole state goes into `checkpoint`; called again with the same arguments after its process
    was killed, the function goes on after the last finished epoch and, if `config.deterministic`, ends with the
    weights of an uninterrupted run. The caller deletes the checkpoint when the result is safe.
    Seeds the process's random generators; `deterministic` makes TensorFlow deterministic for the rest of the process.

    Args:
        counts: Daily counts (days, layers, rows, columns).
        in_coverage: Boolean (rows, columns): the cells the loss is taken on.
        train: Target days, as indexes into `counts`; days without a full window before them are left out.
        validation: Target days for early stopping and learning rate, apart from `train`.
        config: All settings.
        checkpoint: Place of the state; None for a training that begins anew when it is started again.
        progress: Takes one line per epoch, and one when a checkpoint is used.
        lead: Days from the last day of an input window to its target day.
        own_maps: See `Windows`.
        after_epoch: See `FitContext`.

    Raises:
        ValueError: Shapes, day ranges or settings do not fit together.
        TrainingDivergedError: A loss is not finite.
    """
    windows, first = Windows(counts, config.days, lead, own_maps), config.days + lead - 1
    if in_coverage.shape != counts.shape[2:] or in_coverage.dtype != np.bool_:
        raise ValueError(f"in_coverage must be boolean {counts.shape[2:]}, not {in_coverage.dtype} {in_coverage.shape}")
    train_days = windows.checked_days((day for day in train if day >= first), "training", known=True)
    validation_days = windows.checked_days((day for day in validation if day >= first), "validation", known=True)
    if np.intersect1d(train_days, validation_days).size:
        raise ValueError(f"training days {train} and validation days {validation} overlap")

    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    loss = weighted_cross_entropy(in_coverage, config.class_weight)
    model = _untrained(windows, train_days, in_coverage, config)
    # The trained twin ends in logits, where the loss is exact, and takes optimizer and loss out of the saved model.
    twin = keras.Model(model.inputs, model.get_layer("logits").output)
    twin.compile(keras.optimizers.Adam(config.learning_rate), loss, jit_compile=False)
    twin.optimizer.build(twin.trainable_variables)
    variables = [*model.variables, *twin.optimizer.variables]
    shapes = [tuple(variable.shape) for variable in variables]
    key = run_key(counts, in_coverage, (train, validation), config, lead, shapes)
    state, best = _start(checkpoint, key, variables, model, progress)
    resumed_from_epoch = state.epoch

    validation_batches = WindowBatches(windows, validation_days, config.batch_size)
    while state.epoch < config.epochs and state.waited < config.patience:
        started = time.monotonic()
        order = shuffled(train_days, config.seed, state.epoch)
        losses = twin.fit(
            WindowBatches(windows, order, config.batch_size),
            validation_data=validation_batches,
            shuffle=False,
            verbose=0,
        ).history
        epoch = Epoch(
            epoch=state.epoch + 1,
            loss=float(losses["loss"][0]),
            validation_loss=float(losses["val_loss"][0]),
            learning_rate=float(twin.optimizer.learning_rate),
            seconds=time.monotonic() - started,
        )
        if not math.isfinite(epoch.loss) or not math.isfinite(epoch.validation_loss):
            raise TrainingDivergedError(f"loss is not finite in epoch {epoch.epoch}: {epoch}; lower the learning rate")
        if state.advance(epoch):
            best = _copied_weights(model)
        elif state.plateau_waited >= config.plateau_patience:
            twin.optimizer.learning_rate = epoch.learning_rate * config.plateau_factor
            state.plateau_waited = 0
        if checkpoint is not None:
            checkpoint.write(key, state, variables, best)
        progress(_progress_line(state, config, len(train_days) + len(validation_days)))
        if after_epoch is not None:
            after_epoch(epoch.epoch, epoch.validation_loss)

    model.set_weights(best)
    return TrainedNetwork(model, state.history, state.best_epoch, state.seconds, resumed_from_epoch)


def _untrained(windows: Windows, train_days: np.ndarray, in_coverage: np.ndarray, config: NetworkConfig) -> keras.Model:
    """The network that answers the training days' rates everywhere, as the class weight distorts them."""
    # A map without any alert would ask for an infinite bias: half an alert is assumed at least.
    half = 0.5 / (len(train_days) * in_coverage.sum())
    rates = np.clip(windows.rates(train_days, in_coverage), half, 1 - half)
    rows, columns, layers = windows.frames.shape[1:]
    weighted = config.class_weight * rates / (1 + (config.class_weight - 1) * rates)
    return build_conv_lstm(config, rows, columns, weighted, layers)


def _start(
    checkpoint: Checkpoint | None, key: str, variables: list[Any], model: keras.Model, progress: Callable[[str], None]
) -> tuple[TrainingState, list[np.ndarray]]:
    """State and best weights of an earlier attempt, whose values go into `variables`, or those of a new run."""
    stored = None if checkpoint is None else checkpoint.read(key, variables)
    if checkpoint is not None and stored is not None:
        progress(f"resuming after epoch {stored[0].epoch} from the checkpoint {checkpoint.uri}")
        return stored
    return TrainingState(), _copied_weights(model)


def _copied_weights(model: keras.Model) -> list[np.ndarray]:
    """The weights as they are now; a copy, because what Keras hands out may share memory with what is trained on."""
    return [np.copy(array) for array in model.get_weights()]


def _progress_line(state: TrainingState, config: NetworkConfig, samples: int) -> str:
    """One line on the epoch just finished; the time left is that to the last epoch, which early stopping may cut."""
    last, left = state.history[-1], (config.epochs - state.epoch) * state.seconds / state.epoch
    return (
        f"epoch {state.epoch}/{config.epochs}: loss {last.loss:.5f}, "
        f"validation loss {last.validation_loss:.5f} (best {state.best_loss:.5f} in epoch {state.best_epoch}), "
        f"learning rate {last.learning_rate:.2g}, {samples / last.seconds:.1f} samples/s, "
        f"at most {left / 60:.0f} min left"
    )


def predict_network(
    model: keras.Model, counts: np.ndarray, days: range | Sequence[int], config: NetworkConfig, lead: int = 1
) -> np.ndarray:
    """Raw outputs of the network (the class weight still in them), float32 (n, rows, columns, maps).

    Args:
        model: A trained network.
        counts: Daily counts (days, layers, rows, columns), of the layers that it was trained on.
        days: Target days as indexes into `counts`, from `config.days` + `lead` - 1 on; the last one may be the day
            `lead` days after the last counted one. Only counts of days up to `lead` days before a target are read.
        config: The settings it was trained with.
        lead: That it was trained for.

    Raises:
        ValueError: A day has no full window before it, or lies beyond the day that is forecast.
    """
    windows = Windows(counts, config.days, lead, own_maps=())
    targets = windows.checked_days(days, "forecast", known=False)
    return np.asarray(model.predict(WindowBatches(windows, targets, config.batch_size, with_targets=False), verbose=0))
