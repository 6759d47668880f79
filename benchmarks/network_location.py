"""Gain of the channel `location` of `conv_lstm` in Washington DC: `python benchmarks/network_location.py --cache FOLDER`.

Small networks are trained with and without the channel, with equal seeds, on the two years before each of the last two quarters
of 2018, and forecast the quarter. Prints gains in nats per positive on ordinary days, with 90% intervals of a weekly block
bootstrap. Forecasts and backups of trainings are kept in the cache, so that a run that was stopped goes on.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from benchmark_cities import PACKAGED, VALIDATION_SHARE, Fold, folds, parser, print_head, print_row

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN, forecaster
from shotspotter_assets.models.forecaster_settings import NetworkSettings

QUARTERS: Final = 2
DAYS: Final = 730  # before a quarter, to train and validate on
SMALL: Final = {"filters": 4, "days": 4, "epochs": 8}
CHANNELS: Final = {"without": ["counts"], "with": ["counts", "location"]}


def forecasts(fold: Fold, name: str, settings: dict[str, Any], cache: Path) -> np.ndarray:
    """Return test forecasts (days, cells) of a network, or read them from the cache."""
    kept = cache / f"{fold.name}_{name}_location_{settings['seed']}.npy"
    if not kept.exists():
        context = FitContext(backups=cache / "backups", log=lambda line: print(fold.name, name, line, flush=True))
        network = forecaster("conv_lstm", NetworkSettings(channels=CHANNELS[name], **settings))
        past = fold.history.through(fold.validation.stop)
        np.save(kept, network.fit(past, fold.train, fold.validation, context).predict(fold.history, fold.test))
    return np.load(kept)


def main() -> None:
    """Train what is not in the cache, and print the table."""
    arguments = parser(__doc__, [PACKAGED], choices=[PACKAGED])
    arguments.add_argument("--seeds", type=int, default=1, help="trainings of each network in each quarter")
    options = arguments.parse_args()
    tables: dict[int, list[pa.Table]] = {seed: [] for seed in range(options.seeds)}
    for whole in folds(PACKAGED, options.data, options.cache)[-QUARTERS:]:
        fold = whole.of_last(DAYS, round(DAYS * VALIDATION_SHARE))
        mean = forecaster(HISTORICAL_MEAN).fit(fold.history, fold.train, fold.validation)
        for seed, of_seed in tables.items():
            networks = {name: forecasts(fold, name, {**SMALL, "seed": seed}, options.cache) for name in CHANNELS}
            columns = networks | {HISTORICAL_MEAN: mean.predict(fold.history, fold.test)}
            of_seed.append(without_firework_days(fold.table(columns)))
    print_head("seed", f"with it, over {HISTORICAL_MEAN}", f"without it, over {HISTORICAL_MEAN}", "with over without")
    for seed, of_seed in tables.items():
        table = pa.concat_tables(of_seed)
        compared = [("with", HISTORICAL_MEAN), ("without", HISTORICAL_MEAN), ("with", "without")]
        print_row(seed, *(table_gain(table, *pair).text("+.4f") for pair in compared))


if __name__ == "__main__":
    main()
