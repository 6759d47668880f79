"""Next-day forecasters on real cities: `python benchmarks/next_day.py --data FOLDER --cache FOLDER [--cities ...] [--models ...]`.

Every city runs through the project's own reading, cleaning and gridding; four quarterly folds each, forecast one after
the other as a city would: models are fitted before each cutoff, and networks go on from the fold before. Forecasts are
kept in the cache, so that a run that was stopped goes on. Prints Markdown: per city and over all cities, gains in nats
per positive over each baseline with 90% intervals of a weekly block bootstrap, calibration, with and without firework days.
"""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, GROUPS, Fold, folds, moved_apart, parser
from reliability_plot import reliability_by_city

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.sources.simulated.source import SimulatedSource

COMPARED = ("historical_mean", "ewma", "logistic_regression", "gradient_boosting")
"""The baselines that gains are given over; the others are lines of the tables."""
CANDIDATES = ("regime_regression", "residual_boosting", "residual_conv_lstm")
NETWORK = "residual_conv_lstm"
"""The candidate that goes on from the fold before."""


def baselines_of(fold: Fold, cache: Path) -> dict[str, np.ndarray]:
    """Forecasts (test days, cells) of the tuned baselines but for `never`; from the cache where they are there."""
    from shotspotter_assets.models.next_day.baselines import fit_baselines

    kept = cache / f"{fold.name}_baselines.npz"
    if not kept.exists():
        fitted = fit_baselines(fold.history, fold.train, fold.validation, fold.test)
        np.savez_compressed(
            kept, **{name: baseline.probability.astype(np.float32) for name, baseline in fitted.items()}
        )
    loaded = np.load(kept)
    return {name: loaded[name].astype(np.float64) for name in loaded.files if name not in ("seconds", "never")}


def candidates_of(fold: Fold, cache: Path, names: tuple[str, ...], start: Any = None) -> tuple[dict[str, Any], Any]:
    """(test forecasts by model, the network to go on from), from the cache where they are kept."""
    history = fold.history.through(fold.validation.stop)
    forecasts = {}
    for name in names:
        kept = cache / f"{fold.name}_{name}.npz"
        if not kept.exists():
            started = time.perf_counter()
            fitted = forecaster(name).fit(history, fold.train, fold.validation, FitContext(earlier=start))
            start = fitted if name == NETWORK else start
            settings = json.dumps(fitted.settings | {"seconds": time.perf_counter() - started})
            np.savez_compressed(kept, test=fitted.predict(fold.history, fold.test), settings=settings)
            print(f"{fold.name} {name}: {settings}", file=sys.stderr, flush=True)
        forecasts[name] = np.load(kept)["test"]
    return forecasts, start


def show(title: str, forecasts: pa.Table) -> None:
    """One Markdown table: log loss, calibration, and gains over each baseline with intervals, the best model first."""
    scores = score_table(forecasts)
    over = [name for name in COMPARED if name in scores]
    positives = int(observed_of(forecasts).sum())
    print(f"\n### {title}: {forecasts.num_rows:,} cell-days, {positives:,} occupied\n")
    columns = ["model", "log loss", "pred/obs", "slope", "AP", "hit rate 5%", *(f"gain over {name}" for name in over)]
    print(f"| {' | '.join(columns)} |")
    print("| --- " * (6 + len(over)) + "|")
    for name, own in sorted(scores.items(), key=lambda item: item[1].log_loss):
        shown = [table_gain(forecasts, name, baseline).text() for baseline in over]
        print(
            f"| {name} | {own.log_loss:.5f} | {own.predicted_over_observed:.3f} | {own.calibration_slope:.2f} | "
            f"{own.average_precision:.3f} | {own.hit_rate[5]:.3f} | " + " | ".join(shown) + " |"
        )


def show_ceiling(forecasts: pa.Table, city_folds: list[Fold]) -> None:
    """The share of the gap from climatology to the true intensity that each model closes in the simulated city."""
    source = SimulatedSource(city_folds[0].history.city)
    truth = [
        source.true_probability(fold.cutoff, fold.cutoff + timedelta(len(fold.test) - 1))[:, fold.history.in_coverage]
        for fold in city_folds
    ]
    observed = observed_of(forecasts)
    best = log_losses(np.concatenate([probability.ravel() for probability in truth]), observed).mean()
    losses = {name: log_losses(forecasts[name].to_numpy(), observed).mean() for name in model_names(forecasts)}
    print(f"\nThe truth's log loss is {best:.5f}. Share of the gap from historical_mean closed:\n")
    for name, loss in losses.items():
        print(f"- {name}: {(losses['historical_mean'] - loss) / (losses['historical_mean'] - best):.1%}")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=["tested"], choices=[*GROUPS, *BENCHMARKS])
    arguments.add_argument("--models", nargs="+", default=list(CANDIDATES[:2]), choices=CANDIDATES)
    arguments.add_argument(
        "--reliability", type=Path, help="also draw the reliability of residual_boosting into this SVG"
    )
    chosen = arguments.parse_args()
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    tables = []
    for city in cities:
        start, fold_tables, city_folds = None, [], folds(city, chosen.data, chosen.cache)
        for fold in city_folds:
            candidates, start = candidates_of(fold, chosen.cache, tuple(chosen.models), start)
            fold_tables.append(fold.table(baselines_of(fold, chosen.cache) | candidates))
        tables.append(pa.concat_tables(fold_tables))
        show(city, tables[-1])
        show(f"{city} without firework days", without_firework_days(tables[-1]))
        if not BENCHMARKS[city].file:
            show_ceiling(tables[-1], city_folds)
    # Firework days follow from the date, so they are left out before the cities are moved apart.
    everywhere, ordinary = moved_apart(tables), moved_apart([without_firework_days(table) for table in tables])
    if chosen.reliability:
        by_city = dict(zip(cities, everywhere, strict=True))
        chosen.reliability.write_bytes(reliability_by_city(by_city, "residual_boosting"))
    if len(cities) > 1:
        show("All cities", pa.concat_tables(everywhere))
        show("All cities without firework days", pa.concat_tables(ordinary))


if __name__ == "__main__":
    main()
