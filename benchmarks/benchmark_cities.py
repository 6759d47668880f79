"""The cities of the benchmarks, and their folds by day and by hour: what the scripts on real alerts share.

A script that imports this runs on the packaged alerts of Washington DC, or on `--data FOLDER` with a Parquet file of alerts
for each city. What has been read, fitted and forecast is kept in `--cache FOLDER`, so that a run that was stopped goes on.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.grid.coverage import estimate_coverage
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.history import History, split_days
from shotspotter_assets.storage.store import Store

VALIDATION_SHARE = 0.15
WINDOW = 16  # days in a network's input
APART = np.timedelta64(7 * 2_000, "D")
"""Days of different cities are moved apart by so much, so that they share no week in the bootstrap."""


@dataclass(frozen=True)
class Benchmark:
    """A city's file, its time zone, first day and box, and the cutoffs of its folds, the last of which only ends a test."""

    file: str
    zone: str
    start: date
    box: tuple[float, float, float, float]
    cutoffs: tuple[date, ...]
    factors: dict[str, dict[str, Any]] = field(default_factory=dict)  # contributing factors, as in a city's file
    cells: int = 36  # rows, and columns, of the grid


def quarters(year: int, month: int, number: int) -> tuple[date, ...]:
    """`number` quarterly cutoffs and the end of the last one's test window."""
    months = [year * 12 + month - 1 + 3 * quarter for quarter in range(number + 1)]
    return tuple(date(month // 12, month % 12 + 1, 1) for month in months)


DC_BOX = (-77.0485, 38.81475, -76.9005, 38.96875)
EAST = "America/New_York"
PACIFIC = "America/Los_Angeles"
BENCHMARKS = {
    "washington_dc": Benchmark("washington_dc", EAST, date(2014, 1, 1), DC_BOX, quarters(2018, 1, 4)),
    "oakland": Benchmark(
        "oakland_ca", PACIFIC, date(2008, 1, 2), (-122.3265, 37.7305, -122.1395, 37.8485), quarters(2012, 10, 4)
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
    "washington_dc_burden": Benchmark("washington_dc", EAST, date(2014, 1, 1), DC_BOX, quarters(2015, 1, 16)),
    "simulated": Benchmark(
        "", EAST, date(2019, 1, 1), (-77.06924, 38.846096, -76.93076, 38.953904), quarters(2023, 1, 4), cells=24
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
PACKAGED = "washington_dc"
PACKAGED_ALERTS = PACKAGE_CITIES / PACKAGED / "alerts" / "alerts_2014_2018.parquet"


class Parser(argparse.ArgumentParser):
    """The arguments that the scripts share; `usual` cities are the default ones with data."""

    usual: Sequence[str] = ()

    def parse_known_args(self, *args: Any, **kwargs: Any) -> tuple[argparse.Namespace, list[str]]:
        """Choose the packaged city, and refuse others, without their data."""
        chosen, rest = super().parse_known_args(*args, **kwargs)
        chosen.cities = chosen.cities or (list(self.usual) if chosen.data else [PACKAGED])
        own = {name for name, benchmark in BENCHMARKS.items() if benchmark.file in ("", PACKAGED)}
        if chosen.data is None and (others := [name for name in chosen.cities if name not in own]):
            self.error(f"--data FOLDER is needed for {', '.join(others)}")
        return chosen, rest


def parser(
    description: str | None, cities: Sequence[str], choices: Iterable[str] = BENCHMARKS, needs_data: bool = False
) -> Parser:
    """The parser of a script; one that compares cities `needs_data`."""
    arguments = Parser(description=description)
    arguments.usual = cities
    arguments.add_argument("--data", type=Path, required=needs_data, help="folder with the cities' Parquet files")
    arguments.add_argument("--cache", type=Path, required=True, help="folder for counts and forecasts")
    arguments.add_argument("--cities", nargs="+", choices=list(choices))
    return arguments


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_head(*columns: object) -> None:
    """Print the head of a Markdown table."""
    print_row(*columns)
    print_row(*["---"] * len(columns))


def city_of(name: str) -> City:
    """The City of a benchmark."""
    benchmark = BENCHMARKS[name]
    columns = {"time": "occurred_at", "gunshot_type": "alert_type", "source_id": "source_id"}
    landing: dict[str, Any] = {"kind": "landing", "columns": columns, "settle_seconds": 0}
    return CityFile.model_validate(
        {
            "name": name,
            "time_zone": benchmark.zone,
            "start": benchmark.start,
            "box": dict(zip(("west", "south", "east", "north"), benchmark.box, strict=True)),
            "grid": {"rows": benchmark.cells, "columns": benchmark.cells},
            "factors": benchmark.factors,
            "source": landing if benchmark.file else {"kind": "simulated", "seed": 11},
        }
    )


def history_of(name: str, data: Path | None, cache: Path) -> CityHistory:
    """All days of a city to its last cutoff, through the project's own reading, cleaning and gridding."""
    city = city_of(name)
    benchmark = BENCHMARKS[name]
    days = days_between(benchmark.start, benchmark.cutoffs[-1] - timedelta(days=1))
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"{name}_frames.parquet"
    if not kept.exists():
        pq.write_table(dated(sparse_tensors(alerts_of(name, data), days, city)), kept)
    return CityHistory(city, days, pq.read_table(kept))


def alerts_of(name: str, data: Path | None) -> pa.Table:
    """The cleaned alerts of a city to its last cutoff, with their `date`."""
    city = city_of(name)
    benchmark = BENCHMARKS[name]
    days = days_between(benchmark.start, benchmark.cutoffs[-1] - timedelta(days=1))
    cleaned = clean_alerts(raw_alerts(city, data, days), days, city)
    return dated({day: result.alerts for day, result in cleaned.items()})


def raw_alerts(city: City, data: Path | None, days: Sequence[date]) -> pa.Table:
    """Rows of the city's file, as they are landed, or of its simulation."""
    file = BENCHMARKS[city.name].file
    if not file:
        return city.source.open(city.site, None).read(days[0], days[-1])
    with tempfile.TemporaryDirectory() as folder:
        alerts = PACKAGED_ALERTS if data is None else (data / f"{file}.parquet").resolve()
        shutil.copy2(alerts, Path(folder, f"{file}.parquet"))
        return LandingFolder(city.site, city.source, folder, Store(f"{folder}/.store")).read(days[0], days[-1])


def dated(tables: dict[date, pa.Table]) -> pa.Table:
    """The tables of days as one, with their `date`."""
    with_date = [
        table.append_column("date", pa.repeat(pa.scalar(day, pa.date32()), len(table))).replace_schema_metadata(None)
        for day, table in tables.items()
    ]
    return pa.concat_tables(with_date)


@dataclass(frozen=True)
class Fold:
    """A fold by day: the history to the end of its test window, and its windows as indexes of days."""

    history: History
    cutoff: date
    train: range
    validation: range
    test: range

    @property
    def name(self) -> str:
        """What the fold's files in the cache start with."""
        return f"{self.history.city.name}_{self.cutoff}"

    def of_last(self, before: int, validation_days: int) -> "Fold":
        """The fold with the last `before` days before its cutoff alone, on the same cells."""
        cut = self.test.start - before
        history = self.history
        evening = None if history.evening is None else history.evening[cut:]
        first = history.first_day + timedelta(days=cut)
        shorter = replace(history, first_day=first, counts=history.counts[cut:], evening=evening)
        train = before - validation_days
        test = range(before, self.test.stop - cut)
        return Fold(shorter, self.cutoff, range(train), range(train, before), test)

    def table(self, forecasts: dict[str, np.ndarray]) -> pa.Table:
        """The forecasts table of the test days; each forecast has the shape (days, cells)."""
        history = self.history
        test = slice(self.test.start, self.test.stop)
        return forecasts_table(history.days()[test], np.nonzero(history.in_coverage), history.observed[test], forecasts)


def folds(name: str, data: Path | None, cache: Path) -> list[Fold]:
    """The folds of a city by day; the coverage of each is estimated on the days before its cutoff."""
    history = history_of(name, data, cache)
    start = BENCHMARKS[name].start
    city_folds = []
    for cutoff, end in pairwise(BENCHMARKS[name].cutoffs):
        before = (cutoff - start).days
        stop = (end - start).days
        in_coverage = estimate_coverage(history.daily_counts[:before].sum(axis=1, dtype=np.int64))
        train, validation = split_days(before, round(before * VALIDATION_SHARE), WINDOW)
        city_folds.append(
            Fold(history.daily(in_coverage).through(stop), cutoff, train, validation, range(before, stop))
        )
    return city_folds


def moved_apart(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The forecasts tables of several cities, with their days so far apart that no two cities share a week."""
    return [
        table.set_column(0, "date", pa.array(dates_of(table) + number * APART, pa.date32()))
        for number, table in enumerate(tables)
    ]
