"""What a lead costs: `python benchmarks/lead.py --data FOLDER --cache FOLDER [--cities ...] [--leads ...] [--folds N]`.

A source that publishes late leaves days between the last one that is known and the one that is forecast. Models and the
historical mean are fitted and forecast at each lead, on the folds of `next_day.py`; forecasts are kept in the cache, so
that a run that was stopped goes on. Prints Markdown: gains over the historical mean of the same lead, in nats per positive
with 90% intervals of a weekly block bootstrap.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmark_cities import Fold, folds, parser

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.registry import forecaster

LEADS = (1, 2, 3, 7, 14, 30, 90)
REFERENCE = "historical_mean"
MODELS = ("ewma", "regime_regression", "residual_boosting")


def forecast(fold: Fold, model: str, cache: Path) -> np.ndarray:
    """Forecasts (test days, cells) at the lead of the fold's history, from the cache where they are there."""
    history = fold.history
    kept = cache / f"{fold.name}_lead_{history.lead}_{model}.npz"
    if not kept.exists():
        started = time.perf_counter()
        fitted = forecaster(model).fit(history.through(fold.validation.stop), fold.train, fold.validation, FitContext())
        np.savez_compressed(kept, test=fitted.predict(history, fold.test))
        print(f"{kept.stem}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    loaded: np.ndarray = np.load(kept)["test"]
    return loaded


def main() -> None:
    """Fit what is not in the cache, and print a row for each city and lead."""
    arguments = parser(__doc__, cities=["washington_dc", "oakland", "cincinnati"])
    arguments.add_argument("--leads", type=int, nargs="+", default=list(LEADS))
    arguments.add_argument("--folds", type=int, default=4, help="of each city, the first ones")
    arguments.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    chosen = arguments.parse_args()
    print(f"| city | lead | {' | '.join(chosen.models)} |\n| --- | ---: {'| --- ' * len(chosen.models)}|", flush=True)
    for city in chosen.cities:
        city_folds = folds(city, chosen.data, chosen.cache)[: chosen.folds]
        for lead in chosen.leads:
            at_lead = [replace(fold, history=replace(fold.history, lead=lead)) for fold in city_folds]
            table = pa.concat_tables(
                fold.table({name: forecast(fold, name, chosen.cache) for name in (REFERENCE, *chosen.models)})
                for fold in at_lead
            )
            gains = " | ".join(table_gain(table, name, REFERENCE).text() for name in chosen.models)
            print(f"| {city} | {lead} | {gains} |", flush=True)


if __name__ == "__main__":
    main()
