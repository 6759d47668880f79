"""A published benchmark in one command: `make benchmark-published ARGS="--points FILE"` (docs/how-to/published_benchmark.md).

Points become counts by day, type and cell through the project's own reading, cleaning and gridding; every row is an event.
Each type is a target of its own. Everything is fitted once, on the days before the test window, without other cities. Prints
two Markdown tables with 90% intervals of a weekly block bootstrap, and writes their rows to `--csv`: occurrence on covered
cells, and counts on all cells, those without coverage by the mean of their counts.
"""

import argparse
import csv
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from benchmark_cities import Fold, dated, print_head, print_row
from pydantic import ValidationError
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.evaluation.count_scores import MIN_EXPECTED, poisson_losses
from shotspotter_assets.evaluation.estimates import Gain, weekly_gain, weekly_sums
from shotspotter_assets.grid.coverage import estimate_coverage
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, HISTORICAL_MEAN
from shotspotter_assets.models.history import firework_days
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.store import Store

SOUTH = 41.644604096
WEST = -87.927881741
METHODS = (*MEMBERS, *(name for name in BASELINES if name not in (*MEMBERS, "never")))
STACK = "stack"
MEAN = "mean of the cell's counts"
MEDIAN = "median of the cell's counts"
ALL = "all"


@dataclass(frozen=True)
class Scored:
    """Forecasts of one type on the test days by method: chances (days, covered cells), counts (days, rows, columns)."""

    fold: Fold
    chances: dict[str, Array]
    counts: dict[str, Array]

    @property
    def days(self) -> np.ndarray:
        """The test days."""
        return self.fold.history.days()[self.fold.test.start :]

    @property
    def observed(self) -> np.ndarray:
        """Observed counts."""
        return self.fold.history.alerts[self.fold.test.start :]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, required=True, help="CSV or Parquet file with a row for each event")
    columns = {"time": "occurred_at", "longitude": "longitude", "latitude": "latitude", "type": "type"}
    for name, column in columns.items():
        parser.add_argument(f"--{name}", default=column, help=f"column of {name}s, {column} by default")
    parser.add_argument("--point", help="column of points as text, POINT (longitude latitude), instead of two columns")
    parser.add_argument("--id", help="column of ids; rows of one id, such as units sent to a call, are one event")
    parser.add_argument("--zone", default="America/Chicago", help="time zone of the times")
    box = (WEST, SOUTH, WEST + 12 / 28, SOUTH + 14 / 37)
    parser.add_argument("--box", type=float, nargs=4, default=box, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    parser.add_argument("--grid", type=int, nargs=2, default=(14, 12), metavar=("ROWS", "COLUMNS"))
    days = {"start": "2016-01-01", "validation": "2017-09-01", "test": "2017-10-01", "end": "2017-12-31"}
    for name, day in days.items():
        of_what = "last day" if name == "end" else f"first day of {'training' if name == 'start' else name}"
        parser.add_argument(f"--{name}", type=date.fromisoformat, default=day, help=f"{of_what}, {day} by default")
    parser.add_argument("--types", nargs="+", help="types to forecast, all by default")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, help="forecasters, all by default")
    parser.add_argument("--peer", type=Path, help="file of another model's expected counts")
    parser.add_argument("--calibration", choices=("poisson", "platt"), default="platt", help="of the peer's chances")
    parser.add_argument("--csv", type=Path, help="file for all numbers")
    parser.add_argument("--cache", type=Path, help="folder for counts and forecasts, so that a stopped run goes on")
    chosen = parser.parse_args()
    if not chosen.start < chosen.validation < chosen.test <= chosen.end:
        parser.error("the days must be in order: --start, --validation, --test, --end")
    return chosen


def read(file: Path) -> pd.DataFrame:
    """A table of a CSV or Parquet file."""
    if not file.exists():
        raise SystemExit(f"{file}: there is no such file.")
    return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


def events_of(chosen: argparse.Namespace) -> pd.DataFrame:
    """The rows of the file, one for each event, with the columns that the command names; without types all are `event`."""
    points = read(chosen.points)
    at = (chosen.point,) if chosen.point else (chosen.longitude, chosen.latitude)
    columns = [chosen.time, *at, *filter(None, [chosen.id]), *([] if chosen.type == "type" else [chosen.type])]
    if missing := [name for name in columns if name not in points]:
        raise SystemExit(f"{chosen.points}: there is no column {', '.join(missing)}; there are: {', '.join(points)}.")
    if "type" not in points:
        points["type"] = "event"
    if chosen.point:
        degrees = points[chosen.point].astype(str).str.extract(r"POINT *\((-?[0-9.]+)[ ,]+(-?[0-9.]+)\)")
        points = points.assign(longitude=degrees[0], latitude=degrees[1])
    if chosen.point:
        chosen.longitude = "longitude"
        chosen.latitude = "latitude"
    return points.drop_duplicates(chosen.id) if chosen.id else points


def named(types: pd.Series) -> pd.Series:
    """Types as names in a city's file: "CRIMINAL DAMAGE" is criminal_damage; a row without type is unknown."""
    names = types.fillna("unknown").astype(str).str.lower().str.replace(r"[^a-z0-9]+", "_", regex=True).str.strip("_")
    return names.str.replace(r"^(?![a-z])", "type_", regex=True)


def histories(chosen: argparse.Namespace, cache: Path) -> dict[str, CityHistory]:
    """The days of each type."""
    points = events_of(chosen)
    west, south, east, north = chosen.box
    at = [pd.to_numeric(points[name], errors="coerce") for name in (chosen.longitude, chosen.latitude)]
    if not (at[0].between(west, east) & at[1].between(south, north)).any():
        spans = ", ".join(
            f"{name} {one.min():.4f} to {one.max():.4f}"
            for name, one in zip(("longitude", "latitude"), at, strict=True)
        )
        raise SystemExit(
            f"{chosen.points}: none of {len(points):,} rows lies in --box {west} {south} {east} {north}; {spans}."
        )
    points = points.assign(**{chosen.type: named(points[chosen.type]), "row_number": np.arange(len(points))})
    types = sorted(points[chosen.type].unique())
    if unknown := set(chosen.types or ()) - {*types}:
        raise SystemExit(f"{chosen.points}: --types: there is no {', '.join(unknown)}; there are: {', '.join(types)}.")
    used = [
        str(getattr(chosen, name))
        for name in ("box", "grid", "zone", "start", "validation", "test", "end", "time", "point", "id")
    ]
    version = hashlib.sha256("|".join(used).encode() + chosen.points.read_bytes()).hexdigest()[:8]

    def city(of_type: str) -> CityFile:
        """Return the city of the chosen file whose target are alerts of one type."""
        columns = {"time": chosen.time, "longitude": chosen.longitude, "latitude": chosen.latitude}
        source = {"columns": columns | {"gunshot_type": chosen.type, "source_id": "row_number"}, "settle_seconds": 0}
        return CityFile.model_validate(
            {
                "name": f"p{version}_{of_type}",
                "time_zone": chosen.zone,
                "start": chosen.start,
                "box": dict(zip(("west", "south", "east", "north"), chosen.box, strict=True)),
                "grid": dict(zip(("rows", "columns"), chosen.grid, strict=True)),
                "event_types": {name: [name] for name in types},
                "targets": {of_type: [of_type]},
                "source": {"kind": "landing", "naive_times": "local"} | source,
            }
        )

    days = days_between(chosen.start, chosen.end)
    kept = cache / f"p{version}_frames.parquet"
    if not kept.exists():
        first = city(types[0])
        with tempfile.TemporaryDirectory() as folder:
            points.to_parquet(Path(folder, "points.parquet"))
            raw = LandingFolder(first.site, first.source, folder, Store(f"{folder}/.store")).read(days[0], days[-1])
        alerts = dated({day: cleaned.alerts for day, cleaned in clean_alerts(raw, days, first).items()})
        print(f"{len(alerts):,} of {len(points):,} rows lie in the box and the days", file=sys.stderr)
        if not len(alerts):
            times = points[chosen.time]
            raise SystemExit(
                f"{chosen.points}: no row in the box lies between --start {chosen.start} and --end {chosen.end}; "
                f"{chosen.time} from {times.min()} to {times.max()}."
            )
        pq.write_table(dated(sparse_tensors(alerts, days, first)), kept)
    return {name: CityHistory(city(name), days, pq.read_table(kept)) for name in chosen.types or types}


def fold_of(history: CityHistory, chosen: argparse.Namespace) -> Fold:
    """The windows of one type, on the cells with events before the test."""
    validation, test = ((day - chosen.start).days for day in (chosen.validation, chosen.test))
    in_coverage = estimate_coverage(history.alerts[:test])
    of_type = history.city.name.partition("_")[2]
    if not in_coverage.any():
        number = int(history.alerts[:test].sum())
        raise SystemExit(
            f"{chosen.points}: {of_type}: no cell has three events before --test; in all there are {number}."
        )
    daily = history.daily(in_coverage)
    for name, window in {"--validation": slice(validation, test), "--test": slice(test, None)}.items():
        if not daily.observed[window].any():
            raise SystemExit(f"{chosen.points}: {of_type} has no event in the days from {name} on, in covered cells.")
    return Fold(daily, chosen.test, range(validation), range(validation, test), range(test, len(history.days)))


def scored(fold: Fold, methods: tuple[str, ...], cache: Path) -> Scored:
    """The forecasts of the project's own methods, and the mean and median of each cell's counts."""
    history = fold.history
    before = fold.history.through(fold.test.start)
    members = members_of(fold, cache, tuple(dict.fromkeys((*methods, HISTORICAL_MEAN))))
    chances = {name: member.test for name, member in members.items()}
    validated = {name: member.validation_probability for name, member in members.items()}
    if stacked := {name: members[name] for name in MEMBERS if name in members}:
        stack = stack_of(fold, stacked)
        chances = {STACK: stack.predict(history, fold.test)} | chances
        validated[STACK] = stack.validation_probability
    fireworks = firework_days(history.city, history.days()[fold.test.start :])[:, None]
    shape = (len(fold.test), *history.in_coverage.shape)
    counts = {
        MEAN: np.broadcast_to(before.alerts.mean(axis=0), shape),
        MEDIAN: np.broadcast_to(np.median(before.alerts, axis=0), shape),
    }
    for name, probability in chances.items():
        model = AlertCounts.of_days(before, fold.train, fold.validation, validated[name])
        counts[name] = counts[MEAN].copy()
        of_days = model.distribution(probability, fireworks, model.log_m(history, fold.test))
        counts[name][:, history.in_coverage] = of_days.expected
    return Scored(fold, chances, counts)


def add_peer(forecasts: Scored, file: Path, of_type: str, calibration: str) -> None:
    """Add another model's expected counts, and its chances by the stated calibration."""
    fold = forecasts.fold
    table = read(file)
    if missing := [name for name in ("type", "date", "row", "column", "expected") if name not in table]:
        raise SystemExit(f"{file}: there is no column {', '.join(missing)}; there are: {', '.join(table)}.")
    table = table[named(table["type"]) == of_type]
    first = np.datetime64(fold.history.first_day)
    day = (table["date"].to_numpy().astype("datetime64[D]") - first).astype(int)
    expected = np.full(fold.history.alerts.shape, np.nan)
    expected[day, table["row"], table["column"]] = table["expected"]
    windows = [slice(window.start, window.stop) for window in (fold.validation, fold.test)]
    if missing := sum(int(np.isnan(expected[window]).sum()) for window in windows):
        raise SystemExit(f"{file}: {of_type} lacks {missing:,} cell-days of the validation and test windows.")
    forecasts.counts[file.stem] = np.maximum(expected[windows[1]], MIN_EXPECTED)
    expected = np.maximum(expected[:, fold.history.in_coverage], MIN_EXPECTED)
    validated, tested = (expected[window] for window in windows)
    forecasts.chances[file.stem] = -np.expm1(-tested)
    if calibration == "platt":
        from sklearn.linear_model import LogisticRegression

        observed = fold.history.observed[windows[0]].ravel()
        platt = LogisticRegression(C=np.inf).fit(np.log(np.expm1(validated)).reshape(-1, 1), observed)
        chances = platt.predict_proba(np.log(np.expm1(tested)).reshape(-1, 1))[:, 1]
        forecasts.chances[file.stem] = chances.reshape(tested.shape)


def gains_of(losses: Mapping[str, list[Array]], days: Array, positive: Array, over: str) -> dict[str, Gain]:
    """The gain of each method over another one in the sum of losses, for each of `positive`, with its interval."""
    weekly = weekly_sums(days, positive, {name: np.concatenate(own) for name, own in losses.items()})
    return {name: weekly_gain(weekly, name, over) for name in losses}


def rows_of(of_type: str, parts: list[Scored]) -> list[dict[str, object]]:
    """A row of scores for each method, of one type or of several together."""
    observed = np.concatenate([part.observed.ravel() for part in parts])
    occupied = [part.fold.history.observed[part.fold.test.start :].ravel() for part in parts]

    def repeated(cells: Callable[[Scored], int]) -> Array:
        return np.concatenate([np.repeat(part.days, cells(part)) for part in parts])

    chances = {
        name: [log_losses(part.chances[name].ravel(), own) for part, own in zip(parts, occupied, strict=True)]
        for name in parts[0].chances
    }
    covered_days = repeated(lambda part: int(part.fold.history.in_coverage.sum()))
    occurrence = gains_of(chances, covered_days, np.concatenate(occupied), HISTORICAL_MEAN)
    rows = []
    errors = {}
    nats = {}
    for name in parts[0].counts:
        mean = np.maximum(np.concatenate([part.counts[name].ravel() for part in parts]), MIN_EXPECTED)
        errors[name] = mean - observed
        nats[name] = [poisson_losses(mean, observed)]
    over_mean = gains_of(nats, repeated(lambda part: part.observed[0].size), np.ones(len(observed)), MEAN)
    for name in parts[0].counts:
        row = {"type": of_type, "method": name, "rmse": float(np.sqrt((errors[name] ** 2).mean()))}
        row |= {"mae": float(np.abs(errors[name]).mean()), "poisson_nats": float(nats[name][0].mean())}
        row |= {"expected_over_observed": float((errors[name].sum() + observed.sum()) / observed.sum())}
        gains = {"count_gain": over_mean[name]} | ({"gain": occurrence[name]} if name in occurrence else {})
        for key, gain in gains.items():
            row |= {key: gain.value, f"{key}_low": gain.low, f"{key}_high": gain.high, f"{key}_text": gain.text()}
        rows.append(row)
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """The two tables."""
    types, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("type", "method"))
    at = {(row["type"], row["method"]): row for row in rows}
    print(f"\n### Occurrence: gain over {HISTORICAL_MEAN}, nats per cell-day with an event, covered cells\n")
    print_head("method", *types)
    for method in [method for method in methods if "gain" in at[types[0], method]]:
        print_row(method, *(at[of_type, method]["gain_text"] for of_type in types))
    print("\n### Counts: RMSE / MAE / Poisson nats per cell-day, all cells\n")
    print_head("method", *types, f"gain over the {MEAN}, {types[-1]}")
    for method in methods:
        own = [at[of_type, method] for of_type in types]
        scores = [f"{row['rmse']:.3f} / {row['mae']:.3f} / {row['poisson_nats']:.4f}" for row in own]
        print_row(method, *scores, own[-1]["count_gain_text"])


def main() -> None:
    """Print the tables, or one line about what cannot be used."""
    chosen = arguments()
    try:
        compare(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise SystemExit(f"{chosen.points}: {': '.join([*map(str, first['loc']), first['msg']])}") from error
    except (ValueError, OSError, SourceError) as error:
        raise SystemExit(f"{chosen.points}: {error}") from error


def compare(chosen: argparse.Namespace) -> None:
    """Fit what is not in the cache, and print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        cache = chosen.cache or Path(folder)
        cache.mkdir(parents=True, exist_ok=True)
        parts = {}
        for of_type, history in histories(chosen, cache).items():
            parts[of_type] = scored(fold_of(history, chosen), tuple(chosen.methods), cache)
            if chosen.peer:
                add_peer(parts[of_type], chosen.peer, of_type, chosen.calibration)
    rows = [row for of_type, part in parts.items() for row in rows_of(of_type, [part])]
    rows += rows_of(ALL, list(parts.values())) if len(parts) > 1 else []
    show(rows)
    if chosen.csv:
        with chosen.csv.open("w", newline="") as file:
            names = dict.fromkeys(key for row in rows for key in row if not key.endswith("_text"))
            writer = csv.DictWriter(file, list(names), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
