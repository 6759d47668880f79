"""Years worth training on: `python benchmarks/training_length.py --data FOLDER --cache FOLDER [--cities ...] [--network NAME]`.

The open question of the reference report. Each quarterly fold of a city trains the stack and the network on the last years
before its cutoff and on all days, as `folds: {train: 1y}` of a city's file does. All lengths are scored on the cells that all
days before the cutoff cover. No model of other cities is used, as a short history would lean on it.

Prints a Markdown table: gains in nats per positive over the mean of each cell on all days, and over the same forecaster on all
days, with 90% intervals of a weekly block bootstrap. Forecasts are kept in the cache, so that a run that was stopped goes on.
"""

import os
from pathlib import Path
from typing import Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import Fold, folds, parser, print_head, print_row
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN

CITIES: Final = ("washington_dc", "cincinnati", "oakland")
ALL: Final = "all"
STACK: Final = "stack"


def trained_on(fold: Fold, length: str) -> Fold | None:
    """The fold with its training and validation windows; None if its history is shorter than they are."""
    windows = Folds(train=length)
    before = fold.test.start if length == ALL else (fold.cutoff - windows.first_day(fold.cutoff)).days
    return fold.of_last(before, windows.validation_days(fold.cutoff, before)) if before <= fold.test.start else None


def forecasts_of(fold: Fold, length: str, cache: Path, network: str) -> dict[str, np.ndarray]:
    """Test forecasts of the stack and of the network by name and length."""
    shorter = trained_on(fold, length)
    if shorter is None:
        return {}
    kept = cache if length == ALL else cache / f"train_{length}"
    kept.mkdir(exist_ok=True)
    names = dict.fromkeys((*MEMBERS, *([network] if network else []), *([HISTORICAL_MEAN] if length == ALL else [])))
    members = members_of(shorter, kept, tuple(names))
    stack = stack_of(shorter, {name: members[name] for name in MEMBERS})
    found = {f"{STACK} {length}": stack.predict(shorter.history, shorter.test)}
    if network:
        found[f"{network} {length}"] = members[network].test
    return found | ({HISTORICAL_MEAN: members[HISTORICAL_MEAN].test} if length == ALL else {})


def show(city: str, forecasts: pa.Table) -> None:
    """A line for each forecaster and length."""
    for column in forecasts.column_names:
        name, _, length = column.partition(" ")
        if length:
            gains = [table_gain(forecasts, column, over).text() for over in (HISTORICAL_MEAN, f"{name} {ALL}")]
            print_row(city, name, length, *gains)


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, CITIES)
    arguments.add_argument("--years", type=int, nargs="+", default=[1, 2, 3], help="lengths besides all days")
    arguments.add_argument("--network", default="network", help="a forecaster's name; empty for the stack alone")
    arguments.add_argument("--folds", type=int, help="of each city, the first ones; all by default")
    chosen = arguments.parse_args()
    print_head("city", "forecaster", "years", f"gain over {HISTORICAL_MEAN}", "gain over all days")
    for city in chosen.cities:
        tables = [
            fold.table(
                {
                    name: forecast
                    for length in (*(f"{years}y" for years in chosen.years), ALL)
                    for name, forecast in forecasts_of(fold, length, chosen.cache, chosen.network).items()
                }
            )
            for fold in folds(city, chosen.data, chosen.cache)[: chosen.folds]
        ]
        shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
        show(city, pa.concat_tables([table.select(shared) for table in tables]))


if __name__ == "__main__":
    main()
