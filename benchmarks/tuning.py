"""Gains of searched settings: `python benchmarks/tuning.py --data FOLDER --cache FOLDER [--cities ...] [--trials 20]`.

In each city the settings of a forecaster are searched on the days before its first cutoff, by the project's own search and by
random values with the same number of trials, with several seeds. The result of each search is scored on the four quarters that
follow (`--quarters`), each forecast by models that are fitted on all days before it. Forecasters start at no other city. Trials
and forecasts are kept in the cache, so that a stopped run goes on. Prints Markdown: gain on the validation window, on which the
settings were chosen, and on the test quarters, over the settings without a search, in nats per positive with the 90% interval of
a weekly block bootstrap; trials until the search was within a tenth of its own gain.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pyarrow as pa
from benchmark_cities import BENCHMARKS, Fold, folds, parser, print_head, print_row

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import city_settings, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import START_LOSS, TuningTask, best_loss, open_study, search
from shotspotter_assets.storage.fingerprints import sha256

CITIES: Final = ("simulated", "washington_dc", "cincinnati")
FORECASTERS: Final = ("residual_boosting",)
NETWORK: Final = "network"  # not among the default ones: a trial takes minutes
SEARCHES: Final = ("bayesian", "random")
DEFAULT: Final = "default"
HOUR: Final = 60.0


def task_of(fold: Fold, name: str) -> TuningTask:
    """The search of a forecaster's settings before a fold's cutoff."""
    history = fold.history.through(fold.validation.stop)
    return TuningTask(name, city_settings(history.city, name), history, fold.train, fold.validation, FitContext())


def study_of(task: TuningTask, fold: Fold, kind: str, seed: int, number: int, cache: Path) -> optuna.Study:
    """The study of one search with that many finished trials."""
    cache.mkdir(parents=True, exist_ok=True)
    study = open_study(task, f"sqlite:///{cache.absolute()}/{fold.name}_{task.forecaster}_{kind}_{seed}.db", seed)
    if kind == "random":
        study.sampler = optuna.samplers.RandomSampler(seed)
    search(task, study, number, HOUR, 1, print)
    return study


def forecast_of(fold: Fold, past: History, name: str, changes: dict[str, Any], cache: Path) -> np.ndarray:
    """Forecasts of the test window, shape (days, cells), by the forecaster with changed settings, fitted on the days before."""
    kept = cache / "tuned_forecasts" / f"{fold.name}_{name}_{sha256(repr(sorted(changes.items())))[:12]}.npy"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        settings = city_settings(fold.history.city, name, changes)
        fitted = forecaster(name, settings).fit(past, fold.train, fold.validation)
        np.save(kept, fitted.predict(fold.history, fold.test))
    return np.asarray(np.load(kept))


def scored(city_folds: Sequence[Fold], name: str, found: dict[str, dict[str, Any]], cache: Path) -> pa.Table:
    """The forecasts table of the test year: of the settings as they are, and of each search."""
    tables = []
    for fold in city_folds:
        past = fold.history.through(fold.validation.stop)  # which keeps what is the same for all settings
        forecasts = {column: forecast_of(fold, past, name, changes, cache) for column, changes in found.items()}
        tables.append(fold.table(forecasts))
    return pa.concat_tables(tables)


def trials_needed(study: optuna.Study) -> int:
    """Trials until nine tenths of the gain on the validation window were reached."""
    start = study.user_attrs[START_LOSS]
    losses = np.minimum.accumulate([start, *(start if one.value is None else one.value for one in study.trials)])
    return int(np.argmax(losses <= losses[-1] + 0.1 * (losses[0] - losses[-1])))


def show(city: str, name: str, arguments: Any) -> None:
    """One table: a row for each search."""
    city_folds = folds(city, arguments.data, arguments.cache)[: arguments.quarters]
    task = task_of(city_folds[0], name)
    studies = {
        f"{kind} {seed}": study_of(task, city_folds[0], kind, seed, arguments.trials, arguments.cache)
        for kind in arguments.searches
        for seed in range(arguments.seeds)
    }
    starts = {column: study.user_attrs[START_LOSS] for column, study in studies.items()}
    found = {
        column: study.best_params if best_loss(study) < starts[column] else {} for column, study in studies.items()
    }
    table = scored(city_folds, name, {DEFAULT: {}} | found, arguments.cache)
    print(f"\n### {city}, {name}: {arguments.trials} trials before {city_folds[0].cutoff}\n")
    print_head("search, seed", "gain on validation", "gain on the test quarters", "trials needed", "settings")
    for column, study in studies.items():
        gain = (starts[column] - best_loss(study)) * task.observed.size / task.observed.sum()
        shown = ", ".join(f"{key} {value:.4g}" for key, value in found[column].items())
        tested = table_gain(table, column, DEFAULT).text()
        print_row(column, f"{gain:+.4f}", tested, trials_needed(study), shown or "as they are")


def main() -> None:
    """Search what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=CITIES, choices=BENCHMARKS)
    arguments.add_argument("--forecasters", nargs="+", default=list(FORECASTERS), choices=[*FORECASTERS, NETWORK])
    arguments.add_argument("--trials", type=int, default=20)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--quarters", type=int, default=4, help="of the test year, on which settings are scored")
    arguments.add_argument("--searches", nargs="+", default=list(SEARCHES), choices=SEARCHES)
    chosen = arguments.parse_args()
    for city in chosen.cities:
        for name in chosen.forecasters:
            show(city, name, chosen)


if __name__ == "__main__":
    main()
