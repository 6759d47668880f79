"""Cost of the peephole layer, its bfloat16 variant, deterministic mode and the feeding of windows, as ratios.

    python benchmarks/peephole_layer.py [--repetitions 5]

The variants take turns in one process and what is compared is CPU time of the process (user and system, all
threads), because wall time on a shared machine says more about its other users. Ratios above 1 mean faster than
Keras's own `Bidirectional(ConvLSTM2D)` of the same size. Runs on the TensorFlow backend, on the CPU.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config as tensorflow_config

from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.models.networks.conv_lstm import build_conv_lstm
from shotspotter_assets.models.networks.losses import weighted_cross_entropy
from shotspotter_assets.models.networks.peephole_conv_lstm import PeepholeConvLSTM2D
from shotspotter_assets.models.networks.windows import HEAT_MAPS, WindowBatches, Windows

BATCH, DAYS, SIDE = 20, 16, 36

Step = Callable[[], Any]


def layer_steps(layer: keras.layers.Layer, inputs: tf.Tensor) -> tuple[Step, Step]:
    """Forward pass and training step (forward, and gradients of all weights) of one layer."""
    frames = keras.Input(inputs.shape[1:])
    model = keras.Model(frames, layer(frames))

    @tf.function
    def forward() -> Any:
        return model(inputs, training=False)

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(model(inputs, training=True) ** 2)
        return tape.gradient(value, model.trainable_variables)

    return forward, train


def network_step(filters: int, bfloat16: bool) -> Step:
    """One gradient step of the whole network on one batch."""
    generator = np.random.default_rng(0)
    x = tf.constant(generator.poisson(0.02, (BATCH, DAYS, SIDE, SIDE, HEAT_MAPS)).astype(np.float32))
    y = tf.constant((generator.random((BATCH, SIDE, SIDE, HEAT_MAPS)) < 0.02).astype(np.float32))
    config = NetworkConfig(days=DAYS, filters=filters, bfloat16=bfloat16)
    model = build_conv_lstm(config, SIDE, SIDE, np.full(HEAT_MAPS, 0.02), HEAT_MAPS)
    twin = keras.Model(model.inputs, model.get_layer("logits").output)
    twin.compile(
        keras.optimizers.Adam(1e-3), weighted_cross_entropy(np.ones((SIDE, SIDE), dtype=bool), 1.0), jit_compile=False
    )
    return lambda: twin.train_on_batch(x, y)


def cpu_seconds(steps: dict[str, Step], repetitions: int) -> dict[str, float]:
    """Median CPU seconds of each step, the steps taking turns; a first turn for tracing is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repetitions + 1):
        for name, step in steps.items():
            started = time.process_time()
            keras.tree.map_structure(np.asarray, step())
            if turn:
                seconds[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def deterministic(step: Step) -> Step:
    """The step with TensorFlow's op determinism on; only a benchmark may turn that off again in a process."""

    def call() -> Any:
        tensorflow_config.enable_op_determinism()
        try:
            return step()
        finally:
            tensorflow_config.disable_op_determinism()

    return call


def feeding_seconds() -> tuple[float, int]:
    """CPU seconds to cut all windows of an epoch out of seven years, and their number."""
    counts = np.random.default_rng(0).poisson(0.02, (2555, HEAT_MAPS, SIDE, SIDE)).astype(np.uint16)
    windows, days = Windows(counts, DAYS), np.random.default_rng(1).permutation(np.arange(DAYS, 2555))
    batches = WindowBatches(windows, days, BATCH)
    started = time.process_time()
    for number in range(len(batches)):
        batches[number]
    return time.process_time() - started, len(batches)


def show(name: str, value: float, target: str) -> None:
    """One line of the result."""
    print(f"{name:<64} {value:8.3f}   target {target}", flush=True)


def main() -> None:
    """Measure and print all ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5, help="turns per variant (default 5)")
    repetitions = parser.parse_args().repetitions
    keras.utils.set_random_seed(0)
    print(f"CPU seconds, median of {repetitions}; batch {BATCH}, {DAYS} days, {SIDE} x {SIDE} cells")
    for filters, target in ((8, ">= 1.0"), (16, ">= 0.9")):
        # What the second and third recurrent layer read: both directions of the one before.
        inputs = tf.constant(
            np.random.default_rng(0).normal(size=(BATCH, DAYS, SIDE, SIDE, 2 * filters)).astype(np.float32)
        )
        stock = keras.layers.ConvLSTM2D(filters, 3, padding="same", return_sequences=True)
        layers = {
            "stock": layer_steps(keras.layers.Bidirectional(stock), inputs),
            "peephole": layer_steps(PeepholeConvLSTM2D(filters), inputs),
            "bfloat16": layer_steps(PeepholeConvLSTM2D(filters, bfloat16=True), inputs),
        }
        forward = cpu_seconds({name: steps[0] for name, steps in layers.items()}, repetitions)
        train = cpu_seconds({name: steps[1] for name, steps in layers.items()}, repetitions)
        for name, goal in (("peephole", target), ("bfloat16", "-")):
            show(f"F={filters} {name}: forward, times as fast as stock", forward["stock"] / forward[name], "-")
            show(f"F={filters} {name}: training, times as fast as stock", train["stock"] / train[name], goal)
        show(
            f"F={filters} bfloat16: training, times as fast as float32", train["peephole"] / train["bfloat16"], ">= 1.1"
        )
    plain, exact, half = network_step(16, False), network_step(16, False), network_step(16, True)
    network = cpu_seconds({"plain": plain, "deterministic": deterministic(exact), "bfloat16": half}, repetitions)
    show("F=16 whole network: CPU seconds per training sample", network["plain"] / BATCH, "-")
    show("F=16 whole network: bfloat16, times as fast", network["plain"] / network["bfloat16"], ">= 1.1")
    show("F=16 whole network: deterministic, times the cost", network["deterministic"] / network["plain"], "<= 1.1")
    feeding, batches = feeding_seconds()
    show("feeding of windows: share of an epoch", feeding / (feeding + batches * network["plain"]), "<= 0.01")


if __name__ == "__main__":
    main()
