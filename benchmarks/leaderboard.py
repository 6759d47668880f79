"""A table of forecasters that anyone can enter, on real cities with fixed folds: `python benchmarks/leaderboard.py COMMAND`.

    prepare --data FOLDER --cache FOLDER               count the alerts of all cities, once
    run FILE --data FOLDER --cache FOLDER              enter the forecaster of a file, or one of the project by its name
    table --cache FOLDER                               print the table of all that has been entered

FOLDER of `--data` has one Parquet file of alerts a city. A file that is entered has a function `forecaster()`, which gives
an object with a `name` and the `fit` of the protocol (docs/how-to/leaderboard.md). Each of its folds is fitted on the days
before the cutoff, which are all that `fit` is given; forecasts of the test days that change when the counts of the day and of
those after it are replaced by noise are refused. Folds that are done are kept, so that a run that was stopped goes on.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from benchmark_cities import GROUPS, Fold, folds, moved_apart

from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import calibration
from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability, log_losses
from shotspotter_assets.models.registry import FORECASTERS, forecaster

CITIES: Final = (*GROUPS["tested"], *GROUPS["unseen"])
REFERENCE: Final = "historical_mean"
ENTRIES: Final = "leaderboard"
"""Folder of the cache: one folder an entry, one file a fold."""
NOISE: Final = 0.5
"""Alerts per cell, type and day that the future is replaced by."""
TOLERANCE: Final = 1e-3
"""Relative, of forecasts that ought to be the same: networks in batches of another size differ a little."""


class EntryError(Exception):
    """An entry cannot be taken; the message says why."""


def entered(name: str) -> Any:
    """The forecaster of a file, or of the project.

    Raises:
        EntryError: there is none.
    """
    if name in FORECASTERS:
        if FORECASTERS[name].needs_shared:
            raise EntryError(f"{name} rests on what other cities know, which is not given here.")
        return forecaster(name)
    file = Path(name)
    if not file.is_file():
        raise EntryError(f"{name} is no file, and none of the project's forecasters ({', '.join(FORECASTERS)}).")
    specification = spec_from_file_location(file.stem, file)
    if specification is None or specification.loader is None:
        raise EntryError(f"{file} is no Python file.")
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    make = getattr(module, "forecaster", None)
    if not callable(make):
        raise EntryError(f"{file} has no function forecaster() that gives the forecaster.")
    found = make()
    missing = [part for part in ("name", "fit") if not hasattr(found, part)]
    if missing:
        raise EntryError(f"What forecaster() of {file} gives has no {' and no '.join(missing)}.")
    if found.name in FORECASTERS or not str(found.name).isidentifier():
        raise EntryError(f"{file}: the name {found.name!r} is taken, or no plain name such as my_forecaster.")
    return found


def fingerprint(fold: Fold) -> str:
    """Of all that a fold is made of: entries are compared on the same data."""
    history = fold.history
    content = hashlib.sha256(np.ascontiguousarray(history.counts))
    content.update(history.in_coverage.tobytes() + repr((fold.train, fold.validation, fold.test)).encode())
    return content.hexdigest()[:12]


def before(history: History, stop: int) -> History:
    """The days before day `stop`, without a way to those after it."""
    evening = None if history.evening is None else history.evening[:stop].copy()
    return replace(history, counts=history.counts[:stop].copy(), evening=evening)


def with_noise(history: History, first: int) -> History:
    """The history with noise in place of the counts from day `first` on."""
    random, counts = np.random.default_rng(first), history.counts.copy()
    counts[first:] = random.poisson(NOISE, counts[first:].shape)
    if history.evening is None:
        return replace(history, counts=counts)
    evening = history.evening.copy()
    evening[first:] = random.exponential(NOISE, evening[first:].shape)
    return replace(history, counts=counts, evening=evening)


def forecast(entry: Any, fold: Fold) -> Array:
    """The test forecast of a fold, shape (days, cells), once it is known that it uses nothing of the future.

    Raises:
        EntryError: it does, or is no probability.
    """
    fitted = entry.fit(before(fold.history, fold.validation.stop), fold.train, fold.validation)
    shape = len(fold.test), int(fold.history.in_coverage.sum())
    probability = np.asarray(fitted.predict(fold.history, fold.test), dtype=np.float64)
    if probability.shape != shape or not ((probability >= 0) & (probability <= 1)).all():
        raise EntryError(f"{entry.name}, {fold.name}: predict gave no probabilities of the shape {shape}.")
    for day in (fold.test.start, (fold.test.start + fold.test.stop) // 2, fold.test.stop - 1):
        asked = range(fold.test.start, day + 1)
        again = np.asarray(fitted.predict(with_noise(fold.history, day), asked), dtype=np.float64)
        same = np.isclose(again, probability[: len(asked)], rtol=TOLERANCE, atol=1e-9).all(axis=1)
        if not same.all():
            used = fold.history.days()[asked.start + int(np.argmin(same))]
            raise EntryError(
                f"{entry.name}, {fold.name}: the forecast of {used} changes when the counts of {fold.history.days()[day]} and of "
                "the days after it are replaced by noise. It uses what is not known when it is issued."
            )
    return clip_probability(probability)


def run(entry: Any, city_folds: Iterable[Fold], cache: Path) -> None:
    """Forecast the folds that are not done yet, and keep what comes out."""
    folder = cache / ENTRIES / entry.name
    folder.mkdir(parents=True, exist_ok=True)
    for fold in city_folds:
        kept, data = folder / f"{fold.name}.npz", fingerprint(fold)
        if kept.exists() and str(np.load(kept)["data"]) == data:
            continue
        started = time.process_time()
        probability = forecast(entry, fold).astype(np.float32)
        seconds = time.process_time() - started
        partly = kept.with_suffix(".partly.npz")
        np.savez_compressed(
            partly,
            probability=probability,
            data=data,
            seconds=seconds,
            table_days=fold.history.days()[fold.test.start : fold.test.stop],
            observed=fold.history.observed[fold.test.start : fold.test.stop],
        )
        partly.replace(kept)
        print(f"{entry.name} {fold.name}: {seconds:.0f} s of CPU", flush=True)


def _city_table(cache: Path, city: str, names: list[str]) -> pa.Table | None:
    """The forecasts table of the folds of a city that all of `names` have; None where one lacks any."""
    tables = []
    files = sorted(cache.glob(f"{ENTRIES}/{names[0]}/{city}_[0-9]*-*-*.npz"))
    for file in files:
        kept = [cache / ENTRIES / name / file.name for name in names]
        if not all(one.exists() for one in kept):
            return None
        folds_of = [np.load(one) for one in kept]
        if len({str(one["data"]) for one in folds_of}) > 1:
            raise EntryError(
                f"{', '.join(names)}: their forecasts of {file.stem} are of different data; run them again."
            )
        first = folds_of[0]
        cells = first["observed"].shape[1]
        columns = {
            "date": pa.array(np.repeat(first["table_days"], cells), pa.date32()),
            "observed": first["observed"].ravel(),
        }
        columns |= {
            name: one["probability"].ravel().astype(np.float64) for name, one in zip(names, folds_of, strict=True)
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables) if tables else None


def table(cache: Path) -> str:
    """The table of all entries, the best one first, as Markdown.

    Raises:
        EntryError: nothing is entered, or nothing that the others are compared with.
    """
    names = sorted(folder.name for folder in (cache / ENTRIES).glob("*") if folder.is_dir())
    if REFERENCE not in names:
        raise EntryError(f"Gains are over {REFERENCE}, which is not entered yet: run {REFERENCE}.")
    lines: dict[str, tuple[float, str]] = {}
    for name in names:
        by_city = {
            city: found
            for city in CITIES
            if (found := _city_table(cache, city, list(dict.fromkeys((name, REFERENCE))))) is not None
        }
        if not by_city:
            continue
        pooled = pa.concat_tables(moved_apart(list(by_city.values())))
        gain, observed = table_gain(pooled, name, REFERENCE), observed_of(pooled)
        loss = float(log_losses(pooled[name].to_numpy(), observed).mean())
        slope, _ = calibration(pooled[name].to_numpy(), observed)
        each = {city: table_gain(found, name, REFERENCE).gain or 0.0 for city, found in by_city.items()}
        shown = [f"{each[city]:+.3f}" if city in each else "-" for city in CITIES]
        cells = [name, f"{len(by_city)}", f"{loss:.5f}", gain.text("+.3f"), f"{slope or 0:.2f}", *shown]
        lines[name] = (gain.gain or 0.0, f"| {' | '.join(cells)} |")
    head = ["forecaster", "cities", "log loss", "gain, pooled (90%)", "slope", *CITIES]
    rows = [line for _, line in sorted(lines.values(), key=lambda one: -one[0])]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *rows])


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("command", choices=("prepare", "run", "table"))
    arguments.add_argument("file", nargs="?", help="of the forecaster, or the name of one of the project")
    arguments.add_argument("--data", type=Path, help="folder with the cities' Parquet files")
    arguments.add_argument("--cache", type=Path, required=True, help="folder for counts and forecasts")
    arguments.add_argument("--cities", nargs="+", default=list(CITIES), choices=CITIES)
    options = arguments.parse_args()
    if options.command != "table" and options.data is None:
        arguments.error(f"{options.command} needs --data")
    if options.command == "run" and options.file is None:
        arguments.error("run needs the file of a forecaster")
    return options


def main() -> None:
    """Do what was asked for."""
    options = _options()
    commands: dict[str, Callable[[], None]] = {
        "prepare": lambda: _prepare(options),
        "run": lambda: _run(options),
        "table": lambda: print(table(options.cache)),
    }
    try:
        commands[options.command]()
    except EntryError as error:
        raise SystemExit(str(error)) from None


def _prepare(options: argparse.Namespace) -> None:
    for city in options.cities:
        prepared = folds(city, options.data, options.cache)
        alerts = int(prepared[-1].history.counts.sum())
        print(
            f"{city}: {alerts:,} alerts, {len(prepared)} folds, data {' '.join(fingerprint(fold) for fold in prepared)}"
        )


def _run(options: argparse.Namespace) -> None:
    entry = entered(options.file)
    for city in options.cities:
        run(entry, folds(city, options.data, options.cache), options.cache)
    recorded = json.dumps({"entry": entry.name, "cities": options.cities})
    print(f"{recorded}\nThe table: python benchmarks/leaderboard.py table --cache {options.cache}")


if __name__ == "__main__":
    main()
