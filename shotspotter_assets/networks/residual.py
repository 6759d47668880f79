"""Small networks that add to a baseline's log odds: the peephole ConvLSTM, a convolutional mixer and a transformer.

All take the same three inputs and end in a layer that starts at zero, so that the untrained network is the baseline:

- `frames`: float32 (batch, frames, rows, columns, channels), the recent past, oldest first;
- `maps`: float32 (batch, rows, columns, maps), what is known of each cell otherwise;
- `baseline`: float32 (batch, rows, columns, 1), log odds.

Output: float32 (batch, rows, columns, 1), log odds.
"""

from collections.abc import Callable
from typing import Any, Final

import keras

from shotspotter_assets.networks.peephole_conv_lstm import PeepholeConvLSTM2D

layers = keras.layers
FILTERS: Final = 16
RECURRENT_FILTERS: Final = 8
DROPOUT: Final = 0.2


def build_residual(kind: str, frames: tuple[int, ...], maps: int) -> keras.Model:
    """The network of a kind of `BODIES`.

    Args:
        kind: name.
        frames: (frames, rows, columns, channels).
        maps: number of maps.
    """
    _, rows, columns, _ = frames
    of_frames = keras.Input(frames, name="frames")
    of_maps = keras.Input((rows, columns, maps), name="maps")
    baseline = keras.Input((rows, columns, 1), name="baseline")
    place = layers.Conv2D(FILTERS, 1, activation="gelu", name="maps_mixed")(of_maps)
    body = BODIES[kind](of_frames, place)
    last = layers.Conv2D(1, 1, kernel_initializer="zeros", name="residual")(body)
    return keras.Model([of_frames, of_maps, baseline], layers.Add(name="log_odds")([baseline, last]), name=kind)


def _recurrent(frames: Any, place: Any) -> Any:
    states = PeepholeConvLSTM2D(RECURRENT_FILTERS, name="recurrence")(frames)
    # Both directions have read everything at opposite ends; the pooling over time takes what any of them saw.
    frames_seen, rows, columns, channels = states.shape[1:]
    pooled = layers.MaxPooling3D((frames_seen, 1, 1), name="time_pool")(states)
    pooled = layers.Reshape((rows, columns, channels), name="one_frame")(pooled)
    joined = layers.Concatenate(name="joined")([pooled, place])
    mixed = layers.Conv2D(FILTERS, 3, padding="same", activation="gelu", name="neighbours")(joined)
    return layers.Dropout(DROPOUT, name="dropout")(layers.Concatenate(name="all")([mixed, place]))


def _mixer(frames: Any, place: Any) -> Any:
    """ConvNeXt blocks (Liu et al. 2022) on frames folded into channels."""
    time, rows, columns, channels = frames.shape[1:]
    folded = layers.Reshape((rows, columns, time * channels))(layers.Permute((2, 3, 1, 4))(frames))
    state = layers.Conv2D(FILTERS, 1)(layers.Concatenate()([folded, place]))
    for _ in range(2):
        inner = layers.DepthwiseConv2D(7, padding="same")(state)
        inner = layers.Conv2D(2 * FILTERS, 1, activation="gelu")(layers.LayerNormalization()(inner))
        state = layers.Add()([state, layers.Conv2D(FILTERS, 1)(inner)])
    return layers.Dropout(DROPOUT)(state)


def _transformer(frames: Any, place: Any) -> Any:
    """Attention over the frames of each cell, then a depthwise convolution over its neighbours."""
    time, rows, columns, _ = frames.shape[1:]
    tokens = layers.Permute((2, 3, 1, 4))(layers.Dense(FILTERS)(frames))
    tokens = layers.Concatenate(axis=3)([tokens, layers.Reshape((rows, columns, 1, FILTERS))(place)])
    # TensorFlow's softmax takes five dimensions at most, so that rows and columns have to share one.
    tokens = layers.Reshape((rows * columns, time + 1, FILTERS))(tokens)
    tokens = layers.EinsumDense("bctf,tfg->bctg", (None, time + 1, FILTERS), bias_axes="tg")(tokens)
    normal = layers.LayerNormalization()(tokens)
    seen = layers.MultiHeadAttention(2, FILTERS // 2, attention_axes=(2,))(normal, normal)
    tokens = layers.LayerNormalization()(layers.Add()([tokens, seen]))
    state = layers.Reshape((rows, columns, (time + 1) * FILTERS))(tokens)
    state = layers.Conv2D(FILTERS, 1, activation="gelu")(state)
    state = layers.Add()([state, layers.DepthwiseConv2D(5, padding="same", activation="gelu")(state)])
    return layers.Dropout(DROPOUT)(layers.Concatenate()([state, place]))


BODIES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "residual_conv_lstm": _recurrent,
    "conv_mixer": _mixer,
    "transformer": _transformer,
}
