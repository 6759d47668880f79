"""Training steps of the reference report's network: our layers against Keras's stock ones, in time and memory.

    python benchmarks/reference_network.py [--turns 5] [--batch 20]

Both networks have the layers of `conv_lstm` with the settings of `docs/launches/as_in_the_report.yaml`, of which the report gives
the batch alone, as the size of windows and layers is ours. In the stock one, Keras's `Bidirectional(ConvLSTM2D)` stands where
our recurrent layers stand (it has no peepholes). They take turns in one process.
What is compared is CPU time (user and system, all threads), because wall time on a shared machine says more about its
other users; samples per second of wall time are printed beside it. Peak memory is that of a process of each one's own.
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

LAUNCH: Final = Path(__file__).parents[1] / "docs" / "launches" / "as_in_the_report.yaml"
FULL_SIZE: Final[dict[str, Any]] = yaml.safe_load(LAUNCH.read_text())["ops"]["washington_dc__fold_models"]["config"][
    "settings"
]["conv_lstm"]
"""Settings of a launch of the report's network, which takes hours of CPU; the defaults take minutes."""
SIDE: Final = 36
HEAT_MAPS: Final = 4
CONFIG: Final = NetworkSettings(**FULL_SIZE)
OURS = "ours"
STOCK = "stock"

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


def in_turns(steps: dict[str, Step], turns: int) -> dict[str, tuple[float, float]]:
    """(median CPU seconds, median seconds) of each step; a first turn for tracing is left out."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            processor = time.process_time()
            wall = time.perf_counter()
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
    seconds = in_turns({name: training_step(model, asked.batch) for name, model in models.items()}, asked.turns)
    print(
        f"reference network: {CONFIG.days} days, {SIDE} x {SIDE} cells, {CONFIG.filters} filters, "
        f"{CONFIG.recurrent_layers} recurrent layers, batch {asked.batch}; median of {asked.turns} turns"
    )
    for name, (processor, wall) in seconds.items():
        print(
            f"{name:6} {asked.batch / wall:7.2f} samples/s, {asked.batch / processor:7.2f} per CPU second, "
            f"{memory[name]:7,.0f} MiB more at the peak, {models[name].count_params():,} weights"
        )
    in_cpu_time, on_the_clock = (seconds[STOCK][at] / seconds[OURS][at] for at in range(2))
    print(f"ours, times as fast as stock: {in_cpu_time:.2f} in CPU time, {on_the_clock:.2f} on the clock")


if __name__ == "__main__":
    main()
