"""A city with one year of data, alone and started at others: `python benchmarks/thin_city.py --data FOLDER --cache FOLDER`.

Two quarterly folds a city, after 12 and 15 months of its data, run as in `next_day.py`; the model to start at is that of the other
cities with alerts (`shared_model.py`), fitted on what had happened there before 1 January of the year of the fold, or, with
`--later`, before 2023: what other cities' data are worth today, not what was possible then. Forecasts are kept in the cache. Prints
gains in nats per positive with 90% intervals of a weekly block bootstrap.
"""

from datetime import date
from pathlib import Path

import benchmark_cities
import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, EAST, PACIFIC, Benchmark, Fold, folds, moved_apart, parser, quarters
from shared_model import start_of
from stack_members import HINDSIGHT, members_of, stack_of, with_best_in_hindsight

from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.registry import BASELINES

OAKLAND, CINCINNATI, SPRINGFIELD = (BENCHMARKS[name] for name in ("oakland", "cincinnati", "springfield"))
# Boxes of cities that are not in benchmark_cities.py: 1st to 99th percentile of the first year's points, 5% more on each
# side, rounded outwards to 0.001 degrees.
TUNING = {
    "oakland_2008": Benchmark(OAKLAND.file, PACIFIC, OAKLAND.start, OAKLAND.box, quarters(2009, 1, 2)),
    "cincinnati_2017": Benchmark(
        CINCINNATI.file,
        EAST,
        CINCINNATI.start,
        CINCINNATI.box,
        (date(2018, 8, 16), date(2018, 11, 16), date(2019, 2, 16)),
    ),
    "springfield_2008": Benchmark(SPRINGFIELD.file, EAST, SPRINGFIELD.start, SPRINGFIELD.box, quarters(2009, 7, 2)),
    "wilmington": Benchmark(
        "wilmington_nc", EAST, date(2012, 12, 31), (-77.95, 34.212, -77.926, 34.25), quarters(2014, 1, 2)
    ),
    "brockton": Benchmark(
        "brockton_ma", EAST, date(2013, 1, 1), (-71.029, 42.059, -71.008, 42.108), quarters(2014, 1, 2)
    ),
}
THIN = {
    "san_francisco_2013": Benchmark(
        "san_francisco_ca", PACIFIC, date(2013, 1, 1), (-122.44, 37.701, -122.374, 37.789), quarters(2014, 1, 2)
    ),
    "fresno_2015": Benchmark(
        "fresno_ca", PACIFIC, date(2015, 7, 3), (-119.817, 36.732, -119.735, 36.76), quarters(2016, 7, 2)
    ),
    "goldsboro": Benchmark(
        "goldsboro_nc", EAST, date(2016, 7, 4), (-78.008, 35.351, -77.963, 35.396), quarters(2017, 7, 2)
    ),
}
BY_ITSELF, STARTED = "residual_boosting", "residual_boosting_shared"
STACK, STACK_STARTED = "stack", "stack_shared"
SHOWN = (STARTED, STACK, STACK_STARTED)
OVER = (BY_ITSELF, HINDSIGHT, "historical_mean", "ewma", "ew_kde", "gradient_boosting")


def forecasts_of(fold: Fold, start: SharedStart | None, cache: Path) -> dict[str, np.ndarray]:
    """Test forecasts of boosting and the stack, by themselves and started at other cities, and of the tuned baselines."""
    forecasts: dict[str, np.ndarray] = {}
    for own, stack, prior in ((BY_ITSELF, STACK, None), (STARTED, STACK_STARTED, start)):
        members = members_of(fold, cache, shared=prior)
        forecasts[stack] = stack_of(fold, members).predict(fold.history, fold.test)
        forecasts[own] = members[BY_ITSELF].test
        forecasts |= {name: member.test for name, member in members.items() if name in BASELINES}
    return forecasts


def lines(name: str, table: pa.Table, cells: str) -> list[str]:
    """A row for each of `SHOWN`: what was tested, calibration, and the gain over each of `OVER`."""
    scores, positives = score_table(table), int(observed_of(table).sum())
    return [
        f"| {name} | {shown} | {cells} | {positives} | "
        + " | ".join(table_gain(table, shown, over).text("+.3f") for over in OVER)
        + f" | {scores[shown].predicted_over_observed:.2f} |"
        for shown in SHOWN
    ]


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=list(THIN), choices=[*TUNING, *THIN, *BENCHMARKS])
    arguments.add_argument("--later", action="store_true", help="also from later days of the other cities")
    chosen = arguments.parse_args()
    benchmark_cities.BENCHMARKS.update(TUNING | THIN)
    print("| city | model | cells | positives | " + " | ".join(OVER) + " | pred/obs |")
    print("| --- " * (5 + len(OVER)) + "|")
    tables = []
    for city in chosen.cities:
        city_folds = folds(city, chosen.data, chosen.cache)
        cells = ", ".join(str(int(fold.history.in_coverage.sum())) for fold in city_folds)
        fold_tables = []
        for fold in city_folds:
            by = date(2023, 1, 1) if chosen.later else fold.cutoff
            start = start_of(city, by, chosen.data, chosen.cache)
            fold_tables.append(fold.table(forecasts_of(fold, start, chosen.cache)))
        forecasts = pa.concat_tables(fold_tables)
        tables.append(with_best_in_hindsight(forecasts)[0])
        print("\n".join(lines(city, tables[-1], cells)), flush=True)
    if len(tables) > 1:
        print("\n".join(lines("all", pa.concat_tables(moved_apart(tables)), "")))


if __name__ == "__main__":
    main()
