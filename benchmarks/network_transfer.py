"""Networks that start at weights of other cities: `python benchmarks/network_transfer.py --data FOLDER --cache FOLDER`.

Each city in turn has its first year only; the network is trained on the others, one epoch a city in turn, and goes on in the
city's year. Forecast are the `--days` after that year. All start at the regression, which starts at the other cities' regression.
Prints Markdown: gains in nats per positive of the regression as it is, with 90% intervals of a weekly block bootstrap, by a network
that starts at nothing, by the others' weights as they are, and by these after training in the city's year.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, Fold, folds, history_of, moved_apart, parser, print_head, print_row
from shared_model import start_of

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.forecaster import FitContext, SharedStart
from shotspotter_assets.models.forecaster_registry import NETWORK, forecaster
from shotspotter_assets.models.forecaster_settings import DailyNetworkSettings
from shotspotter_assets.models.networks.fit import untrained, weighted_cross_entropy
from shotspotter_assets.models.networks.quiet_keras import keras
from shotspotter_assets.models.networks.windows import Windows
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.training_windows import split_days

CITIES = ("washington_dc", "oakland", "cincinnati", "springfield", "san_francisco", "fresno")
ROUNDS = 6  # epochs of each other city
YEAR = 365
SETTINGS = DailyNetworkSettings(networks=1)


@dataclass
class Trained:
    """A city's network on the regression, and the fold that it was fitted in."""

    fold: Fold
    fitted: FittedNetwork
    start: SharedStart


def fit(fold: Fold, start: SharedStart, earlier: FittedNetwork | None = None) -> Trained:
    """Train the network in a fold, from the weights of `earlier`."""
    context = FitContext(start, earlier={} if earlier is None else {NETWORK: earlier})
    history = fold.history.through(fold.validation.stop)
    return Trained(fold, forecaster(NETWORK, SETTINGS).fit(history, fold.train, fold.validation, context), start)


def first_year(city: str, data: Path, cache: Path, days: int) -> Fold:
    """A fold of a city's first year, tested on the days after it."""
    history, start = history_of(city, data, cache), BENCHMARKS[city].start
    in_coverage = estimate_coverage(history.daily_counts[:YEAR].sum(axis=1, dtype=np.int64))
    daily = history.daily(in_coverage).through(YEAR + days)
    return Fold(daily, start + timedelta(days=YEAR), *split_days(YEAR, 55, 8), range(YEAR, YEAR + days))


def weights_of(others: list[Trained]) -> list[np.ndarray]:
    """Weights after `ROUNDS` epochs of each other city in turn."""
    keras.utils.set_random_seed(0)
    turns, weights = [], None
    for one in others:
        network, fold = one.fitted, one.fold
        inputs = network.inputs_of(fold.history, range(fold.train.start, fold.train.stop))
        batches = Windows(inputs, fold.train, SETTINGS.batch_size, (), seed=0, used=ordinary_days(fold.history))
        model = untrained(batches, SETTINGS)
        twin = keras.Model(model.input, model.get_layer("logits").output)
        adam = keras.optimizers.Adam(SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay)
        twin.compile(adam, weighted_cross_entropy(inputs.in_coverage, 1.0), jit_compile=False)
        turns.append((twin, batches))
    for _ in range(ROUNDS):
        for twin, batches in turns:
            if weights is not None:
                twin.set_weights(weights)
            twin.fit(batches, epochs=1, shuffle=False, verbose=0)
            weights = twin.get_weights()
    assert weights is not None
    return weights


def with_weights(own: FittedNetwork, weights: list[np.ndarray]) -> FittedNetwork:
    """A network of the same inputs with the weights of others."""
    model = keras.models.clone_model(own.models[0])
    model.set_weights(own.models[0].get_weights())
    for mine, theirs in zip(model.trainable_variables, weights, strict=True):
        extra = mine.shape[-1] - theirs.shape[-1]  # maps of types, which stay as they start
        mine.assign(np.pad(theirs, [(0, 0)] * (theirs.ndim - 1) + [(0, extra)]))
    return replace(own, models=(model,), share=1.0)


def main() -> None:
    """Train, and print the table."""
    arguments = parser(__doc__, cities=CITIES, needs_data=True)
    arguments.add_argument("--days", type=int, default=182, help="test days after the first year")
    chosen = arguments.parse_args()
    data, cache = chosen.data, chosen.cache
    trained = {}
    for city in chosen.cities:
        fold = folds(city, data, cache)[0]
        trained[city] = fit(fold, start_of(city, fold.cutoff, data, cache))
        print(f"- {city}: share {trained[city].fitted.share:.2f}", flush=True)
    print()
    of_others = "others' weights", "others' weights, trained further"
    print_head("city, first year", "positives", "starting at nothing", *of_others)
    tables = []
    for city in chosen.cities:
        thin = first_year(city, data, cache, chosen.days)
        fresh = fit(thin, trained[city].start)
        shared = with_weights(fresh.fitted, weights_of([one for name, one in trained.items() if name != city]))
        further = fit(thin, trained[city].start, earlier=shared)
        regression = fresh.fitted.regression
        assert regression is not None
        forecasts = {
            "regression": regression.predict(thin.history, thin.test),
            "fresh": fresh.fitted.predict(thin.history, thin.test),
            "shared": shared.predict(thin.history, thin.test),
            "further": further.fitted.predict(thin.history, thin.test),
        }
        table = without_firework_days(thin.table({name: clip_probability(p) for name, p in forecasts.items()}))
        tables.append(table)
        show(city, table)
    show("all", pa.concat_tables(moved_apart(tables)))


def show(name: str, table: pa.Table) -> None:
    """One row of the table."""
    gains = [table_gain(table, column, "regression").text() for column in ("fresh", "shared", "further")]
    print_row(name, f"{int(np.sum(table['observed'].to_numpy())):,}", *gains)


if __name__ == "__main__":
    main()
