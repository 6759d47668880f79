from typing import Any

import keras
import numpy as np
import pytest

from shotspotter_assets.models.forecaster_registry import NetworkSettings
from shotspotter_assets.models.networks.conv_lstm_network import build_conv_lstm, time_pools
from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D

RATES = np.array([0.02, 0.01, 0.005, 0.001])


def build(initial_rates: np.ndarray = RATES, **changes: Any) -> keras.Model:
    config = NetworkSettings(days=8, filters=2, recurrent_layers=2).model_copy(update=changes)
    return build_conv_lstm(config, 5, 6, initial_rates, layers=4)


def test_layers_come_in_the_order_of_the_design() -> None:
    layers = keras.layers
    recurrence = [PeepholeConvLSTM2D, layers.BatchNormalization, layers.MaxPooling3D]
    model = build()
    assert [type(layer) for layer in model.layers] == [
        layers.InputLayer, layers.Conv3D, layers.Conv3D, layers.BatchNormalization, *recurrence, *recurrence,
        layers.Conv3D, layers.Reshape, layers.Activation,
    ]  # fmt: skip
    assert model.name == "conv_lstm"
    assert model.output_shape == (None, 5, 6, 4)
    pools = [layer.pool_size for layer in model.layers if isinstance(layer, layers.MaxPooling3D)]
    assert pools == [(2, 1, 1), (4, 1, 1)]


def test_untrained_network_returns_the_initial_rates() -> None:
    windows = np.random.default_rng(0).normal(size=(3, 8, 5, 6, 4)).astype(np.float32)
    answer = np.asarray(build()(windows))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, np.broadcast_to(RATES, answer.shape), rtol=1e-5)


@pytest.mark.parametrize(
    ("days", "layers", "pools"), [(16, 3, [2, 2, 4]), (8, 3, [2, 2, 2]), (32, 2, [2, 16]), (2, 1, [2])]
)
def test_pools_leave_one_frame(days: int, layers: int, pools: list[int]) -> None:
    assert time_pools(days, layers) == pools
    assert np.prod(pools) == days


@pytest.mark.parametrize(("days", "layers"), [(14, 3), (4, 3), (0, 1), (16, 0)])
def test_refuses_days_that_do_not_pool_to_one_frame(days: int, layers: int) -> None:
    with pytest.raises(ValueError, match=r"power of two of at least \d+ \(\d+, \d+"):
        time_pools(days, layers)
