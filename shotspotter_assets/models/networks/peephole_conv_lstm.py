"""The convolutional LSTM layer with peepholes, which Keras does not have; in `keras.ops` only, for every backend."""

from typing import Any, Final

from shotspotter_assets.models.networks.quiet_keras import keras, ops

KERNEL_SIDE: Final = 3  # cells


@keras.saving.register_keras_serializable(package="shotspotter_assets")
class PeepholeConvLSTM2D(keras.layers.Layer):
    """Bidirectional ConvLSTM whose gates also see the cell state, in the equations of Shi et al. 2015 (NIPS, eq. 3).

    `*` is a "same" convolution, `.` the elementwise product, s the sigmoid::

        i  = s(Wxi*X + Whi*H + Wci.C + bi)
        f  = s(Wxf*X + Whf*H + Wcf.C + bf)
        C' = f.C + i.tanh(Wxc*X + Whc*H + bc)
        o  = s(Wxo*X + Who*H + Wco.C' + bo)
        H' = o.tanh(C')

    Input: float (batch, time, rows, columns, channels), time, rows and columns fixed when the layer is built.
    Output: float (batch, time, rows, columns, 2 * filters); the first half of the channels has read the frames up to
    that time, the second half the frames from that time on (like `Bidirectional(ConvLSTM2D(return_sequences=True))`).

    Weights per direction, k being `KERNEL_SIDE`: kernel (k, k, channels, 4 * filters), recurrent kernel (k, k, filters,
    4 * filters), bias (4 * filters), peepholes of each cell (3, rows, columns, filters) in the order i, f, o. Gates lie in
    Keras's order i, f, c, o, so that kernels can be copied from and to `keras.layers.ConvLSTM2D`.
    """

    def __init__(self, filters: int, *, name: str | None = None, trainable: bool = True, dtype: Any = None) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.filters = filters  # channels of one direction's state

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Add the weights of both directions for inputs of a shape, which the class describes."""
        _, _, rows, columns, channels = input_shape
        gates = 4 * self.filters
        shapes = {
            "kernel": ((KERNEL_SIDE, KERNEL_SIDE, channels, gates), "glorot_uniform"),
            "recurrent_kernel": ((KERNEL_SIDE, KERNEL_SIDE, self.filters, gates), "orthogonal"),
            "bias": ((gates,), "zeros"),
            "peepholes": ((3, rows, columns, self.filters), "zeros"),
        }
        self.directions: list[dict[str, Any]] = []
        for direction in ("forward", "backward"):
            weights = {
                name: self.add_weight(shape, initializer, name=f"{direction}_{name}")
                for name, (shape, initializer) in shapes.items()
            }
            # A forget gate that starts open keeps what the first frames held (Jozefowicz et al. 2015), as Keras does.
            weights["bias"].assign(ops.concatenate([ops.ones(self.filters) * float(gate == 1) for gate in range(4)]))
            self.directions.append(weights)

    def call(self, inputs: Any) -> Any:
        """Return the hidden states of both directions at each time, for inputs as the class describes them."""
        time, rows, columns, channels = inputs.shape[1:]
        # Time first, so that one frame is one contiguous block; then one convolution serves all time steps.
        frames = ops.reshape(ops.transpose(inputs, (1, 0, 2, 3, 4)), (-1, rows, columns, channels))
        steps: list[list[Any]] = []
        for weights in self.directions:
            gates = self._convolve(frames, weights["kernel"]) + weights["bias"]
            steps.append(ops.unstack(ops.reshape(gates, (time, -1, rows, columns, 4 * self.filters)), time, axis=0))
        steps[1] = steps[1][::-1]
        outputs: list[list[Any]] = [[], []]
        states: list[tuple[Any, Any]] = [(None, None), (None, None)]
        # The two recurrences are independent: step by step side by side they use two cores.
        for step in range(time):
            for direction, weights in enumerate(self.directions):
                states[direction] = self._step(weights, steps[direction][step], *states[direction])
                outputs[direction].append(states[direction][0])
        pairs = zip(outputs[0], outputs[1][::-1], strict=True)
        return ops.stack([ops.concatenate(pair, axis=-1) for pair in pairs], axis=1)

    def _step(self, weights: dict[str, Any], gates: Any, hidden: Any, before: Any) -> tuple[Any, Any]:
        peephole_i, peephole_f, peephole_o = ops.unstack(weights["peepholes"], 3, axis=0)
        if hidden is None:
            # The state before the first frame is zero: all its products are left out.
            gate_i, _, gate_c, gate_o = ops.split(gates, 4, axis=-1)
            cell = ops.sigmoid(gate_i) * ops.tanh(gate_c)
        else:
            gates = gates + self._convolve(hidden, weights["recurrent_kernel"])
            gate_i, gate_f, gate_c, gate_o = ops.split(gates, 4, axis=-1)
            cell = ops.sigmoid(gate_f + peephole_f * before) * before
            cell = cell + ops.sigmoid(gate_i + peephole_i * before) * ops.tanh(gate_c)
        return ops.sigmoid(gate_o + peephole_o * cell) * ops.tanh(cell), cell

    def _convolve(self, frames: Any, kernel: Any) -> Any:
        return ops.conv(frames, kernel, padding="same", data_format="channels_last")
