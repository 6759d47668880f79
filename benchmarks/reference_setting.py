"""The reference report's network on real alerts: `python benchmarks/reference_setting.py --data FOLDER --cache FOLDER`.

Of the report are 36 x 36 cells of Washington DC, batches of 20, up to 100 epochs, and the days in the order of time, 70% for
training, 15% for validation, 15% for the test. An alert weighs 1, 10 or 100 in the loss, as the report has it, and 0.01, which
is its wording taken literally ("100 being no shots"). Ours are the alerts of 2014 to 2018, 16 filters, windows of 16 days and
early stopping (`docs/launches/weight_10_to_1.yaml`).

That is hours for each weight on two cores: the training is backed up in the cache after every epoch, and goes on from there when
the script is called again. `--minutes` ends after the epoch that is under way then. `--size default` trains the network in its
default size instead.

Prints, for each weight: accuracy by the threshold 0.5 of the raw output, beside that of flagging never and always, with an
alert counting once and as often as it weighs; the log loss of the probabilities (class weight undone) against the historical
mean and logistic regression; and the same for the maps of the three gunshot types, each against the historical mean of its type.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from benchmark_cities import Fold, city_of, history_of, parser
from reference_network import FULL_SIZE

from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import log_losses

CITY: Final = "washington_dc"
WEIGHTS: Final = (1.0, 10.0, 100.0, 0.01)
SHARES: Final = (0.70, 0.15)  # of the days, for training and validation
THRESHOLD: Final = 0.5
BASELINES: Final = ("historical_mean", "logistic_regression")
NETWORK: Final = "conv_lstm"


class OutOfTimeError(RuntimeError):
    """The minutes are over; what was trained is kept."""


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
    train, validation = round(days * SHARES[0]), round(days * sum(SHARES))
    in_coverage = estimate_coverage(history.daily_counts[:validation].sum(axis=1, dtype=np.int64))
    windows = range(train), range(train, validation), range(validation, days)
    return Fold(history.daily(in_coverage), history.days[validation], *windows)


def network_maps(fold: Fold, config: NetworkSettings, cache: Path, until: float) -> np.ndarray:
    """Probability of each map on the test days, shape (days, cells, maps); trained, or from the cache.

    Raises OutOfTimeError if the training is not over at `until`, on the monotonic clock.
    """
    name = f"{fold.name}_{NETWORK}_filters_{config.filters}_weight_{config.class_weight:g}_epochs_{config.epochs}"
    kept = cache / f"{name}.npy"
    if kept.exists():
        return np.load(kept)

    def log(line: str) -> None:
        print(f"  weight {config.class_weight:g}: {line}", flush=True)
        if time.monotonic() > until and "epoch" in line:
            raise OutOfTimeError

    context = FitContext(log=log, backups=cache / "backups")
    began = time.process_time()
    fitted = forecaster("conv_lstm", config).fit(fold.history, fold.train, fold.validation, context)
    print(f"  weight {config.class_weight:g}: trained in {time.process_time() - began:.0f} s of CPU", flush=True)
    maps = fitted.predict_maps(fold.history, fold.test)
    (cache / f"{name}.json").write_text(json.dumps(fitted.chosen, indent=1))
    np.save(kept, maps)
    return maps


def of_type(history: History, code: int) -> History:
    """The history with the alerts of one type alone."""
    counts = np.zeros_like(history.counts)
    counts[:, code] = history.counts[:, code]
    return replace(history, counts=counts, evening=None)


def baseline(fold: Fold, name: str, history: History) -> np.ndarray:
    """The test forecast of a baseline."""
    return forecaster(name).fit(history, fold.train, fold.validation).predict(history, fold.test)


def gain_line(table: pa.Table, model: str, over: str) -> str:
    """Log losses of both, and the gain with its interval."""
    observed = observed_of(table)
    loss = {
        name: float(log_losses(table[name].to_numpy().astype(np.float64), observed).mean()) for name in (model, over)
    }
    return f"{loss[model]:.5f} against {over} {loss[over]:.5f}: {table_gain(table, model, over).text('+.3f')} nats per positive"


def report(fold: Fold, maps: np.ndarray, weight: float) -> None:
    """Print what a network's maps are worth."""
    observed = fold.history.observed[fold.test.start : fold.test.stop]
    # The raw output whose odds are `weight` times as high crosses the threshold where the probability does this.
    flagged = maps[..., 0] >= THRESHOLD / (THRESHOLD + weight * (1 - THRESHOLD))
    print(f"weight {weight:g}: {flagged.mean():.1%} of the cell-days flagged, {observed.mean():.1%} have an alert")
    for counts in sorted({1.0, weight}):
        accuracy = {name: f"{share:.1%}" for name, share in asdict(Accuracy.of(flagged, observed, counts)).items()}
        print(f"  accuracy, an alert counting {counts:g} times: {accuracy}")
    forecasts = {NETWORK: maps[..., 0]} | {name: baseline(fold, name, fold.history) for name in BASELINES}
    for name in BASELINES:
        print(f"  any alert: log loss {gain_line(fold.table(forecasts), NETWORK, name)}")
    for at, (code, name) in enumerate(GUNSHOT_TYPES.items(), start=1):
        history = of_type(fold.history, code)
        typed = replace(fold, history=history)
        table = typed.table({NETWORK: maps[..., at], BASELINES[0]: baseline(typed, BASELINES[0], history)})
        print(
            f"  {name} ({int(observed_of(table).sum())} positives): log loss {gain_line(table, NETWORK, BASELINES[0])}"
        )


def main() -> None:
    """Train or go on, and print."""
    arguments = parser(__doc__, [CITY], choices=[CITY])
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("--weights", type=float, nargs="+", default=list(WEIGHTS))
    arguments.add_argument("--size", choices=("full", "default"), default="full", help="size of the network")
    arguments.add_argument("--epochs", type=int, help="at most; by default those of the size")
    arguments.add_argument("--minutes", type=float, default=float("inf"), help="of training, in all")
    options = arguments.parse_args()
    until = time.monotonic() + 60 * options.minutes
    fold = fold_of(options.data, options.cache)
    print(
        f"{city_of(CITY).name}: {len(fold.train)} days of training, {len(fold.validation)} of validation, test from {fold.cutoff} "
        f"({len(fold.test)} days), {int(fold.history.in_coverage.sum())} cells"
    )
    for weight in options.weights:
        size = FULL_SIZE if options.size == "full" else {}
        config = NetworkSettings(
            **size | {"class_weight": weight} | ({"epochs": options.epochs} if options.epochs else {})
        )
        try:
            report(fold, network_maps(fold, config, options.cache, until), weight)
        except OutOfTimeError:
            print(f"The minutes are over; the training at weight {weight:g} goes on when the script is called again.")
            return


if __name__ == "__main__":
    main()
