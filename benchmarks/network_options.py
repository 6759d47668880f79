"""Gain of the networks' options in Washington DC: `python benchmarks/network_options.py --cache FOLDER`.

Each option is trained with several seeds in small networks on the two years before a quarter, and forecasts the quarter.
Prints a Markdown table: gains in nats per positive on ordinary days, the mean over the seeds, with 90% intervals of a weekly
block bootstrap, over each cell's history and over the network without the option; the lowest and highest seed; and seconds of
CPU for one training. Forecasts are kept in the cache after each training, so that a run that was stopped goes on.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from benchmark_cities import VALIDATION_SHARE, Fold, folds, parser, pooled_gain, print_head, print_row

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.gains import WeeklySums, weekly_losses
from shotspotter_assets.models.forecaster_registry import FORECASTERS, HISTORICAL_MEAN, forecaster
from shotspotter_assets.models.history import History

CITY: Final = "washington_dc"
DAYS: Final = 730  # before a quarter, to train and validate on
SIZES: Final = {
    "network": {"networks": 1, "filters": 8, "epochs": 8},
    "conv_lstm": {"filters": 4, "days": 4, "epochs": 8},
}
"""Settings of small networks, by forecaster."""


@dataclass(frozen=True)
class Option:
    """Settings of a forecaster that differ from its small network, which is the option without changes."""

    model: str
    changes: dict[str, Any] = field(default_factory=dict)


OPTIONS: Final = {
    "network": Option("network"),
    "network, transformer": Option("network", {"backbone": "transformer", "channels": ["counts", "inputs"]}),
    "conv_lstm": Option("conv_lstm"),
    "conv_lstm, started at the regression": Option("conv_lstm", {"start": "regression"}),
}


@dataclass(frozen=True)
class Trained:
    """Test forecasts of one training, shape (days, cells), and its seconds of CPU."""

    forecasts: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Window:
    """A fold, and its history before the test days, which keeps the inputs of one training for the next."""

    fold: Fold
    past: History


def trained(window: Window, name: str, seed: int, cache: Path) -> Trained:
    """Train an option in a fold, or read its forecasts from the cache."""
    fold = window.fold
    kept = cache / f"{fold.name}_{name.replace(', ', '_').replace(' ', '_')}_{seed}.npz"
    if not kept.exists():
        option = OPTIONS[name]
        settings = FORECASTERS[option.model].settings(**SIZES[option.model], **option.changes, seed=seed)
        started = time.process_time()
        fitted = forecaster(option.model, settings).fit(window.past, fold.train, fold.validation)
        forecasts = fitted.predict(fold.history, fold.test).astype(np.float32)
        seconds = time.process_time() - started
        print(f"{fold.name} {name}, seed {seed}: {seconds:.0f} s of CPU", file=sys.stderr, flush=True)
        partly = kept.with_suffix(".partly.npz")
        np.savez_compressed(partly, forecasts=forecasts, seconds=seconds)
        partly.replace(kept)
    stored = np.load(kept)
    return Trained(stored["forecasts"].astype(np.float64), float(stored["seconds"]))


def weekly_sums_of(window: Window, seeds: Sequence[int], cache: Path) -> WeeklySums:
    """Return the losses of each option on ordinary days by week: of each seed (`NAME|SEED`) and their mean (`NAME`)."""
    fold = window.fold
    columns = {f"{name}|{seed}": trained(window, name, seed, cache).forecasts for seed in seeds for name in OPTIONS}
    mean = forecaster(HISTORICAL_MEAN).fit(window.past, fold.train, fold.validation).predict(fold.history, fold.test)
    table = without_firework_days(fold.table(columns | {HISTORICAL_MEAN: mean}))
    weekly = weekly_losses(table, (*columns, HISTORICAL_MEAN))
    means = {name: np.mean([weekly.losses[f"{name}|{seed}"] for seed in seeds], axis=0) for name in OPTIONS}
    return WeeklySums(weekly.positives, weekly.losses | means)


def main() -> None:
    """Train what is not in the cache, and print the table."""
    arguments = parser(__doc__, [CITY], choices=[CITY])
    arguments.add_argument("--seeds", type=int, default=2, help="trainings of each option in each quarter")
    arguments.add_argument("--quarters", type=int, default=1, help="tested quarters of 2018, the last ones")
    chosen = arguments.parse_args()
    quarters = folds(CITY, chosen.data, chosen.cache)[-chosen.quarters :]
    shorter = [fold.of_last(DAYS, round(DAYS * VALIDATION_SHARE)) for fold in quarters]
    windows = [Window(fold, fold.history.through(fold.validation.stop)) for fold in shorter]
    seeds = range(chosen.seeds)
    sums = [weekly_sums_of(window, seeds, chosen.cache) for window in windows]
    positives = int(sum(weekly.positives.sum() for weekly in sums))
    print_head("option", f"gain over {HISTORICAL_MEAN}", "gain over the network without it", "seeds", "CPU [s]")
    for name, option in OPTIONS.items():
        each = [pooled_gain(sums, f"{name}|{seed}", HISTORICAL_MEAN).gain or 0.0 for seed in seeds]
        over = "-" if name == option.model else pooled_gain(sums, name, option.model).text()
        seconds = np.mean([trained(one, name, seed, chosen.cache).seconds for one in windows for seed in seeds])
        gain = pooled_gain(sums, name, HISTORICAL_MEAN).text()
        print_row(name, gain, over, f"{min(each):+.4f} to {max(each):+.4f}", f"{seconds:.0f}")
    print(f"\n{positives:,} cell-days with an alert, {len(seeds)} seeds, {len(windows)} quarters to the end of 2018")


if __name__ == "__main__":
    main()
