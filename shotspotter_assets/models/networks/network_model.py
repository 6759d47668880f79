"""The networks: a backbone over windows of counts and maps of the target day, then one map per target.

`conv_lstm` is the report's: Conv3D twice, bidirectional peephole ConvLSTM layers with time pooling, and Conv3D. `convolution`
is two convolutions over cells. `transformer` attends over days and patches of cells.
"""

from typing import Any

import numpy as np

from shotspotter_assets.models.forecaster_settings import Backbone, NetworkSettings, time_pools
from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.patch_transformer import attended_maps
from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D
from shotspotter_assets.models.networks.quiet_keras import keras


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
