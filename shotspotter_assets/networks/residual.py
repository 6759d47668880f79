"""A small network that adds to a baseline's log odds: a peephole ConvLSTM over recent frames beside maps of what is known.

It ends in a layer that starts at zero, so that the untrained network is the baseline. It takes

- `frames`: float32 (batch, frames, rows, columns, channels), the recent past, oldest first;
- `maps`: float32 (batch, rows, columns, maps), what is known of each cell otherwise;
- `baseline`: float32 (batch, rows, columns, 1), log odds.

Output: float32 (batch, rows, columns, 1), log odds.
"""

from typing import Any, Final

import keras

from shotspotter_assets.networks.peephole_conv_lstm import PeepholeConvLSTM2D

layers = keras.layers
FILTERS: Final = 16
RECURRENT_FILTERS: Final = 8
DROPOUT: Final = 0.2


def build_residual(frames: tuple[int, ...], maps: int) -> keras.Model:
    """The network.

    Args:
        frames: (frames, rows, columns, channels).
        maps: number of maps.
    """
    _, rows, columns, _ = frames
    of_frames = keras.Input(frames, name="frames")
    of_maps = keras.Input((rows, columns, maps), name="maps")
    baseline = keras.Input((rows, columns, 1), name="baseline")
    place = layers.Conv2D(FILTERS, 1, activation="gelu", name="maps_mixed")(of_maps)
    body = _recurrent(of_frames, place)
    last = layers.Conv2D(1, 1, kernel_initializer="zeros", name="residual")(body)
    log_odds = layers.Add(name="log_odds")([baseline, last])
    return keras.Model([of_frames, of_maps, baseline], log_odds, name="residual_conv_lstm")


def _recurrent(frames: Any, place: Any) -> Any:
    states = PeepholeConvLSTM2D(RECURRENT_FILTERS, name="recurrence")(frames)
    # Both directions have read everything at opposite ends; the pooling over time takes what any of them saw.
    frames_seen, rows, columns, channels = states.shape[1:]
    pooled = layers.MaxPooling3D((frames_seen, 1, 1), name="time_pool")(states)
    pooled = layers.Reshape((rows, columns, channels), name="one_frame")(pooled)
    joined = layers.Concatenate(name="joined")([pooled, place])
    mixed = layers.Conv2D(FILTERS, 3, padding="same", activation="gelu", name="neighbours")(joined)
    return layers.Dropout(DROPOUT, name="dropout")(layers.Concatenate(name="all")([mixed, place]))
