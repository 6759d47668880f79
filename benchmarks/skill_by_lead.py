"""Skill by lead on real cities: `python benchmarks/skill_by_lead.py --data FOLDER --cache FOLDER [--cities ...] [--leads ...]`.

The lead is the number of days from the last known day to the day that is forecast. Models are fitted for each lead on the days
that are known at the cutoff of a fold, so at a lead of 90 on days to 90 days before its first test day, and starting at the
regression of the *other* cities, as in `next_day.py`. The stack is the one without the network, which would take most of the
time. Members of lead 1 are those of `next_day.py` in the same cache. Forecasts are kept, so that a run that was stopped goes on.

Prints Markdown of ordinary days, without firework days: gains in nats per positive with 90% intervals of a weekly block
bootstrap, pooled and by city, over each baseline and over the best of them, chosen in hindsight, of the stack, of what the gate
serves and of what a gate would serve that asks for a candidate that is shown to be better; predicted / observed; and the share of
weeks whose level lies within the 80% interval. With `--learn`, stacks learn their weights at every lead.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import GROUPS, VALIDATION_SHARE, WINDOW, Fold, folds, moved_apart, parser, print_head, print_row
from shared_model import start_of
from stack_members import HINDSIGHT, MEMBERS, members_of, stack_of, with_best_in_hindsight

import shotspotter_assets.models.stack
from shotspotter_assets.calendar.dates import dates_of, weeks
from shotspotter_assets.evaluation.forecasts_table import forecasts_table, observed_of, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain, weekly_sums
from shotspotter_assets.evaluation.gate import Verdict, verdict_on
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.forecaster_registry import BASELINES, FALLBACKS, NETWORK
from shotspotter_assets.models.training_windows import split_days
from shotspotter_assets.serving.intervals import weekly_offset

LEADS = (1, 7, 14, 30, 60, 90)
STACK, SERVED, IF_SHOWN = "stack", "served", "served_if_shown"
OF_STACK = tuple(name for name in MEMBERS if name != NETWORK)
LIVE_DAYS = 91
"""Validation days of live models, from which intervals are taken."""


@dataclass(frozen=True)
class Tested:
    """Forecasts of a fold's ordinary test days, and whether each week's level lies within the interval."""

    forecasts: pa.Table
    within: np.ndarray
    verdict: Verdict


def at_lead(fold: Fold, lead: int) -> Fold:
    """The fold as known `lead` days before its first test day; `test` also has the days in between."""
    stop, history = fold.test.start - (lead - 1), fold.history
    train, validation = split_days(stop, round(stop * VALIDATION_SHARE), WINDOW)
    in_coverage = estimate_coverage(history.counts[:stop].sum(axis=1, dtype=np.int64))
    known = replace(history, lead=lead, in_coverage=in_coverage)
    return Fold(known, fold.cutoff, train, validation, range(stop, fold.test.stop))


def tested(city: str, fold: Fold, lead: int, data: Path, cache: Path) -> Tested:
    """Forecast the test days of a fold; members that are not in the cache are fitted."""
    kept, start = cache if lead == 1 else cache / f"lead_{lead}", start_of(city, fold.cutoff, data, cache)
    kept.mkdir(exist_ok=True)
    known = at_lead(fold, lead)
    members = members_of(known, kept, tuple(dict.fromkeys((*OF_STACK, *BASELINES))), start)
    stack = stack_of(known, {name: members[name] for name in OF_STACK})
    window, history = slice(known.validation.start, known.validation.stop), known.history
    days, observed = history.days()[window], history.observed[window]
    validated = {name: members[name].validation_probability for name in (*OF_STACK, *FALLBACKS)}
    validated[STACK] = stack.validation_probability
    verdict = verdict_on(forecasts_table(days, np.nonzero(history.in_coverage), observed, validated), STACK)
    forecasts = {name: one.test for name, one in members.items()} | {STACK: stack.predict(history, known.test)}
    forecasts[SERVED] = forecasts[verdict.served]
    forecasts[IF_SHOWN] = forecasts[STACK if verdict.outcome == "better" else verdict.best_baseline]
    first = fold.test.start - known.test.start
    table = replace(known, test=fold.test).table({name: one[first:] for name, one in forecasts.items()})
    table = without_firework_days(table)
    last = slice(-LIVE_DAYS, None)
    low, high = weekly_offset(validated[verdict.served][last], observed[last], days[last], lead)
    sums = weekly_sums(dates_of(table), observed_of(table), {SERVED: table[SERVED].to_numpy()})
    whole = np.bincount(np.unique(weeks(np.unique(dates_of(table))), return_inverse=True)[1]) == 7
    off = np.log((sums.positives + 0.5) / (sums.losses[SERVED] + 0.5))[whole]
    return Tested(table, (low <= off) & (off <= high), verdict)


def pooled(folds_of_city: list[Tested]) -> tuple[pa.Table, np.ndarray]:
    """(forecasts with those of the city's best baseline, weeks within the interval)."""
    table = pa.concat_tables([one.forecasts for one in folds_of_city])
    hindsight, _ = with_best_in_hindsight(table)
    return hindsight, np.concatenate([one.within for one in folds_of_city])


def show(title: str, rows: dict[tuple[str, int], tuple[pa.Table, np.ndarray]], columns: dict[str, Callable]) -> None:
    """One Markdown table: a row for each city and lead."""
    print(f"\n### {title}\n")
    print_head("city", "lead", "positives", *columns)
    for (city, lead), (table, within) in rows.items():
        print_row(city, lead, f"{observed_of(table).sum():,}", *(column(table, within) for column in columns.values()))


def gain(model: str, over: str) -> Callable[[pa.Table, np.ndarray], str]:
    """A column of gains."""
    return lambda table, _: table_gain(table, model, over).text("+.3f")


def level(model: str) -> Callable[[pa.Table, np.ndarray], str]:
    """A column of predicted / observed."""
    return lambda table, _: f"{table[model].to_numpy().sum() / observed_of(table).sum():.2f}"


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, list(GROUPS), [*GROUPS, *(city for group in GROUPS.values() for city in group)])
    arguments.add_argument("--folds", type=int, default=1, help="of each city, the last ones")
    arguments.add_argument("--leads", type=int, nargs="+", default=list(LEADS))
    arguments.add_argument("--learn", action="store_true", help="learn the weights of stacks at every lead")
    chosen = arguments.parse_args()
    if chosen.learn:
        shotspotter_assets.models.stack.LONG_LEAD_DAYS = max(chosen.leads) + 1
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    rows: dict[tuple[str, int], tuple[pa.Table, np.ndarray]] = {}
    print_head("city", "cutoff", "lead", "the stack in validation", "served")
    for city in cities:
        of_city = folds(city, chosen.data, chosen.cache)[-chosen.folds :]
        for lead in chosen.leads:
            results = [tested(city, fold, lead, chosen.data, chosen.cache) for fold in of_city]
            rows[city, lead] = pooled(results)
            for fold, one in zip(of_city, results, strict=True):
                print_row(city, fold.cutoff, lead, one.verdict.outcome, one.verdict.served)
    for lead in chosen.leads if len(cities) > 1 else ():
        tables, within = zip(*(rows[city, lead] for city in cities), strict=True)
        rows["all", lead] = pa.concat_tables(moved_apart(tables)), np.concatenate(within)
    columns = {
        "served over each cell's mean": gain(SERVED, "historical_mean"),
        "served over the best baseline": gain(SERVED, HINDSIGHT),
        "if only what is shown to be better is served": gain(IF_SHOWN, HINDSIGHT),
        "predicted / observed": level(SERVED),
        "weeks within the 80% interval": lambda _, within: f"{within.mean():.0%} of {len(within)}",
    }
    show("Skill by lead, ordinary days", rows, columns)
    show("The stack over every baseline", rows, {name: gain(STACK, name) for name in (*BASELINES, HINDSIGHT)})


if __name__ == "__main__":
    main()
