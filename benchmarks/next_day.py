"""Next-day forecasters on real cities: `python benchmarks/next_day.py --data FOLDER --cache FOLDER [--cities ...]`.

Every city runs through the project's own reading, cleaning and gridding; four quarterly folds each, forecast one after
the other as a city would: the stack and its members are fitted before each cutoff, starting at what the *other* cities with
alerts taught before that year (`shared_model.py`; `--alone`: without it), and the stack's weights go on week by week. Forecasts are
kept in the cache, so that a run that was stopped goes on. Prints Markdown: per city and over all cities, gains in nats per
positive over each baseline with 90% intervals of a weekly block bootstrap, and calibration; then the stack over the best baseline
of each city, chosen in hindsight, with and without firework days, and over a stack without the network.
"""

import os
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, GROUPS, Fold, folds, moved_apart, parser, print_head, print_row
from reports.reliability_plot import reliability_by_city
from shared_model import start_of
from stack_members import HINDSIGHT, MEMBERS, members_of, stack_of, with_best_in_hindsight

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, without_firework_days
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.forecaster import SharedStart, log_losses
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.models.stack import FittedStack

COMPARED = ("historical_mean", "ewma", "ew_kde", "logistic_regression", "gradient_boosting")
"""The baselines that gains are given over."""
STACK = "stack"
WITHOUT_NETWORK = "stack_without_network"


def forecasts_of(fold: Fold, cache: Path, start: SharedStart | None) -> tuple[dict[str, np.ndarray], FittedStack]:
    """(test forecasts of the stack and of its members, the stack); members come from the cache where they are there."""
    members = members_of(fold, cache, tuple(dict.fromkeys((*MEMBERS, *COMPARED))), start)
    stack = stack_of(fold, {name: members[name] for name in MEMBERS})
    others = stack_of(fold, {name: members[name] for name in MEMBERS if name != NETWORK})
    forecasts = {
        STACK: stack.predict(fold.history, fold.test),
        WITHOUT_NETWORK: others.predict(fold.history, fold.test),
    }
    return forecasts | {name: one.test for name, one in members.items()}, stack


def show(title: str, forecasts: pa.Table) -> None:
    """One Markdown table: log loss, calibration, and gains over each baseline with intervals, the best model first."""
    scores = score_table(forecasts)
    over = [name for name in COMPARED if name in scores]
    positives = int(observed_of(forecasts).sum())
    print(f"\n### {title}: {forecasts.num_rows:,} cell-days, {positives:,} occupied\n")
    print_head("model", "log loss", "pred/obs", "slope", "AP", "hit rate 5%", *(f"gain over {name}" for name in over))
    for name, own in sorted(scores.items(), key=lambda item: item[1]["log_loss"]):
        calibration = f"{own['predicted_over_observed']:.3f}", f"{own['calibration_slope']:.2f}"
        ranking = f"{own['average_precision']:.3f}", f"{own['hit_rate_5']:.3f}"
        gains = [table_gain(forecasts, name, baseline).text() for baseline in over]
        print_row(name, f"{own['log_loss']:.5f}", *calibration, *ranking, *gains)


def show_ceiling(forecasts: pa.Table, city_folds: list[Fold]) -> None:
    """The share of the gap from climatology to the true intensity that each model closes in the simulated city."""
    city = city_folds[0].history.city
    source = city.source.open(city.site, None)
    truth = [
        source.true_risk(fold.cutoff, fold.cutoff + timedelta(len(fold.test) - 1))[:, fold.history.in_coverage]
        for fold in city_folds
    ]
    observed = observed_of(forecasts)
    best = log_losses(np.concatenate([probability.ravel() for probability in truth]), observed).mean()
    losses = {name: log_losses(forecasts[name].to_numpy(), observed).mean() for name in model_names(forecasts)}
    print(f"\nThe truth's log loss is {best:.5f}. Share of the gap from historical_mean closed:\n")
    for name, loss in losses.items():
        print(f"- {name}: {(losses['historical_mean'] - loss) / (losses['historical_mean'] - best):.1%}")


def summary(tables: dict[str, pa.Table]) -> None:
    """Gain of the stack over the best baseline of each city in hindsight, what the network adds, and calibration."""
    print(f"\n### {STACK} over the best baseline in hindsight; the network on ordinary days\n")
    print_head(
        "city",
        "positives",
        "that baseline",
        "gain, all days",
        "gain, ordinary days",
        "ordinary days, by the network",
        "network alone, over gradient_boosting",
        "pred/obs",
        "slope",
    )
    found = {city: with_best_in_hindsight(table) for city, table in tables.items()}
    rows = [(city, table, without_firework_days(table), best) for city, (table, best) in found.items()]
    if len(rows) > 1:
        # Firework days follow from the date, so they are left out before the cities are moved apart.
        whole, ordinary = (pa.concat_tables(moved_apart([row[at] for row in rows])) for at in (1, 2))
        rows.append(("all", whole, ordinary, "each city's own"))
    for city, table, ordinary, best in rows:
        over = ((table, HINDSIGHT), (ordinary, HINDSIGHT), (ordinary, WITHOUT_NETWORK))
        gains = [table_gain(part, STACK, baseline).text() for part, baseline in over]
        gains.append(table_gain(ordinary, NETWORK, "gradient_boosting").text())
        own = score_table(table)[STACK]
        positives = int(observed_of(table).sum())
        level = f"{own['predicted_over_observed']:.2f}"
        print_row(city, f"{positives:,}", best, *gains, level, f"{own['calibration_slope']:.2f}")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=["tested"], choices=[*GROUPS, *BENCHMARKS])
    arguments.add_argument("--alone", action="store_true", help="without what other cities teach")
    arguments.add_argument("--folds", type=int, help="of each city, the first ones; all by default")
    arguments.add_argument("--summary", action="store_true", help="no table for each city")
    arguments.add_argument("--reliability", type=Path, help="also draw the reliability of the stack into this SVG")
    chosen = arguments.parse_args()
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    tables: dict[str, pa.Table] = {}
    for city in cities:
        fold_tables = []
        city_folds = folds(city, chosen.data, chosen.cache)[: chosen.folds]
        for fold in city_folds:
            shared = None if chosen.alone else start_of(city, fold.cutoff, chosen.data, chosen.cache)
            forecasts, stack = forecasts_of(fold, chosen.cache, shared)
            fold_tables.append(fold.table(forecasts))
            print(f"- {fold.name}: {stack.posterior.in_words} (offset {stack.chosen['offset']:+.2f})", flush=True)
        tables[city] = pa.concat_tables(fold_tables)
        if not chosen.summary:
            show(city, tables[city])
        if not BENCHMARKS[city].file:
            show_ceiling(tables[city], city_folds)
    everywhere = moved_apart(list(tables.values()))
    if chosen.reliability:
        chosen.reliability.write_bytes(reliability_by_city(dict(zip(cities, everywhere, strict=True)), STACK))
    if len(cities) > 1:
        show("All cities", pa.concat_tables(everywhere))
    summary(tables)


if __name__ == "__main__":
    main()
