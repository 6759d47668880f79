"""The network `residual_conv_lstm`: adds to a baseline's log odds, by a peephole ConvLSTM over recent frames and inputs.

Several small networks read the same cells side by side, each with a hidden layer and log odds of its own. They are
trained each on its own loss and averaged afterwards, so that what one of them learns by chance is outvoted (after
Gorishniy et al. 2025, "TabM", where they also share weights). All end in weights that start at zero, so that the
untrained network is the baseline. It takes

- `frames`: float32 (batch, frames, rows, columns, channels), the recent past, oldest first;
- `cells`: int32 (batch, cells), where the forecast cells are in the grid, row by row;
- `inputs`: float32 (batch, cells, inputs), what else is known of each cell;
- `baseline`: float32 (batch, cells, 1), log odds.

Output: float32 (batch, cells, MEMBERS), the log odds of each member. Cells may be others from call to call.
"""

from typing import Any, Final

from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D
from shotspotter_assets.models.networks.quiet_keras import keras, ops

layers = keras.layers
RECURRENT_FILTERS: Final = 4
MEMBERS: Final = 8
HIDDEN: Final = 16
"""Units of the hidden layer of one member."""


def build_residual(frames: tuple[int, ...], inputs: int) -> keras.Model:
    """The network.

    Args:
        frames: (frames, rows, columns, channels).
        inputs: number of inputs.
    """
    recent = keras.Input(frames, name="frames")
    cells = keras.Input((None,), dtype="int32", name="cells")
    known = keras.Input((None, inputs), name="inputs")
    baseline = keras.Input((None, 1), name="baseline")
    joined = layers.Concatenate(name="joined")([_recurrent(recent, cells), known])
    hidden = layers.Dense(MEMBERS * HIDDEN, activation="relu", name="hidden")(joined)
    hidden = layers.Reshape((-1, MEMBERS, HIDDEN), name="members")(hidden)
    residual = layers.EinsumDense(
        "bcmh,mh->bcm", (None, MEMBERS), bias_axes="m", kernel_initializer="zeros", name="residual"
    )(hidden)
    log_odds = layers.Add(name="log_odds")([baseline, residual])
    return keras.Model([recent, cells, known, baseline], log_odds, name="residual_conv_lstm")


def _recurrent(frames: Any, cells: Any) -> Any:
    states = PeepholeConvLSTM2D(RECURRENT_FILTERS, name="recurrence")(frames)
    # Both directions have read everything at opposite ends; the pooling over time takes the largest of any of them.
    length, rows, columns, channels = states.shape[1:]
    pooled = layers.MaxPooling3D((length, 1, 1), name="time_pool")(states)
    pooled = layers.Reshape((rows * columns, channels), name="one_frame")(pooled)
    return ops.take_along_axis(pooled, ops.expand_dims(cells, -1), axis=1)


def members_cross_entropy(targets: Any, logits: Any) -> Any:
    """Binary cross-entropy of each member by itself, averaged over members and cells: one number per sample, in nats.

    Args:
        targets: (batch, cells, 1), 0 or 1.
        logits: (batch, cells, members).
    """
    return ops.mean(ops.softplus(logits) - targets * logits, axis=(1, 2))
