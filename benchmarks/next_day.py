"""Next-day forecasters on real cities: `python benchmarks/next_day.py --data FOLDER --cache FOLDER [--cities ...] [--models ...]`.

Every city runs through the project's own reading, cleaning and gridding; four quarterly folds each, forecast one after
the other as a city would: models are fitted before each cutoff, and networks go on from the fold before. Forecasts are
kept in the cache, so that a run that was stopped goes on. Prints Markdown: per city and over all cities, gains in nats
per positive over each baseline with 90% intervals of a weekly block bootstrap, calibration, with and without firework days.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from pyarrow import fs
from reliability_plot import reliability_by_city

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.evaluation.forecasts_table import forecasts_table, model_names, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.gridding.tensors import dense_window, grid_tensors
from shotspotter_assets.models.fold_windows import split_days
from shotspotter_assets.models.forecaster import through
from shotspotter_assets.models.history import History, late_alerts
from shotspotter_assets.models.next_day.features import next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import fit_on_inputs
from shotspotter_assets.models.next_day.residual_boosting import fit_on_linear
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.simulated.source import SimulatedSource

VALIDATION_SHARE = 0.15
WINDOW = 16


@dataclass(frozen=True)
class Benchmark:
    """A city's file, its time zone, first day and box, and the cutoffs of its folds (the last one only ends a test)."""

    file: str
    zone: str
    start: date
    box: tuple[float, float, float, float]
    cutoffs: tuple[date, ...]


def quarters(year: int, month: int, number: int) -> tuple[date, ...]:
    """`number` quarterly cutoffs and the end of the last one's test window."""
    months = [year * 12 + month - 1 + 3 * at for at in range(number + 1)]
    return tuple(date(at // 12, at % 12 + 1, 1) for at in months)


DC_BOX = (-77.0485, 38.81475, -76.9005, 38.96875)
EAST = "America/New_York"
PACIFIC = "America/Los_Angeles"
BENCHMARKS = {
    "washington_dc": Benchmark("washington_dc", EAST, date(2014, 1, 1), DC_BOX, quarters(2018, 1, 4)),
    "oakland": Benchmark(
        "oakland_ca",
        PACIFIC,
        date(2008, 1, 2),
        (-122.3265, 37.7305, -122.1395, 37.8485),
        quarters(2012, 10, 4),
    ),
    "cincinnati": Benchmark(
        "cincinnati_oh", EAST, date(2017, 8, 16), (-84.6035, 39.0955, -84.4625, 39.1905), quarters(2022, 1, 4)
    ),
    "springfield": Benchmark(
        "springfield_ma_hourly", EAST, date(2008, 5, 30), (-72.6235, 42.0765, -72.5415, 42.1365), quarters(2017, 1, 4)
    ),
    "washington_dc_2013": Benchmark(
        "washington_dc_2006_2013",
        EAST,
        date(2009, 1, 1),
        (-77.0485, 38.79875, -76.9005, 38.96875),
        quarters(2013, 1, 4),
    ),
    "washington_dc_tuning": Benchmark("washington_dc", EAST, date(2014, 1, 1), DC_BOX, quarters(2016, 1, 8)),
    "simulated": Benchmark(
        "", EAST, date(2019, 1, 1), (-77.06924, 38.846096, -76.93076, 38.953904), quarters(2023, 1, 4)
    ),
    # Boxes of the following: 1st to 99th percentile of the points from the first day to the first cutoff, 5% more on each
    # side, rounded outwards to 0.001 degrees. The file of San Francisco ends with 24 June 2015.
    "san_francisco": Benchmark(
        "san_francisco_ca",
        PACIFIC,
        date(2013, 1, 1),
        (-122.442, 37.701, -122.373, 37.789),
        (*quarters(2014, 7, 3), date(2015, 6, 25)),
    ),
    "fresno": Benchmark(
        "fresno_ca", PACIFIC, date(2015, 7, 3), (-119.818, 36.705, -119.721, 36.761), quarters(2017, 7, 4)
    ),
    "new_york": Benchmark(
        "new_york_ny_shootings", EAST, date(2017, 7, 1), (-74.138, 40.567, -73.723, 40.905), quarters(2022, 7, 4)
    ),
    "philadelphia": Benchmark(
        "philadelphia_pa_shootings", EAST, date(2019, 1, 1), (-75.258, 39.908, -75.02, 40.079), quarters(2024, 1, 4)
    ),
    "chicago": Benchmark(
        "chicago_il_gun_battery_2018_2021",
        "America/Chicago",
        date(2018, 1, 1),
        (-87.785, 41.641, -87.54, 42.012),
        quarters(2020, 10, 4),
    ),
}
TESTED = ("washington_dc", "oakland", "cincinnati", "springfield", "washington_dc_2013")
UNSEEN = ("san_francisco", "fresno", "new_york", "philadelphia", "chicago")
"""Looked at once, after everything was settled. The last three are shootings reported to the police, not alerts."""
GROUPS = {"tested": TESTED, "unseen": UNSEEN}


def benchmark_city(name: str) -> City:
    """The City of a benchmark."""
    of = BENCHMARKS[name]
    columns = {"time": "occurred_at", "gunshot_type": "alert_type", "rounds": "rounds", "source_id": "source_id"}
    source: dict[str, Any] = {"kind": "landing", "columns": columns} if of.file else {"kind": "simulated", "seed": 11}
    box = dict(zip(("west", "south", "east", "north"), of.box, strict=True))
    grid = {"rows": 36, "columns": 36} if of.file else {"rows": 24, "columns": 24}
    return City.model_validate(
        {"name": name, "time_zone": of.zone, "start": of.start, "box": box, "grid": grid, "source": source}
    )


def read_counts(name: str, data: Path, cache: Path) -> tuple[City, np.ndarray, np.ndarray]:
    """City, daily counts up to the last cutoff, and late alerts; from the cache where they are there."""
    city, of = benchmark_city(name), BENCHMARKS[name]
    days = days_between(of.start, of.cutoffs[-1] - timedelta(days=1))
    kept = cache / f"{name}_counts.npz"
    if not kept.exists():
        if of.file:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / f"{of.file}.parquet").symlink_to((data / f"{of.file}.parquet").resolve())
                raw = LandingFolder(city, fs.LocalFileSystem(), folder).read(days[0], days[-1])
        else:
            raw = SimulatedSource(city).read(days[0], days[-1])
        cleaned = clean_alerts(raw, days, city)
        alerts = pa.concat_tables(
            [
                cleaned[day].alerts.append_column("date", pa.array([day] * len(cleaned[day].alerts), pa.date32()))
                for day in days
            ]
        )
        tensors = grid_tensors(alerts, days, city)
        frames = pa.concat_tables(
            [
                table.append_column("date", pa.array([day] * len(table), pa.date32())).replace_schema_metadata(None)
                for day, table in tensors.items()
            ]
        ).replace_schema_metadata({b"grid": tensors[days[0]].schema.metadata[b"grid"]})
        np.savez_compressed(kept, counts=dense_window(frames, days, city), late=late_alerts(frames, days, city))
    loaded = np.load(kept)
    return city, loaded["counts"], loaded["late"]


@dataclass(frozen=True)
class Fold:
    """One fold of a benchmark: the history up to the end of its test window, and its windows as day indexes."""

    history: History
    cutoff: date
    train: range
    validation: range
    test: range


def folds(name: str, data: Path, cache: Path) -> list[Fold]:
    """The folds of a benchmark; the coverage of each is estimated on the days before its cutoff."""
    city, counts, late = read_counts(name, data, cache)
    cutoffs = BENCHMARKS[name].cutoffs
    found = []
    for cutoff, end in pairwise(cutoffs):
        before, stop = (cutoff - city.start).days, (end - city.start).days
        covered = estimate_coverage(counts[:before].sum(axis=1, dtype=np.int64))
        history = History(city, city.start, counts[:stop], covered, late[:stop])
        train, validation = split_days(before, VALIDATION_SHARE, WINDOW)
        found.append(Fold(history, cutoff, train, validation, range(before, stop)))
    return found


def baselines_of(fold: Fold, cache: Path) -> dict[str, np.ndarray]:
    """Forecasts (test days, cells) of the tuned baselines but for `never`; from the cache where they are there."""
    from shotspotter_assets.models.next_day.baselines import fit_baselines

    history = fold.history
    kept = cache / f"{history.city.name}_{fold.cutoff}_baselines.npz"
    if not kept.exists():
        fitted = fit_baselines(history, fold.train, fold.validation, fold.test)
        np.savez_compressed(
            kept,
            **{name: of.probability.astype(np.float32) for name, of in fitted.items()},
            seconds=json.dumps({name: of.seconds for name, of in fitted.items()}),
        )
    loaded = np.load(kept)
    return {name: loaded[name].astype(np.float64) for name in loaded.files if name not in ("seconds", "never")}


def candidates_of(fold: Fold, cache: Path, wanted: tuple[str, ...], start: Any = None) -> tuple[dict[str, Any], Any]:
    """(test forecasts by model, the network to go on from), from the cache where they are kept."""
    history = through(fold.history, fold.validation.stop)
    kept = {name: cache / f"{history.city.name}_{fold.cutoff}_{name}.npz" for name in wanted}
    if not all(path.exists() for path in kept.values()):
        inputs = next_day_inputs(history, range(fold.validation.stop))
        windows = (history, inputs, fold.train, fold.validation)
        linear = fit_on_inputs(*windows)
        for name, path in kept.items():
            if path.exists():
                continue
            started = time.perf_counter()
            if name == "regime_regression":
                fitted: Any = linear[1]
            elif name == "residual_boosting":
                fitted = fit_on_linear(*windows, *linear)
            else:
                fitted = start = forecaster(name).fit_on_linear(*windows, *linear, start)  # type: ignore[attr-defined]
            settings = json.dumps(fitted.settings | {"seconds": time.perf_counter() - started})
            test = fitted.predict(fold.history, fold.test)
            np.savez_compressed(path, test=test, settings=settings)
            print(f"{history.city.name} {fold.cutoff} {name}: {settings}", file=sys.stderr, flush=True)
    return {name: np.load(path)["test"] for name, path in kept.items()}, start


COMPARED = ("historical_mean", "ewma", "logistic_regression", "gradient_boosting")
"""The baselines that gains are given over; the others are lines of the tables."""
CANDIDATES = ("regime_regression", "residual_boosting", "residual_conv_lstm")
APART = np.timedelta64(7 * 2_000, "D")
"""Days of different cities are moved apart by so much, so that they share no week in the bootstrap."""


def forecasts_of(fold: Fold, forecasts: dict[str, np.ndarray]) -> pa.Table:
    """The forecasts table (see `evaluation.forecasts_table`) of one fold."""
    history, test = fold.history, slice(fold.test.start, fold.test.stop)
    return forecasts_table(history.days()[test], np.nonzero(history.covered), history.observed[test], forecasts)


def show(title: str, forecasts: pa.Table) -> None:
    """One Markdown table: log loss, calibration, and gains over each baseline with intervals, the best model first."""
    scores = score_table(forecasts)
    over = [name for name in COMPARED if name in scores]
    positives = int(forecasts["observed"].to_numpy().sum())
    print(f"\n### {title}: {forecasts.num_rows:,} cell-days, {positives:,} occupied\n")
    print(
        "| model | log loss | pred/obs | slope | AP | hit rate 5% | "
        + " | ".join(f"gain over {name}" for name in over)
        + " |"
    )
    print("| --- " * (6 + len(over)) + "|")
    for name, own in sorted(scores.items(), key=lambda item: item[1].log_loss):
        shown = [table_gain(forecasts, name, baseline).text() for baseline in over]
        print(
            f"| {name} | {own.log_loss:.5f} | {own.predicted_over_observed:.3f} | {own.calibration_slope:.2f} | "
            f"{own.average_precision:.3f} | {own.hit_rate[5]:.3f} | " + " | ".join(shown) + " |"
        )


def show_ceiling(tables: list[pa.Table], found: list[Fold]) -> None:
    """The share of the gap from climatology to the true intensity that each model closes in the simulated city."""
    city = found[0].history.city
    source = SimulatedSource(city)
    truth = [
        source.true_probability(fold.cutoff, fold.cutoff + timedelta(len(fold.test) - 1))[:, fold.history.covered]
        for fold in found
    ]
    pooled = pa.concat_tables(tables)
    observed = pooled["observed"].to_numpy().astype(bool)
    best = log_losses(np.concatenate([of.ravel() for of in truth]), observed).mean()
    loss = {name: log_losses(pooled[name].to_numpy(), observed).mean() for name in model_names(pooled)}
    print(f"\nThe truth's log loss is {best:.5f}. Share of the gap from historical_mean closed:\n")
    for name, of in loss.items():
        print(f"- {name}: {(loss['historical_mean'] - of) / (loss['historical_mean'] - best):.1%}")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the cities' Parquet files")
    parser.add_argument("--cache", type=Path, required=True, help="folder for counts and forecasts")
    parser.add_argument("--cities", nargs="+", default=["tested"], choices=[*GROUPS, *BENCHMARKS])
    parser.add_argument(
        "--models",
        nargs="+",
        default=["regime_regression", "residual_boosting"],
        choices=CANDIDATES,
    )
    parser.add_argument("--reliability", type=Path, help="also draw the reliability of residual_boosting into this SVG")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    pooled, ordinary = [], []
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    for at, name in enumerate(cities):
        tables, start = [], None
        found = folds(name, chosen.data, chosen.cache)
        for fold in found:
            candidates, start = candidates_of(fold, chosen.cache, tuple(chosen.models), start)
            tables.append(forecasts_of(fold, baselines_of(fold, chosen.cache) | candidates))
        table = pa.concat_tables(tables)
        show(name, table)
        show(f"{name} without firework days", without_firework_days(table))
        if not BENCHMARKS[name].file:
            show_ceiling(tables, found)
        for of, into in ((table, pooled), (without_firework_days(table), ordinary)):
            days = of["date"].to_numpy().astype("datetime64[D]") + at * APART
            into.append(of.set_column(0, "date", pa.array(days, pa.date32())))
    if chosen.reliability:
        drawn = reliability_by_city(dict(zip(cities, pooled, strict=True)), "residual_boosting")
        chosen.reliability.write_bytes(drawn)
    if len(cities) > 1:
        show("All cities", pa.concat_tables(pooled))
        show("All cities without firework days", pa.concat_tables(ordinary))


if __name__ == "__main__":
    main()
