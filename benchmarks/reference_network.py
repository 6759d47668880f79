"""Training steps of the reference report's network: our layers against Keras's stock ones, memory, and the machine's limit.

    python benchmarks/reference_network.py [--turns 5] [--batch 20]

Both networks have the layers of `conv_lstm` with the settings of `docs/launches/weight_10_to_1.yaml`, of which the report gives
the batch alone, as the size of windows and layers is ours. In the stock one, Keras's `Bidirectional(ConvLSTM2D)` stands where
our recurrent layers stand (it has no peepholes). They take turns in one process.
What is compared is CPU time (user and system, all threads), because wall time on a shared machine says more about its
other users; samples per second of wall time are printed beside it. Peak memory is that of a process of each one's own.

The machine's limit is a convolution that suits it: 3 x 3, 64 to 64 channels, forward and both gradients, timed in the
same turns. Floating point operations are those of the convolutions alone (two per multiplication and addition, borders
counted as inner cells): a training step has three times those of the forward pass, except for the gradient of the input,
which is not taken.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
import yaml

from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.models.networks.fit import weighted_cross_entropy
from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.network_model import build_network
from shotspotter_assets.models.networks.peephole_conv_lstm import KERNEL_SIDE, PeepholeConvLSTM2D

LAUNCH: Final = Path(__file__).parents[1] / "docs" / "launches" / "weight_10_to_1.yaml"
FULL_SIZE: Final[dict[str, Any]] = yaml.safe_load(LAUNCH.read_text())["ops"]["washington_dc__fold_models"]["config"][
    "settings"
]["conv_lstm"]
"""Settings of a launch of the report's network, which takes hours of CPU; the defaults take minutes."""
SIDE: Final = 36
HEAT_MAPS: Final = 4
CONFIG: Final = NetworkSettings(**FULL_SIZE)
OURS, STOCK, LIMIT = "ours", "stock", "convolution"

Step = Callable[[], Any]


def network(name: str) -> keras.Model:
    """The reference network with our or with stock recurrent layers."""
    counts = np.zeros((CONFIG.days, HEAT_MAPS, SIDE, SIDE), dtype=np.uint16)
    inputs = NetworkInputs(counts, np.ones((SIDE, SIDE), dtype=bool), lead=1, length=CONFIG.days)
    model = build_network(CONFIG, inputs, np.full(HEAT_MAPS, 0.02))
    if name == OURS:
        return model

    def stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, PeepholeConvLSTM2D):
            return type(layer).from_config(layer.get_config())
        one_way = keras.layers.ConvLSTM2D(layer.filters, KERNEL_SIDE, padding="same", return_sequences=True)
        return keras.layers.Bidirectional(one_way, name=layer.name)

    return keras.models.clone_model(model, clone_function=stock)


def training_step(model: keras.Model, batch: int) -> Step:
    """One gradient step on one batch, as `networks.fit.fit_network` does it."""
    generator = np.random.default_rng(0)
    x = tf.constant(generator.poisson(0.02, (batch, *model.input_shape[1:])).astype(np.float32))
    y = tf.constant((generator.random((batch, SIDE, SIDE, HEAT_MAPS)) < 0.02).astype(np.float32))
    twin = keras.Model(model.inputs, model.get_layer("logits").output)
    loss = weighted_cross_entropy(np.ones((SIDE, SIDE), dtype=bool), 1.0)
    twin.compile(keras.optimizers.Adam(CONFIG.learning_rate), loss, jit_compile=False)
    return lambda: twin.train_on_batch(x, y)


def convolution_step(batch: int = 64, channels: int = 64) -> tuple[Step, float]:
    """A convolution with both gradients, and its floating point operations."""
    x = tf.random.normal((batch, SIDE, SIDE, channels))
    kernel = tf.Variable(tf.random.normal((3, 3, channels, channels)))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.nn.conv2d(x, kernel, 1, "SAME")
        # The gradient that comes from above is given, so that hardly anything but convolutions is timed.
        gradients = tape.gradient(value, [x, kernel], output_gradients=x)
        # What nobody reads is not computed.
        return [tf.reduce_max(values) for values in (value, *gradients)]

    return step, 3 * 2 * x.shape.num_elements() * 9 * channels


def operations(model: keras.Model) -> float:
    """Floating point operations of the convolutions of one sample's training step."""
    total, cells = 0.0, SIDE * SIDE
    for at, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Conv3D):
            frames, channels = layer.input.shape[1], layer.input.shape[-1]
            forward = 2.0 * frames * cells * np.prod(layer.kernel_size) * channels * layer.filters
            total += (2 if at == 1 else 3) * forward
        elif isinstance(layer, PeepholeConvLSTM2D):
            frames, channels = layer.input.shape[1], layer.input.shape[-1]
            of_inputs, of_states = frames * channels, (frames - 1) * layer.filters
            total += 3 * 2.0 * 2 * cells * layer.kernel_size**2 * 4 * layer.filters * (of_inputs + of_states)
    return total


def in_turns(steps: dict[str, Step], turns: int) -> dict[str, tuple[float, float]]:
    """(median CPU seconds, median seconds) of each step; a first turn for tracing is left out."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            processor, wall = time.process_time(), time.perf_counter()
            keras.tree.map_structure(np.asarray, step())
            if turn:
                seconds[name].append((time.process_time() - processor, time.perf_counter() - wall))
    medians = {name: np.median(values, axis=0) for name, values in seconds.items()}
    return {name: (float(processor), float(wall)) for name, (processor, wall) in medians.items()}


def peak_memory(name: str, batch: int) -> float:
    """Peak memory [MiB] of a process that takes three training steps, less that of one that takes none."""

    def peak(steps: int) -> float:
        command = [sys.executable, __file__, "--batch", str(batch), "--memory-of", name, "--steps", str(steps)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    return peak(3) - peak(0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="turns per network (default 5)")
    parser.add_argument("--batch", type=int, default=CONFIG.batch_size, help="windows per step (default as shipped)")
    parser.add_argument("--memory-of", choices=(OURS, STOCK), help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    keras.utils.set_random_seed(0)
    if asked.memory_of:
        step = training_step(network(asked.memory_of), asked.batch)
        for _ in range(asked.steps):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return

    # Before anything is made here: a process counts the peak of the one that started it as its own.
    memory = {name: peak_memory(name, asked.batch) for name in (OURS, STOCK)}
    models = {name: network(name) for name in (OURS, STOCK)}
    convolution, of_convolution = convolution_step()
    steps = {name: training_step(model, asked.batch) for name, model in models.items()} | {LIMIT: convolution}
    seconds = in_turns(steps, asked.turns)
    print(
        f"reference network: {CONFIG.days} days, {SIDE} x {SIDE} cells, {CONFIG.filters} filters, "
        f"{CONFIG.recurrent_layers} recurrent layers, batch {asked.batch}; median of {asked.turns} turns"
    )
    of_sample = operations(models[OURS])
    limit = of_convolution / seconds[LIMIT][0]
    for name in (OURS, STOCK):
        processor, wall = seconds[name]
        share = of_sample * asked.batch / processor / limit
        print(
            f"{name:6} {asked.batch / wall:7.2f} samples/s, {asked.batch / processor:7.2f} per CPU second, "
            f"{share:6.1%} of the convolution limit, {memory[name]:7,.0f} MiB more at the peak, "
            f"{models[name].count_params():,} weights",
            flush=True,
        )
    in_cpu_time, on_the_clock = (seconds[STOCK][at] / seconds[OURS][at] for at in range(2))
    print(f"ours, times as fast as stock: {in_cpu_time:.2f} in CPU time, {on_the_clock:.2f} on the clock")
    print(f"convolutions of a sample's training step: {of_sample / 1e9:.2f} GFLOP")
    per_second = of_convolution / seconds[LIMIT][1]
    print(f"convolution limit: {limit / 1e9:.1f} GFLOP per CPU second, {per_second / 1e9:.1f} per second")


if __name__ == "__main__":
    main()
