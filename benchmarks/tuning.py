"""What searched settings gain: `python benchmarks/tuning.py --data FOLDER --cache FOLDER [--cities ...] [--trials 20]`.

In each city the settings of a forecaster are searched on the days before its first cutoff, by the project's own search and by
random values with the same number of trials, with several seeds. What each search found is judged on the four quarters that
follow (`--quarters`), each forecast by models that are fitted on all days before it. Forecasters start at no other city. Trials
and forecasts are kept in the cache, so that a run that was stopped goes on. Prints Markdown: gain on the validation window, on
which the settings were chosen, and on the test quarters, over the settings as they are, in nats per positive with the 90%
interval of a weekly block bootstrap; trials until the search was within a tenth of its own gain, seconds of the trials, and what
the search itself takes. `--parallel` times a search of so many trials one at a time and two at a time, beside what two processes
do that share nothing but the processors.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, Fold, folds, parser

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.registry import city_settings, forecaster
from shotspotter_assets.models.tuning.search import Budget, best_of, next_values, search, stop_rule
from shotspotter_assets.models.tuning.space import as_settings
from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

CITIES: Final = ("simulated", "washington_dc", "cincinnati")
FORECASTERS: Final = ("residual_boosting", "regime_regression")
NETWORK: Final = "residual_conv_lstm"
"""Not among the default ones: a trial takes minutes."""
SEARCHES: Final = ("bayesian", "random")
DEFAULT: Final = "default"
HOUR: Final = 60.0


def task_of(fold: Fold, name: str) -> TuningTask:
    """The search of a forecaster's settings before a fold's cutoff."""
    history = fold.history.through(fold.validation.stop)
    return TuningTask(name, city_settings(history.city, name), history, fold.train, fold.validation, FitContext())


def journal_of(cache: Path, fold: Fold, file: str) -> TrialStore:
    """The finished trials of one search."""
    partition = Partition("tuning", fold.history.city.name, "fold", fold.cutoff)
    return TrialStore(Store(str(cache.absolute())), partition, f"{file}.json")


def trials_of(task: TuningTask, fold: Fold, kind: str, seed: int, number: int, cache: Path) -> list[Trial]:
    """The finished trials of one search: the settings as they are, then others."""
    shared = journal_of(cache, fold, f"{task.forecaster}.start").read(task.key)
    if not shared:
        shared = search(task, journal_of(cache, fold, f"{task.forecaster}.start"), Budget(1, HOUR), 0, print)
    journal = journal_of(cache, fold, f"{task.forecaster}.{kind}.{seed}")
    finished = journal.read(task.key) or journal.add(task.key, shared[0])
    if kind == "bayesian":
        return search(task, journal, Budget(number, HOUR), seed, print)[:number]
    while len(finished) < number:
        # With one finished trial alone, values are drawn at random.
        values = next_values(task, finished[:1], [], 1_000 * (seed + 1) + len(finished))
        finished = journal.add(task.key, task.run(values, lambda _: None, lambda _: None))
        best = best_of(finished).loss or 0.0
        print(
            f"random {seed}: trial {len(finished)}/{number}, best so far {best:.6f}, {finished[-1].seconds:.1f} s",
            flush=True,
        )
    return finished[:number]


def forecast_of(fold: Fold, past: History, name: str, changes: dict[str, Any], cache: Path) -> np.ndarray:
    """Forecasts of the test window, shape (days, cells), by the forecaster with changed settings, fitted on the days before."""
    kept = cache / "tuned_forecasts" / f"{fold.name}_{name}_{sha256(repr(sorted(changes.items())))[:12]}.npy"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        settings = city_settings(fold.history.city, name, changes)
        fitted = forecaster(name, settings).fit(past, fold.train, fold.validation)
        np.save(kept, fitted.predict(fold.history, fold.test))
    return np.asarray(np.load(kept))


def judged(city_folds: Sequence[Fold], name: str, found: dict[str, dict[str, Any]], cache: Path) -> pa.Table:
    """The forecasts table of the test year: of the settings as they are, and of each search."""
    tables = []
    for fold in city_folds:
        past = fold.history.through(fold.validation.stop)  # which keeps what is the same for all settings
        forecasts = {column: forecast_of(fold, past, name, changes, cache) for column, changes in found.items()}
        tables.append(fold.table(forecasts))
    return pa.concat_tables(tables)


def trials_needed(finished: Sequence[Trial]) -> int:
    """Trials until nine tenths of the gain on the validation window were there."""
    losses = np.minimum.accumulate([np.inf if trial.loss is None else trial.loss for trial in finished])
    return int(np.argmax(losses <= losses[-1] + 0.1 * (losses[0] - losses[-1]))) + 1


def own_cost_ms(task: TuningTask, finished: Sequence[Trial]) -> float:
    """CPU milliseconds that the search itself takes of a trial, to decide what is tried and when it is stopped."""
    began = time.process_time()
    for number in range(1, len(finished)):
        next_values(task, finished[:number], [], 0)
        stop_rule(task, finished[:number], None, Event())
    return 1_000 * (time.process_time() - began) / max(len(finished) - 1, 1)


def show(city: str, name: str, arguments: Any) -> None:
    """One table: a row for each search."""
    city_folds = folds(city, arguments.data, arguments.cache)[: arguments.quarters]
    task = task_of(city_folds[0], name)
    searches = {
        f"{kind} {seed}": trials_of(task, city_folds[0], kind, seed, arguments.trials, arguments.cache)
        for kind in arguments.searches
        for seed in range(arguments.seeds)
    }
    found = {column: as_settings(task.space, best_of(finished).values) for column, finished in searches.items()}
    table = judged(city_folds, name, {DEFAULT: {}} | found, arguments.cache)
    print(f"\n### {city}, {name}: {arguments.trials} trials before {city_folds[0].cutoff}\n")
    print(
        "| search, seed | gain on validation | gain on the test quarters | trials needed | seconds of trials | settings |"
    )
    print("| --- " * 6 + "|")
    for column, finished in searches.items():
        start, best = finished[0].loss or 0.0, best_of(finished).loss or 0.0
        gain = (start - best) * task.cell_days / task.positives
        seconds = sum(trial.seconds for trial in finished)
        shown = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in found[column].items()
        )
        print(
            f"| {column} | {gain:+.4f} | {table_gain(table, column, DEFAULT).text()} | {trials_needed(finished)} | "
            f"{seconds:.0f} | {shown or 'as they are'} |",
            flush=True,
        )
    own = own_cost_ms(task, next(iter(searches.values())))
    print(f"\nThe search itself takes {own:.0f} ms of CPU a trial.", flush=True)


def show_parallel(city: str, arguments: Any) -> None:
    """How long a search of boosting takes one trial at a time and two at a time, and what the search takes of it."""
    fold = folds(city, arguments.data, arguments.cache)[0]
    task = task_of(fold, FORECASTERS[0])
    task.run({}, lambda _: None, lambda _: None)  # so that neither makes the inputs
    journal = journal_of(arguments.cache, fold, f"parallel.{time.time_ns()}")
    journal.add(task.key, Trial(values={}, state="complete", loss=1.0, seconds=0.0))
    began = time.perf_counter()
    finished = search(task, journal, Budget(arguments.parallel + 1, HOUR), 0, print)
    took = time.perf_counter() - began
    own = sum(trial.seconds for trial in finished)
    print(f"one at a time: {took:.1f} s, trials {own:.1f} s, the search itself {took - own:.1f} s", flush=True)
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:  # as the search does
        list(pool.map(lambda trial: task.run(trial.values, lambda _: None, lambda _: None), finished[1:]))
    again = time.perf_counter() - began
    print(f"the same trials, two at a time: {again:.1f} s, {own / again:.2f} times as fast", flush=True)


def _count(number: int) -> int:
    return sum(at % 7 for at in range(number))


def processors() -> float:
    """How many times as much two processes get done at once as one alone: less than 2 where they share a core."""
    took = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(_count, [1] * processes))  # so that they have started
            began = time.perf_counter()
            list(pool.map(_count, [50_000_000] * processes))
            took.append(time.perf_counter() - began)
    return 2 * took[0] / took[1]


def main() -> None:
    """Search what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=CITIES, choices=BENCHMARKS)
    arguments.add_argument("--forecasters", nargs="+", default=list(FORECASTERS), choices=[*FORECASTERS, NETWORK])
    arguments.add_argument("--trials", type=int, default=20)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument(
        "--quarters", type=int, default=4, help="of the test year, on which what was found is judged"
    )
    arguments.add_argument("--searches", nargs="+", default=list(SEARCHES), choices=SEARCHES)
    arguments.add_argument("--parallel", type=int, default=0, metavar="TRIALS", help="time searches of so many trials")
    chosen = arguments.parse_args()
    if chosen.parallel:
        print(f"two processes do {processors():.2f} times the work of one here", flush=True)
    for city in chosen.cities:
        if chosen.parallel:
            show_parallel(city, chosen)
            continue
        for name in chosen.forecasters:
            show(city, name, chosen)


if __name__ == "__main__":
    main()
