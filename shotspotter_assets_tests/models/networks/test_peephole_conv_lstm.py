import numpy as np
from scipy.special import expit as sigmoid

from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D

BATCH, TIME, ROWS, COLUMNS, CHANNELS, FILTERS = 2, 4, 5, 6, 3, 2


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
    generator, shape = np.random.default_rng(1), (BATCH, TIME, ROWS, COLUMNS, CHANNELS)
    layer = PeepholeConvLSTM2D(FILTERS, dtype="float64")
    layer.build(shape)
    # Weights in the order in which one direction, then the other, was built.
    weights = [generator.normal(scale=0.7, size=weight.shape) for weight in layer.weights]
    layer.set_weights(weights)
    x = generator.normal(size=shape)
    np.testing.assert_allclose(np.asarray(layer(x)), reference(x, weights), rtol=0, atol=1e-12)


def test_starts_like_keras_with_open_forget_gate_and_no_peepholes() -> None:
    layer = PeepholeConvLSTM2D(FILTERS)
    layer.build((BATCH, TIME, ROWS, COLUMNS, CHANNELS))
    _, _, bias, peepholes = layer.get_weights()[:4]
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    assert peepholes.shape == (3, ROWS, COLUMNS, FILTERS)
    assert not peepholes.any()


def test_reads_what_its_configuration_writes() -> None:
    layer = PeepholeConvLSTM2D(3, kernel_size=5, name="recurrence")
    again = PeepholeConvLSTM2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.filters, again.kernel_size, again.name) == (3, 5, "recurrence")
