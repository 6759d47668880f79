"""A city with one year of data, started at another city's model: `python benchmarks/thin_city.py --data FOLDER --cache FOLDER`.

Two quarterly folds a city, after 12 and 15 months of its data, run as in `next_day.py`; the model to start at is that of the
first fold of `--pretrained`. That fold is later than the days of some thin cities, which the chain would refuse
(`defs.models.files.read_pretrained`): it measures what a second city's data are worth, not what was possible then.
Forecasts are kept in the cache. Prints gains in nats per positive with 90% intervals of a weekly block bootstrap.
"""

import argparse
import sys
from datetime import date
from pathlib import Path

import next_day
import numpy as np
import pyarrow as pa
from next_day import APART, EAST, PACIFIC, Benchmark, Fold, quarters

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.models.forecaster import through
from shotspotter_assets.models.next_day.regime_regression import Pretrained, RegimeRegressionForecaster
from shotspotter_assets.models.registry import forecaster

OAKLAND, CINCINNATI, SPRINGFIELD = (next_day.BENCHMARKS[name] for name in ("oakland", "cincinnati", "springfield"))
# Boxes of cities that are not in next_day.py: 1st to 99th percentile of the first year's points, 5% more on each side,
# rounded outwards to 0.001 degrees.
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
BY_ITSELF, STARTED = "residual_boosting", "residual_boosting_pretrained"
OVER = (BY_ITSELF, "historical_mean", "ewma", "ew_kde", "logistic_regression", "gradient_boosting")


def pretrained(name: str, data: Path, cache: Path) -> Pretrained:
    """The regression of the first fold of a benchmark; from the cache where it is there."""
    fold = next_day.folds(name, data, cache)[0]
    kept = cache / f"{name}_{fold.cutoff}_regime_regression.json"
    if not kept.exists():
        fitted = RegimeRegressionForecaster().fit(fold.history, fold.train, fold.validation)
        [content] = fitted.files().values()
        kept.write_bytes(content)
    return Pretrained(
        f"{name}|{fold.cutoff}", RegimeRegressionForecaster().load({"regime_regression.json": kept.read_bytes()})
    )


def forecasts(fold: Fold, start: Pretrained, cache: Path) -> dict[str, np.ndarray]:
    """Test forecasts of boosting by itself and started at another city, and of the tuned baselines, from the cache if there."""
    history, found = fold.history, {}
    for name, of in ((BY_ITSELF, None), (STARTED, start)):
        origin = "" if of is None else f"_{of.origin.replace('|', '_')}"
        kept = cache / f"{history.city.name}_{fold.cutoff}_thin{origin}.npz"
        if not kept.exists():
            fitted = forecaster(BY_ITSELF).fit(through(history, fold.validation.stop), fold.train, fold.validation, of)
            said = {key: fitted.settings.get(key) for key in ("trees", "pretrained")}
            print(f"{history.city.name} {fold.cutoff}: {said}", file=sys.stderr, flush=True)
            np.savez_compressed(kept, test=fitted.predict(history, fold.test))
        found[name] = np.load(kept)["test"]
    return found | next_day.baselines_of(fold, cache)


def line(name: str, table: pa.Table, cells: str) -> str:
    """One row: what was tested, calibration, and the gain over each of `OVER`."""
    shown = [table_gain(table, STARTED, over).text("+.3f") for over in OVER]
    ratio = score_table(table)[STARTED].predicted_over_observed
    positives = int(table["observed"].to_numpy().sum())
    return f"| {name} | {cells} | {positives} | " + " | ".join(shown) + f" | {ratio:.2f} |"


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the cities' Parquet files")
    parser.add_argument("--cache", type=Path, required=True, help="folder for counts and forecasts")
    parser.add_argument("--cities", nargs="+", default=list(THIN), choices=[*TUNING, *THIN])
    parser.add_argument("--pretrained", default="washington_dc", choices=list(next_day.BENCHMARKS))
    chosen = parser.parse_args()
    start = pretrained(chosen.pretrained, chosen.data, chosen.cache)
    next_day.BENCHMARKS.update(TUNING | THIN)
    print(f"\nStarted at {start.origin}; gains over:\n")
    print("| city | cells | positives | " + " | ".join(OVER) + " | pred/obs |")
    print("| --- " * (4 + len(OVER)) + "|")
    pooled = []
    for at, name in enumerate(chosen.cities):
        folds = next_day.folds(name, chosen.data, chosen.cache)
        table = pa.concat_tables([next_day.forecasts_of(fold, forecasts(fold, start, chosen.cache)) for fold in folds])
        print(line(name, table, ", ".join(str(int(fold.history.covered.sum())) for fold in folds)), flush=True)
        days = table["date"].to_numpy().astype("datetime64[D]") + at * APART
        pooled.append(table.set_column(0, "date", pa.array(days, pa.date32())))
    if len(pooled) > 1:
        print(line("all", pa.concat_tables(pooled), ""))


if __name__ == "__main__":
    main()
