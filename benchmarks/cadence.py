"""How often to train, and on how many years: `python benchmarks/cadence.py --data FOLDER --cache FOLDER [--cities ...]`.

The first test quarter of each city, forecast by models that are fitted once for it, every week, or every day, on all days before
or on the last one, two or three years alone; all else as in `next_day.py`. Forecasts are kept in the cache. Prints Markdown:
the gain in nats per positive over the same model fitted once on all days, with 90% intervals of a weekly block bootstrap, on all
days and without firework days. Daily training is that of the regression alone: the others take a minute for each of 90 days.
`--network` has the residual network too, two minutes a fit.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from benchmark_cities import BENCHMARKS, VALIDATION_SHARE, WINDOW, Fold, folds, moved_apart, parser
from next_day import BOOSTING, NETWORK, STACK
from shared_model import start_of
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.fold_windows import split_days

REGRESSION: Final = "regime_regression"
CITIES: Final = ("washington_dc", "oakland", "cincinnati")
YEAR: Final = 365
QUARTER: Final = 92


class Training(NamedTuple):
    """How often models are fitted, and on what."""

    days_between: int
    years: int | None
    """None for all days."""
    members: tuple[str, ...]

    @property
    def words(self) -> str:
        often = {1: "every day", 7: "every week", QUARTER: "once"}[self.days_between]
        years = {None: "all days", 1: "one year", 2: "two years", 3: "three years"}[self.years]
        return f"{often}, {years}"


TRAININGS: Final = (
    Training(QUARTER, None, MEMBERS),
    Training(7, None, MEMBERS),
    Training(1, None, (REGRESSION,)),
    *(Training(QUARTER, years, MEMBERS) for years in (1, 2, 3)),
)
"""The first one is what the others are compared with."""


def refits(fold: Fold, training: Training) -> Iterator[Fold]:
    """The fold's test window in parts, each with the days before it to fit on; the cells stay those of the fold."""
    for first in range(fold.test.start, fold.test.stop, training.days_between):
        stop = min(first + training.days_between, fold.test.stop)
        train, validation = split_days(first, VALIDATION_SHARE, WINDOW)
        if training.years is not None:
            train, validation = split_days(YEAR * training.years, VALIDATION_SHARE, WINDOW)
            moved = first - YEAR * training.years
            train, validation = (range(days.start + moved, days.stop + moved) for days in (train, validation))
        history = fold.history.through(stop)
        yield replace(
            fold,
            history=history,
            cutoff=history.days()[first].item(),
            train=train,
            validation=validation,
            test=range(first, stop),
        )


def forecasts_of(
    city: str, fold: Fold, training: Training, data: Path, cache: Path, with_network: bool
) -> dict[str, np.ndarray]:
    """Of the test window, by model."""
    kept = cache if training == TRAININGS[0] else cache / training.words.replace(", ", "_").replace(" ", "_")
    kept.mkdir(exist_ok=True)
    parts: list[dict[str, np.ndarray]] = []
    for part in refits(fold, training):
        start = start_of(city, part.cutoff, data, cache)
        members = members_of(part, kept, training.members, start)
        forecasts = {name: one.test for name, one in members.items() if name in (BOOSTING, REGRESSION)}
        if training.members == MEMBERS:
            forecasts[STACK] = stack_of(part, members).predict(part.history, part.test)
            if with_network:
                forecasts[NETWORK] = members_of(part, kept, (NETWORK,), start)[NETWORK].test
        parts.append(forecasts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=CITIES, choices=BENCHMARKS)
    arguments.add_argument("--network", action="store_true", help="the residual network too")
    chosen = arguments.parse_args()
    tables: dict[str, list[pa.Table]] = {training.words: [] for training in TRAININGS}
    for city in chosen.cities:
        fold = folds(city, chosen.data, chosen.cache)[0]
        once = forecasts_of(city, fold, TRAININGS[0], chosen.data, chosen.cache, chosen.network)
        for training in TRAININGS:
            own = forecasts_of(city, fold, training, chosen.data, chosen.cache, chosen.network)
            both = own | {f"{name} once": forecast for name, forecast in once.items() if name in own}
            tables[training.words].append(fold.table(both))
            print(f"- {city}: {training.words}", flush=True)
    print(f"\n| training | model | {' | '.join(chosen.cities)} | all | all, without firework days |")
    print("| --- " * (len(chosen.cities) + 4) + "|")
    for training in TRAININGS[1:]:
        by_city = tables[training.words]
        for model in (REGRESSION, BOOSTING, STACK, NETWORK):
            if model not in by_city[0].column_names:
                continue
            everywhere = pa.concat_tables(moved_apart(by_city))
            ordinary = pa.concat_tables(moved_apart([without_firework_days(table) for table in by_city]))
            shown = [table_gain(table, model, f"{model} once").text() for table in (*by_city, everywhere, ordinary)]
            print(f"| {training.words} | {model} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
