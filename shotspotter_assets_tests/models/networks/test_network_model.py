import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit as sigmoid

from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.models.networks.network_inputs import NetworkInputs

if TYPE_CHECKING:
    import keras  # loads TensorFlow, which workers that only collect these tests must not

pytestmark = pytest.mark.networks
RATES = np.array([0.02, 0.01, 0.005, 0.001])
GRID = (7, 8)
SHAPES = {"frames": (8, *GRID, 4), "maps": (*GRID, 5), "start": GRID}
WAYS: list[tuple[str, list[str]]] = [
    ("conv_lstm", ["frames"]),
    ("conv_lstm", ["frames", "maps", "start"]),
    ("convolution", ["maps", "start"]),
    ("convolution", ["frames"]),
    ("transformer", ["frames"]),
    ("transformer", ["frames", "maps", "start"]),
]


def build(backbone: str, given: list[str], channels: list[str] | None = None) -> "keras.Model":
    from shotspotter_assets.models.networks.network_model import build_network

    counts = np.zeros((20, 4, *GRID))
    maps = np.zeros((20, 56, 5), np.float32) if "maps" in given else None
    start = np.zeros((20, 56), np.float32) if "start" in given else None
    inputs = NetworkInputs(counts, np.ones(GRID, bool), 1, 8 if "frames" in given else 0, maps=maps, start=start)
    reads = channels or (["counts"] if "frames" in given else []) + (["inputs"] if "maps" in given else [])
    settings = {"days": 8, "filters": 8, "recurrent_layers": 2, "backbone": backbone, "channels": reads}
    return build_network(NetworkSettings.model_validate(settings), inputs, RATES)


def some_inputs(given: list[str], seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=(3, *SHAPES[name])).astype(np.float32) for name in given}


def trained(model: "keras.Model", seed: int = 1) -> "keras.Model":
    random = np.random.default_rng(seed)
    model.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def test_layers_come_in_the_order_of_the_report() -> None:
    from keras import layers

    from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D

    recurrence = [PeepholeConvLSTM2D, layers.BatchNormalization, layers.MaxPooling3D]
    model = build("conv_lstm", ["frames"])
    assert [type(layer) for layer in model.layers] == [
        layers.InputLayer, layers.Conv3D, layers.Conv3D, layers.BatchNormalization, *recurrence, *recurrence,
        layers.Conv3D, layers.Reshape, layers.Activation, layers.Activation,
    ]  # fmt: skip
    assert model.name == "conv_lstm"
    assert model.output_shape == (None, *GRID, 4)
    pools = [layer.pool_size for layer in model.layers if isinstance(layer, layers.MaxPooling3D)]
    assert pools == [(2, 1, 1), (4, 1, 1)]


@pytest.mark.parametrize(("backbone", "given"), WAYS)
def test_untrained_network_returns_the_initial_rates_or_its_start(backbone: str, given: list[str]) -> None:
    inputs = some_inputs(given)
    answer = np.asarray(build(backbone, given)(inputs))
    assert answer.dtype == np.float32
    expected = np.broadcast_to(RATES, answer.shape)
    if "start" in given:
        log_rates = np.log(RATES / (1 - RATES))
        expected = 1 / (1 + np.exp(-(inputs["start"][..., None] + log_rates - log_rates[0])))
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


@pytest.mark.parametrize(("backbone", "given"), WAYS)
def test_every_input_counts_and_the_stored_network_answers_alike(backbone: str, given: list[str]) -> None:
    from shotspotter_assets.models.networks.fit import load_model, save_model

    model = trained(build(backbone, given))
    inputs = some_inputs(given)
    answer = np.asarray(model(inputs))
    np.testing.assert_array_equal(np.asarray(load_model(save_model(model))(inputs)), answer)
    for name in given:
        other = inputs | {name: some_inputs([name], seed=5)[name]}
        assert np.abs(np.asarray(model(other)) - answer).max() > 1e-3, name


def test_attention_reaches_from_any_day_and_patch_to_the_target() -> None:
    whole = trained(build("transformer", ["frames"]))
    inputs = some_inputs(["frames"])
    # Probabilities near 1 would be equal.
    model = type(whole)(whole.input, whole.get_layer("logits").output)
    answer = np.asarray(model(inputs))
    frames = inputs["frames"].copy()
    frames[:, 0, 6, 7] += 3
    assert (np.asarray(model({"frames": frames}))[:, 0, 0] != answer[:, 0, 0]).all()


PROGRAM = """
import numpy as np
from shotspotter_assets.models.networks.quiet_keras import keras
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(loss="mse")
model.fit(np.zeros((2, 2)), np.zeros((2, 1)), verbose=0)
print("trained")
"""


@pytest.mark.slow
def test_a_program_that_trains_prints_nothing_else() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("trained\n", "")


BATCH = 2
TIME = 4
ROWS = 5
COLUMNS = 6
CHANNELS = 3
FILTERS = 2


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """ "Same" convolution as a sum over kernel places."""
    reach = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    rows, columns = x.shape[1:3]
    places = np.ndindex(kernel.shape[:2])
    return sum(padded[:, dy : dy + rows, dx : dx + columns] @ kernel[dy, dx] for dy, dx in places)


def reference(x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """Both directions, gate by gate and step by step, as the equations of Shi et al. 2015 are printed."""
    halves = []
    for first, frames in ((0, x), (4, x[:, ::-1])):
        kernel, recurrent, bias, peepholes = weights[first : first + 4]
        w_xi, w_xf, w_xc, w_xo = np.split(kernel, 4, axis=-1)
        w_hi, w_hf, w_hc, w_ho = np.split(recurrent, 4, axis=-1)
        b_i, b_f, b_c, b_o = np.split(bias, 4)
        w_ci, w_cf, w_co = peepholes
        h = c = np.zeros((len(x), ROWS, COLUMNS, FILTERS))
        steps = []
        for t in range(frames.shape[1]):
            frame = frames[:, t]
            i = sigmoid(convolve(frame, w_xi) + convolve(h, w_hi) + w_ci * c + b_i)
            f = sigmoid(convolve(frame, w_xf) + convolve(h, w_hf) + w_cf * c + b_f)
            c = f * c + i * np.tanh(convolve(frame, w_xc) + convolve(h, w_hc) + b_c)
            o = sigmoid(convolve(frame, w_xo) + convolve(h, w_ho) + w_co * c + b_o)
            h = o * np.tanh(c)
            steps.append(h)
        halves.append(np.stack(steps if first == 0 else steps[::-1], axis=1))
    return np.concatenate(halves, axis=-1)


def test_outputs_equal_the_equations_in_numpy() -> None:
    from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D

    generator = np.random.default_rng(1)
    shape = (BATCH, TIME, ROWS, COLUMNS, CHANNELS)
    layer = PeepholeConvLSTM2D(FILTERS, dtype="float64")
    layer.build(shape)
    # Weights in the order in which one direction, then the other, was built.
    weights = [generator.normal(scale=0.7, size=weight.shape) for weight in layer.weights]
    layer.set_weights(weights)
    x = generator.normal(size=shape)
    np.testing.assert_allclose(np.asarray(layer(x)), reference(x, weights), rtol=0, atol=1e-12)


def test_starts_like_keras_with_open_forget_gate_and_no_peepholes() -> None:
    from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D

    layer = PeepholeConvLSTM2D(FILTERS)
    layer.build((BATCH, TIME, ROWS, COLUMNS, CHANNELS))
    _, _, bias, peepholes = layer.get_weights()[:4]
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    assert peepholes.shape == (3, ROWS, COLUMNS, FILTERS)
    assert not peepholes.any()
