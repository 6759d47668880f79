"""How often to train, and on how many years: `python benchmarks/cadence.py --data FOLDER --cache FOLDER [--cities ...]`.

The first test quarter of each city, forecast by models that are fitted once for it, every week, or every day, on all days before
or on the last one, two or three years alone; all else as in `next_day.py`. Forecasts are kept in the cache. Prints Markdown:
the gain in nats per positive over the same model fitted once on all days, with 90% intervals of a weekly block bootstrap, on all
days and without firework days. Daily training is that of the regression alone: the others take a minute for each of 90 days.
`--network` has the residual network too, two minutes a fit.

`--hours 1 4` asks the same of the stack of the next hours and of its regression, on the first `--days` of the test quarter:
fitted once, every week and every day. The weights of the stack move by the week in each.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from benchmark_cities import (
    BENCHMARKS,
    VALIDATION_SHARE,
    WINDOW,
    Fold,
    HourlyFold,
    folds,
    hourly_folds,
    moved_apart,
    parser,
)
from hours_members import hourly_stack_of, kept_hourly
from next_day import BOOSTING, NETWORK, STACK
from shared_model import start_of
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.gains import table_gain, weekly_gain, weekly_sums
from shotspotter_assets.models.fold_windows import split_days
from shotspotter_assets.models.next_hours.features import fireworks_ahead
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.stack import FittedHourlyStack
from shotspotter_assets.models.probability import log_losses

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


def hourly_refits(fold: HourlyFold, days_between: int, days: int) -> Iterator[HourlyFold]:
    """As `refits`, of the first days of the fold's test window."""
    history, city = fold.history, fold.history.city
    for first in range(0, days, days_between):
        cutoff, stop = (fold.cutoff + timedelta(days=day) for day in (first, min(first + days_between, days)))
        begin = cutoff - timedelta(days=round((cutoff - history.first_day).days * VALIDATION_SHARE))
        validation, test, end = (history.hour_at(day_start(day, city.zone)) for day in (begin, cutoff, stop))
        yield HourlyFold(history, cutoff, range(validation), range(validation, test), range(test, end))


def hours_losses(fold: HourlyFold, days_between: int, days: int, horizon: int, cache: Path) -> dict[str, np.ndarray]:
    """Log loss of each issue, summed over its cells, by model."""
    kept = cache / f"hours_every_{days_between}_days"
    kept.mkdir(parents=True, exist_ok=True)
    losses: dict[str, list[np.ndarray]] = {NextHours.name: [], FittedHourlyStack.name: []}
    for part in hourly_refits(fold, days_between, days):
        members = kept_hourly(part, kept, [horizon])
        issues = part.history.issues(part.test, horizon)
        observed = part.history.occupied_within(horizon)[issues]
        for model in (members[NextHours.name], hourly_stack_of(part, members, [horizon])):
            losses[model.name].append(log_losses(model.predict(part.history, issues, horizon), observed).sum(axis=1))
    return {name: np.concatenate(parts) for name, parts in losses.items()}


def show_hours(city: str, horizon: int, days: int, data: Path, cache: Path) -> None:
    """What training every week and every day gains over once, in a line for each model."""
    fold = hourly_folds(city, data, cache)[0]
    (whole,) = hourly_refits(fold, days, days)
    issues = fold.history.issues(whole.test, horizon)
    positives = fold.history.occupied_within(horizon)[issues].sum(axis=1)
    ordinary = ~fireworks_ahead(fold.history, horizon)[issues]
    by_cadence = {every: hours_losses(fold, every, days, horizon, cache) for every in (days, 7, 1)}
    for every, over in ((7, days), (1, 7), (1, days)):
        for model in by_cadence[every]:
            compared = {str(one): by_cadence[one][model] for one in (every, over)}
            shown = []
            for chosen in (np.ones(len(issues), bool), ordinary):
                sums = weekly_sums(
                    fold.history.starts[issues][chosen],
                    positives[chosen],
                    {name: loss[chosen] for name, loss in compared.items()},
                )
                shown.append(weekly_gain(sums, str(every), str(over)).text())
            often = {1: "every day", 7: "every week", days: "once"}
            print(
                f"| {city}, {horizon} h | {often[every]} over {often[over]} | {model} | {' | '.join(shown)} |",
                flush=True,
            )


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=CITIES, choices=BENCHMARKS)
    arguments.add_argument("--network", action="store_true", help="the residual network too")
    arguments.add_argument(
        "--hours", nargs="+", type=int, default=(), metavar="HORIZON", help="of the next hours instead"
    )
    arguments.add_argument("--days", type=int, default=QUARTER, help="of the quarter, with --hours")
    chosen = arguments.parse_args()
    if chosen.hours:
        print("| days | training | model | gain | without firework days |\n| --- | --- | --- | --- | --- |")
        for city in chosen.cities:
            for horizon in chosen.hours:
                show_hours(city, horizon, chosen.days, chosen.data, chosen.cache)
        return
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
