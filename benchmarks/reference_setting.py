"""The reference report's network on real alerts: `python benchmarks/reference_setting.py --data FOLDER --cache FOLDER`.

Of the report are 36 x 36 cells of Washington DC, batches of 20, up to 100 epochs, and the days in the order of time, 70% for
training, 15% for validation, 15% for the test. An alert weighs 1, 10 or 100 in the loss, as the report has it, and 0.01, which
is its wording taken literally ("100 being no shots"). Ours are the alerts of 2014 to 2018, 16 filters, windows of 16 days and
early stopping (`docs/launches/as_in_the_report.yaml`).

That is hours for each weight on two cores: the training is backed up in the cache after every epoch, so that a stopped run goes
on from there. `--size default` trains the network in its default size instead.

Prints, for each weight: accuracy by the threshold 0.5 of the raw output, beside that of flagging never and always, with an
alert counting once and as often as it weighs; and the log loss of the probabilities (class weight undone) against the historical
mean and logistic regression.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from benchmark_cities import Fold, history_of, parser
from reference_network import FULL_SIZE

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.grid.coverage import estimate_coverage
from shotspotter_assets.models.forecaster import FitContext, log_losses
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.forecaster_settings import NetworkSettings, Start

CITY: Final = "washington_dc"
WEIGHTS: Final = (1.0, 10.0, 100.0, 0.01)
SHARES: Final = (0.70, 0.15)  # of the days, for training and validation
THRESHOLD: Final = 0.5
BASELINES: Final = ("historical_mean", "logistic_regression")
NETWORK: Final = "conv_lstm"


@dataclass(frozen=True)
class Accuracy:
    """Shares of cell-days that are classified correctly, where one with an alert counts `weight` times."""

    flagged: float
    never: float
    always: float

    @classmethod
    def of(cls, flagged: np.ndarray, observed: np.ndarray, weight: float) -> "Accuracy":
        """Of flagged cell-days and those with an alert, arrays of booleans."""
        each = np.where(observed, weight, 1.0)
        share = float(each[observed].sum() / each.sum())
        return cls(float(each[flagged == observed].sum() / each.sum()), 1 - share, share)


def fold_of(data: Path | None, cache: Path) -> Fold:
    """The city's days in the order of time, divided into three."""
    history = history_of(CITY, data, cache)
    days = len(history.days)
    train = round(days * SHARES[0])
    validation = round(days * sum(SHARES))
    in_coverage = estimate_coverage(history.daily_counts[:validation].sum(axis=1, dtype=np.int64))
    windows = range(train), range(train, validation), range(validation, days)
    return Fold(history.daily(in_coverage), history.days[validation], *windows)


def network_maps(fold: Fold, config: NetworkSettings, cache: Path) -> np.ndarray:
    """Probability of each map on the test days, shape (days, cells, maps); trained, or from the cache."""
    name = f"{fold.name}_{NETWORK}_filters_{config.filters}_weight_{config.class_weight:g}_epochs_{config.epochs}"
    kept = cache / f"{name}.npy"
    if kept.exists():
        return np.load(kept)
    context = FitContext(backups=cache / "backups")
    began = time.process_time()
    fitted = forecaster("conv_lstm", config).fit(fold.history, fold.train, fold.validation, context)
    print(f"  weight {config.class_weight:g}: trained in {time.process_time() - began:.0f} s of CPU", flush=True)
    maps = fitted.predict_maps(fold.history, fold.test)
    (cache / f"{name}.json").write_text(json.dumps(fitted.chosen, indent=1))
    np.save(kept, maps)
    return maps


def report(fold: Fold, chances: np.ndarray, weight: float) -> None:
    """Print how well a network forecasts any alert."""
    observed = fold.history.observed[fold.test.start : fold.test.stop]
    # The raw output whose odds are `weight` times as high crosses the threshold where the probability does this.
    flagged = chances >= THRESHOLD / (THRESHOLD + weight * (1 - THRESHOLD))
    print(f"weight {weight:g}: {flagged.mean():.1%} of the cell-days flagged, {observed.mean():.1%} have an alert")
    for counts in sorted({1.0, weight}):
        accuracy = {name: f"{share:.1%}" for name, share in asdict(Accuracy.of(flagged, observed, counts)).items()}
        print(f"  accuracy, an alert counting {counts:g} times: {accuracy}")
    history = fold.history
    windows = (fold.train, fold.validation)
    baselines = {name: forecaster(name).fit(history, *windows).predict(history, fold.test) for name in BASELINES}
    table = fold.table({NETWORK: chances} | baselines)
    loss = {
        name: log_losses(table[name].to_numpy().astype(np.float64), observed_of(table)).mean()
        for name in (NETWORK, *BASELINES)
    }
    for name in BASELINES:
        gain = table_gain(table, NETWORK, name).text("+.3f")
        print(f"  any alert: log loss {loss[NETWORK]:.5f} against {name} {loss[name]:.5f}: {gain} nats per positive")


def main() -> None:
    """Train or go on, and print."""
    arguments = parser(__doc__, [CITY], choices=[CITY])
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("--weights", type=float, nargs="+", default=list(WEIGHTS))
    arguments.add_argument("--size", choices=("full", "default"), default="full", help="size of the network")
    arguments.add_argument("--epochs", type=int, help="at most; by default those of the size")
    options = arguments.parse_args()
    fold = fold_of(options.data, options.cache)
    print(
        f"{CITY}: {len(fold.train)} days of training, {len(fold.validation)} of validation, test from {fold.cutoff} "
        f"({len(fold.test)} days), {int(fold.history.in_coverage.sum())} cells"
    )
    for weight in options.weights:
        size = FULL_SIZE if options.size == "full" else {"start": Start.nothing}
        config = NetworkSettings(
            **size | {"class_weight": weight} | ({"epochs": options.epochs} if options.epochs else {})
        )
        report(fold, network_maps(fold, config, options.cache)[..., 0], weight)


if __name__ == "__main__":
    main()
