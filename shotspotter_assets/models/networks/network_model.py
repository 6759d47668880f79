"""The networks: a backbone over windows of counts and maps of the target day, then one map per target.

`conv_lstm` is the report's: Conv3D twice, bidirectional peephole ConvLSTM layers with time pooling, and Conv3D. `convolution`
is two convolutions over cells. `transformer` attends over days and patches of cells, with a learned bias for the distance in
days and in cells: every patch of every day, and every patch of the target day, is a token. Nearness in time and space is the
context, as in Liu et al. 2016, "Predicting the next location"; the form of the bias is that of Raffel et al. 2020 (T5).
"""

from typing import Any, Final

import numpy as np

from shotspotter_assets.models.forecaster_settings import Backbone, NetworkSettings, time_pools
from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D
from shotspotter_assets.models.networks.quiet_keras import keras, ops

PATCH: Final = 6  # cells along the side of a patch
WIDTH: Final = 32
HEADS: Final = 4
LAYERS: Final = 2


def build_network(settings: NetworkSettings, inputs: NetworkInputs, initial_rates: np.ndarray) -> keras.Model:
    """Build a network for some inputs; random weights follow `keras.utils.set_random_seed`.

    Input: those of `Windows`, by name. Output: float32 (batch, rows, columns, maps), the sigmoids of the layer `logits`. The
    untrained network returns `initial_rates` (maps,) everywhere; with a start, the start as map 0 and, with the difference
    of their log odds, as the others, at the odds of the class weight.
    """
    grid = inputs.in_coverage.shape
    rates = np.asarray(initial_rates, dtype=np.float64)
    layers = keras.layers
    network_inputs: dict[str, Any] = {}
    if inputs.length:
        network_inputs["frames"] = keras.Input((inputs.length, *grid, inputs.counts.shape[1]), name="frames")
    if inputs.maps is not None:
        network_inputs["maps"] = keras.Input((*grid, inputs.maps.shape[-1]), name="maps")
    backbone = {Backbone.conv_lstm: _recurrent_maps, Backbone.convolution: _convolved_maps}
    features = backbone.get(settings.backbone, attended_maps)(
        settings, network_inputs.get("frames"), network_inputs.get("maps")
    )
    # One frame is left: a kernel deeper than one would only hold weights that meet padding.
    last = layers.Conv3D(len(rates), (1, 3, 3), padding="same", kernel_initializer="zeros", name="last_convolution")
    added = layers.Reshape((*grid, len(rates)), name="added")(last(features))
    log_odds = np.log(rates / (1 - rates))
    if inputs.start is None:
        logits = layers.Activation("linear", name="logits")(added)
    else:
        start = network_inputs["start"] = keras.Input(grid, name="start")
        logits = layers.Add(name="logits")([added, layers.Reshape((*grid, 1))(start)])
        log_odds = log_odds - log_odds[0] + np.log(settings.class_weight)
    last.bias.assign(log_odds)
    return keras.Model(
        network_inputs, layers.Activation("sigmoid", name="heat_maps")(logits), name=settings.backbone.value
    )


def _recurrent_maps(settings: NetworkSettings, frames: Any, maps: Any) -> Any:
    """Return features (batch, 1, rows, columns, 2 * filters) of frames, with the maps of the target day beside each."""
    layers = keras.layers
    if maps is not None:
        repeated = layers.RepeatVector(settings.days)(layers.Flatten()(maps))
        repeated = layers.Reshape((settings.days, *maps.shape[1:]))(repeated)
        frames = layers.Concatenate()([frames, repeated])
    for number in (1, 2):
        name = f"convolution_{number}"
        frames = layers.Conv3D(settings.filters, 3, padding="same", activation="relu", name=name)(frames)
    # A batch holds hundreds of thousands of cells, so its statistics are steady; Keras's momentum of 0.99 would spoil
    # the first epochs' validation loss of a data set with a hundred batches.
    frames = layers.BatchNormalization(momentum=0.9, name="normalization_0")(frames)
    for number, pool in enumerate(time_pools(settings.days, settings.recurrent_layers), start=1):
        frames = PeepholeConvLSTM2D(settings.filters, name=f"recurrence_{number}")(frames)
        frames = layers.BatchNormalization(momentum=0.9, name=f"normalization_{number}")(frames)
        frames = layers.MaxPooling3D((pool, 1, 1), name=f"time_pool_{number}")(frames)
        if settings.dropout > 0:
            frames = layers.Dropout(settings.dropout, name=f"dropout_{number}")(frames)
    return frames


def _convolved_maps(settings: NetworkSettings, frames: Any, maps: Any) -> Any:
    """Return features (batch, 1, rows, columns, filters) of the maps of the target day and, as channels, the frames."""
    layers = keras.layers
    if frames is not None:
        days, rows, columns, channels = frames.shape[1:]
        flat = layers.Reshape((rows, columns, days * channels))(layers.Permute((2, 3, 1, 4))(frames))
        maps = flat if maps is None else layers.Concatenate()([maps, flat])
    for number in (1, 2):
        name = f"convolution_{number}"
        maps = layers.Conv2D(settings.filters, 3, padding="same", activation="relu", name=name)(maps)
        if settings.dropout > 0:
            maps = layers.Dropout(settings.dropout, name=f"dropout_{number}")(maps)
    return layers.Reshape((1, *maps.shape[1:]))(maps)


@keras.saving.register_keras_serializable(package="shotspotter_assets")
class PatchAttention(keras.layers.Layer):
    """Multi-head attention of tokens (batch, days * patches, width), with a bias by distance in days and in patches."""

    def __init__(
        self,
        days: int,
        patch_rows: int,
        patch_columns: int,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        """Prepare the distances between the tokens of `days` days of `patch_rows` times `patch_columns` patches."""
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.days = days
        self.patch_rows = patch_rows
        self.patch_columns = patch_columns
        day, row, column = np.indices((days, patch_rows, patch_columns)).reshape(3, -1)  # day and patch of each token
        # Days differ in direction, cells only in distance: the past bears on the future, north as much as south.
        self._day_at = day[None, :] - day[:, None] + days - 1
        self._cell_at = np.rint(np.hypot(row[None, :] - row[:, None], column[None, :] - column[:, None])).astype(int)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = input_shape[-1] or 0
        self.day_bias = self.add_weight((2 * self.days - 1, HEADS), "zeros", name="day_bias")
        self.cell_bias = self.add_weight((int(self._cell_at.max()) + 1, HEADS), "zeros", name="cell_bias")
        self.mixed = self.add_weight((width, 3 * width), "glorot_uniform", name="query_key_value")
        self.joined = self.add_weight((width, width), "glorot_uniform", name="output")

    def call(self, tokens: Any) -> Any:
        number, width = tokens.shape[1:]
        parts = ops.reshape(tokens @ self.mixed, (-1, number, 3, HEADS, width // HEADS))
        query, key, value = ops.unstack(ops.transpose(parts, (2, 0, 3, 1, 4)), 3, axis=0)
        bias = ops.take(self.day_bias, self._day_at, axis=0) + ops.take(self.cell_bias, self._cell_at, axis=0)
        scores = query @ ops.swapaxes(key, -1, -2) / np.sqrt(width // HEADS) + ops.transpose(bias, (2, 0, 1))
        mixed = ops.transpose(ops.softmax(scores) @ value, (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, number, width)) @ self.joined


def attended_maps(settings: NetworkSettings, frames: Any, maps: Any) -> Any:
    """Return features (batch, 1, rows, columns, filters) of the target day."""
    layers = keras.layers
    days, rows, columns, _ = frames.shape[1:]
    patch_rows = -(-rows // PATCH)
    patch_columns = -(-columns // PATCH)
    past = layers.Dense(WIDTH, name="day_tokens")(_patches(frames))
    target = _patches(layers.Reshape((1, rows, columns, -1))(frames[:, -1] if maps is None else maps))
    tokens = layers.Concatenate(axis=1)([past, layers.Dense(WIDTH, name="target_tokens")(target)])
    for number in range(1, LAYERS + 1):
        attention = PatchAttention(days + 1, patch_rows, patch_columns, name=f"attention_{number}")
        tokens = layers.Add()([tokens, attention(layers.LayerNormalization()(tokens))])
        hidden = layers.Dense(2 * WIDTH, activation="relu")(layers.LayerNormalization()(tokens))
        hidden = layers.Dropout(settings.dropout)(hidden)
        tokens = layers.Add()([tokens, layers.Dense(WIDTH)(hidden)])
    cells = layers.Dense(PATCH * PATCH * settings.filters, name="cells")(tokens[:, -patch_rows * patch_columns :])
    cells = layers.Reshape((patch_rows, patch_columns, PATCH, PATCH, settings.filters))(cells)
    cells = layers.Permute((1, 3, 2, 4, 5))(cells)
    grid = layers.Reshape((patch_rows * PATCH, patch_columns * PATCH, settings.filters))(cells)[:, :rows, :columns]
    if maps is not None:
        grid = layers.Concatenate()([grid, maps])
    grid = layers.Dense(settings.filters, activation="relu", name="mixed")(grid)
    return layers.Reshape((1, rows, columns, settings.filters))(grid)


def _patches(frames: Any) -> Any:
    """Return frames (batch, days, rows, columns, channels) as (batch, days * patches, PATCH * PATCH * channels)."""
    layers = keras.layers
    days, rows, columns, channels = frames.shape[1:]
    frames = layers.ZeroPadding3D(((0, 0), (0, -rows % PATCH), (0, -columns % PATCH)))(frames)
    frames = layers.Reshape((days, -(-rows // PATCH), PATCH, -(-columns // PATCH), PATCH * channels))(frames)
    return layers.Reshape((-1, PATCH * PATCH * channels))(layers.Permute((1, 2, 4, 3, 5))(frames))
