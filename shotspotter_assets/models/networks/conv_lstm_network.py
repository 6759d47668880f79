"""The network `conv_lstm`: Conv3D twice, bidirectional peephole ConvLSTM layers with time pooling, one map per target."""

import numpy as np

from shotspotter_assets.models.forecaster_registry import NetworkSettings
from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D
from shotspotter_assets.models.networks.quiet_keras import keras


def time_pools(days: int, recurrent_layers: int) -> list[int]:
    """Return pool sizes over time, one per recurrent layer, down to one frame. Raises ValueError if this is impossible."""
    min_days = 2**recurrent_layers
    if recurrent_layers < 1 or days < min_days or days & (days - 1):
        allowed = ", ".join(str(min_days * 2**power) for power in range(4))
        raise ValueError(
            f"days={days} cannot be pooled down to one frame by {recurrent_layers} recurrent layers: "
            f"use a power of two of at least {min_days} ({allowed}, ...) and at least one recurrent layer"
        )
    return [2] * (recurrent_layers - 1) + [days // 2 ** (recurrent_layers - 1)]


def build_conv_lstm(
    settings: NetworkSettings,
    rows: int,
    columns: int,
    initial_rates: np.ndarray,
    layers: int,
    start_level: float | None = None,
) -> keras.Model:
    """Build the network named `conv_lstm`; random weights follow `keras.utils.set_random_seed`.

    Input: float32 (batch, days, rows, columns, layers). Output: float32 (batch, rows, columns, maps), each a sigmoid.
    The layer named `logits` holds the values before the sigmoid, for the loss. The untrained network returns
    `initial_rates` (maps,) everywhere, so that training does not start by learning the base rate. `start_level` is the
    mean of a second input `start`, log odds (batch, rows, columns) that are added to every map; None without it.
    """
    pools, filters = time_pools(settings.days, settings.recurrent_layers), settings.filters
    rates = np.asarray(initial_rates, dtype=np.float64)
    keras_layers = keras.layers
    inputs = keras.Input((settings.days, rows, columns, layers), name="frames")
    maps = inputs
    for number in (1, 2):
        name = f"convolution_{number}"
        maps = keras_layers.Conv3D(filters, 3, padding="same", activation="relu", name=name)(maps)
    # A batch holds hundreds of thousands of cells, so its statistics are steady; Keras's momentum of 0.99 would spoil
    # the first epochs' validation loss of a data set with a hundred batches.
    maps = keras_layers.BatchNormalization(momentum=0.9, name="normalization_0")(maps)
    for number, pool in enumerate(pools, start=1):
        maps = PeepholeConvLSTM2D(filters, name=f"recurrence_{number}")(maps)
        maps = keras_layers.BatchNormalization(momentum=0.9, name=f"normalization_{number}")(maps)
        maps = keras_layers.MaxPooling3D((pool, 1, 1), name=f"time_pool_{number}")(maps)
        if settings.dropout > 0:
            maps = keras_layers.Dropout(settings.dropout, name=f"dropout_{number}")(maps)
    # One frame is left: a kernel deeper than one would only hold weights that meet padding.
    last = keras_layers.Conv3D(
        len(rates), (1, 3, 3), padding="same", kernel_initializer="zeros", name="last_convolution"
    )
    shape = (rows, columns, len(rates))
    if start_level is None:
        logits = keras_layers.Reshape(shape, name="logits")(last(maps))
    else:
        start = keras.Input((rows, columns), name="start")
        added = keras_layers.Reshape(shape, name="added")(last(maps))
        logits = keras_layers.Add(name="logits")([added, keras_layers.Reshape((rows, columns, 1))(start)])
        inputs = {"frames": inputs, "start": start}
    outputs = keras_layers.Activation("sigmoid", name="heat_maps")(logits)
    last.bias.assign(np.log(rates / (1 - rates)) - (start_level or 0.0))
    return keras.Model(inputs, outputs, name="conv_lstm")
