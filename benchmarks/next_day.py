"""Next-day forecasters on real cities: `python benchmarks/next_day.py --data FOLDER --cache FOLDER [--cities ...]`.

Every city runs through the project's own reading, cleaning and gridding; four quarterly folds each, forecast one after
the other as a city would: the stack and its members are fitted before each cutoff, starting at what the *other* cities with
alerts taught before that year (`shared_model.py`; `--alone`: without it), and the stack's weights go on week by week. Beside it
stands a stack without the network. Forecasts are kept in the cache, so that a run that
was stopped goes on. Prints Markdown: per city and over all cities, gains in nats per positive over each baseline with 90%
intervals of a weekly block bootstrap, calibration, with and without firework days, the stack over the best baseline of each
city, chosen in hindsight, what the best weights of the year would have gained, and what the network adds.
"""

import os
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, GROUPS, Fold, folds, moved_apart, parser
from reports.reliability_plot import reliability_by_city
from scipy.special import expit
from shared_model import start_of
from stack_members import HINDSIGHT, MEMBERS, members_of, stack_of, with_best_in_hindsight

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.models.stacking import WeightPosterior, logits_of
from shotspotter_assets.sources.simulated.source import SimulatedSource

COMPARED = ("historical_mean", "ewma", "ew_kde", "logistic_regression", "gradient_boosting")
"""The baselines that gains are given over."""
STACK, BOOSTING = "stack", "residual_boosting"
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
    columns = ["model", "log loss", "pred/obs", "slope", "AP", "hit rate 5%", *(f"gain over {name}" for name in over)]
    print(f"| {' | '.join(columns)} |")
    print("| --- " * (6 + len(over)) + "|")
    for name, own in sorted(scores.items(), key=lambda item: item[1]["log_loss"]):
        shown = [table_gain(forecasts, name, baseline).text() for baseline in over]
        print(
            f"| {name} | {own['log_loss']:.5f} | {own['predicted_over_observed']:.3f} | {own['calibration_slope']:.2f} | "
            f"{own['average_precision']:.3f} | {own['hit_rate_5']:.3f} | " + " | ".join(shown) + " |"
        )


def show_ceiling(forecasts: pa.Table, city_folds: list[Fold]) -> None:
    """The share of the gap from climatology to the true intensity that each model closes in the simulated city."""
    source = SimulatedSource(city_folds[0].history.city)
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
    """Gain of the served forecast over the best baseline of each city in hindsight, and its calibration, by city and pooled."""
    print(f"\n### {STACK} over the best baseline in hindsight\n")
    print(
        "| city | positives | that baseline | all days | without firework days "
        f"| {BOOSTING} without firework days | firework days | pred/obs | slope |"
    )
    print("| --- " * 9 + "|")
    everywhere, rows = {}, []
    for city, forecasts in tables.items():
        everywhere[city], best = with_best_in_hindsight(forecasts)
        rows.append((city, everywhere[city], best))
    if len(tables) > 1:
        rows.append(("all", pa.concat_tables(moved_apart(list(everywhere.values()))), "each city's own"))
        ordinary = [without_firework_days(table) for table in everywhere.values()]
        pooled_ordinary = pa.concat_tables(moved_apart(ordinary))
    for city, table, best in rows:
        without = without_firework_days(table) if city in tables else pooled_ordinary
        own, observed = score_table(table)[STACK], observed_of(table)
        saved = sum(
            (table_loss(part, HINDSIGHT) - table_loss(part, STACK)) * sign for part, sign in ((table, 1), (without, -1))
        )
        positives = int(observed.sum()) - int(observed_of(without).sum())
        on_fireworks = f"{saved / positives:+.3f} of {positives}" if positives else "-"
        print(
            f"| {city} | {int(observed.sum()):,} | {best} | {table_gain(table, STACK, HINDSIGHT).text()} | "
            f"{table_gain(without, STACK, HINDSIGHT).text()} | {table_gain(without, BOOSTING, HINDSIGHT).text()} | "
            f"{on_fireworks} | {own['predicted_over_observed']:.2f} | "
            f"{own['calibration_slope']:.2f} |"
        )


def show_oracle(tables: dict[str, pa.Table]) -> None:
    """Gain of fixed weights that are chosen with the test days in sight: no other fixed weights of these members gain more."""
    print("\n### Weights in hindsight, without firework days: gain over the best baseline in hindsight\n")
    print(f"| city | {STACK} | the best member | the best weights of the year | the same, less what chance fits |")
    print("| --- " * 5 + "|")
    rows: list[tuple[str, float, np.ndarray]] = []
    for city, whole in tables.items():
        forecasts = without_firework_days(with_best_in_hindsight(whole)[0])
        observed = observed_of(forecasts)
        members = [name for name in MEMBERS if name in forecasts.column_names]
        logits = logits_of({name: forecasts[name].to_numpy() for name in members})
        flat = WeightPosterior(tuple(members), 0.0, np.zeros(len(members) + 1), np.eye(len(members) + 1) * 1e-6)
        free = flat.after(logits, observed)
        baseline = table_loss(forecasts, HINDSIGHT)
        best = baseline - log_losses(expit(free.log_odds(logits)), observed).sum()
        # A maximum of the likelihood over k parameters lies k/2 nats above that of the true ones, in the mean (Wilks 1938).
        saved = [
            baseline - table_loss(forecasts, STACK),
            max(baseline - table_loss(forecasts, name) for name in members),
        ]
        rows.append((city, observed.sum(), np.array([*saved, best, best - len(free.mean) / 2])))
    if len(rows) > 1:
        rows.append(("all", sum(row[1] for row in rows), np.sum([row[2] for row in rows], axis=0)))
    for city, positives, saved_nats in rows:
        print(f"| {city} | {' | '.join(f'{gain:+.4f}' for gain in saved_nats / positives)} |")


def table_loss(forecasts: pa.Table, model: str) -> float:
    """Summed log loss (nats) of a model's column."""
    return float(log_losses(forecasts[model].to_numpy(), observed_of(forecasts)).sum())


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
            show(f"{city} without firework days", without_firework_days(tables[city]))
        if not BENCHMARKS[city].file:
            show_ceiling(tables[city], city_folds)
    # Firework days follow from the date, so they are left out before the cities are moved apart.
    everywhere = moved_apart(list(tables.values()))
    ordinary = moved_apart([without_firework_days(table) for table in tables.values()])
    if chosen.reliability:
        chosen.reliability.write_bytes(reliability_by_city(dict(zip(cities, everywhere, strict=True)), STACK))
    if len(cities) > 1:
        show("All cities", pa.concat_tables(everywhere))
        show("All cities without firework days", pa.concat_tables(ordinary))
    summary(tables)
    show_oracle(tables)
    print("\n### The network, without firework days\n")
    print("| city | in the stack | alone, over gradient_boosting |")
    print("| --- | --- | --- |")
    for name, part in (*zip(cities, ordinary, strict=True), ("all", pa.concat_tables(ordinary))):
        in_stack, alone = table_gain(part, STACK, WITHOUT_NETWORK), table_gain(part, NETWORK, "gradient_boosting")
        print(f"| {name} | {in_stack.text()} | {alone.text()} |")


if __name__ == "__main__":
    main()
