"""Skill by lead on real cities: `python benchmarks/skill_by_lead.py --data FOLDER --cache FOLDER [--cities ...] [--leads ...]`.

The lead is the number of days from the last known day to the day that is forecast. Models are fitted for each lead on the days
that are known at the cutoff of a fold, so at a lead of 90 on days to 90 days before its first test day, and starting at the
regression of the *other* cities, as in `next_day.py`. The stack is the one without the network, which would take most of the
time. Members of lead 1 are those of `next_day.py` in the same cache. Forecasts are kept, so that a run that was stopped goes on.

Prints Markdown of ordinary days, without firework days: gains in nats per positive with 90% intervals of a weekly block
bootstrap, pooled and by city, over each baseline; predicted / observed; and the gain over the best baseline, chosen in hindsight,
of what the gate serves after the validation window of the same lead.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import GROUPS, VALIDATION_SHARE, WINDOW, Fold, folds, moved_apart, parser
from shared_model import start_of
from stack_members import HINDSIGHT, MEMBERS, members_of, stack_of, with_best_in_hindsight

from shotspotter_assets.evaluation.forecasts_table import forecasts_table, observed_of, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.gate import Verdict, verdict_on
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.forecaster_registry import BASELINES, FALLBACKS, NETWORK
from shotspotter_assets.models.training_windows import split_days

LEADS = (1, 7, 14, 30, 60, 90)
STACK, SERVED, IF_SHOWN = "stack", "served", "served_if_shown"
OF_STACK = tuple(name for name in MEMBERS if name != NETWORK)


def at_lead(fold: Fold, lead: int) -> Fold:
    """The fold as known `lead` days before its first test day; `test` also has the days in between."""
    stop, history = fold.test.start - (lead - 1), fold.history
    train, validation = split_days(stop, round(stop * VALIDATION_SHARE), WINDOW)
    in_coverage = estimate_coverage(history.counts[:stop].sum(axis=1, dtype=np.int64))
    known = replace(history, lead=lead, in_coverage=in_coverage)
    return Fold(known, fold.cutoff, train, validation, range(stop, fold.test.stop))


def forecasts_of(city: str, fold: Fold, lead: int, data: Path | None, cache: Path) -> tuple[pa.Table, Verdict]:
    """(the forecasts table of the test days, the gate's verdict in validation)."""
    kept, start = cache if lead == 1 else cache / f"lead_{lead}", start_of(city, fold.cutoff, data, cache)
    kept.mkdir(exist_ok=True)
    known = at_lead(fold, lead)
    members = members_of(known, kept, tuple(dict.fromkeys((*OF_STACK, *BASELINES))), start)
    stack = stack_of(known, {name: members[name] for name in OF_STACK})
    validated = {name: members[name].validation_probability for name in (*OF_STACK, *FALLBACKS)}
    window = slice(known.validation.start, known.validation.stop)
    validation = forecasts_table(
        known.history.days()[window],
        np.nonzero(known.history.in_coverage),
        known.history.observed[window],
        {STACK: stack.validation_probability} | validated,
    )
    verdict = verdict_on(validation, STACK)
    forecasts = {name: one.test for name, one in members.items()} | {STACK: stack.predict(known.history, known.test)}
    forecasts[SERVED] = forecasts[verdict.served]
    forecasts[IF_SHOWN] = forecasts[STACK if verdict.outcome == "better" else verdict.best_baseline]
    first_tested = fold.test.start - known.test.start
    tested = replace(known, test=fold.test).table({name: one[first_tested:] for name, one in forecasts.items()})
    return without_firework_days(tested), verdict


def rows_of(tables: dict[str, pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Each city and its forecasts with its best baseline, and all of them together."""
    tables = {
        city: with_best_in_hindsight(table.drop_columns([SERVED, IF_SHOWN]))[0]
        .append_column(SERVED, table[SERVED])
        .append_column(IF_SHOWN, table[IF_SHOWN])
        for city, table in tables.items()
    }
    yield from tables.items()
    if len(tables) > 1:
        yield "all", pa.concat_tables(moved_apart(list(tables.values())))


def show(title: str, by_lead: dict[int, dict[str, pa.Table]], columns: dict[str, Callable[[pa.Table], str]]) -> None:
    """One Markdown table: a row for each city and lead."""
    print(f"\n### {title}\n\n| city | lead | positives | {' | '.join(columns)} |\n{'| --- ' * (3 + len(columns))}|")
    rows = {lead: dict(rows_of(tables)) for lead, tables in by_lead.items() if tables}
    for city in dict.fromkeys(city for of_lead in rows.values() for city in of_lead):
        for lead, of_lead in rows.items():
            if city in of_lead:
                table = of_lead[city]
                cells = [f"{observed_of(table).sum():,}", *(column(table) for column in columns.values())]
                print(f"| {city} | {lead} | {' | '.join(cells)} |")
    sys.stdout.flush()


def gain(model: str, over: str) -> Callable[[pa.Table], str]:
    """A column of gains."""
    return lambda table: table_gain(table, model, over).text("+.3f")


def level(model: str) -> Callable[[pa.Table], str]:
    """A column of predicted / observed."""
    return lambda table: f"{table[model].to_numpy().sum() / observed_of(table).sum():.2f}"


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(
        __doc__, cities=list(GROUPS), choices=[*GROUPS, *(city for group in GROUPS.values() for city in group)]
    )
    arguments.add_argument("--folds", type=int, default=2, help="of each city, the last ones")
    arguments.add_argument("--leads", type=int, nargs="+", default=list(LEADS))
    chosen = arguments.parse_args()
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    by_lead: dict[int, dict[str, pa.Table]] = {lead: {} for lead in chosen.leads}
    print("| city | cutoff | lead | the stack in validation | served |\n| --- | --- | --- | --- | --- |")
    for city in cities:
        tables: dict[int, list[pa.Table]] = {lead: [] for lead in chosen.leads}
        for fold in folds(city, chosen.data, chosen.cache)[-chosen.folds :]:
            for lead in chosen.leads:
                forecasts, verdict = forecasts_of(city, fold, lead, chosen.data, chosen.cache)
                tables[lead].append(forecasts)
                print(f"| {city} | {fold.cutoff} | {lead} | {verdict.outcome} | {verdict.served} |", flush=True)
        for lead in chosen.leads:
            by_lead[lead][city] = pa.concat_tables(tables[lead])
    show(
        "Skill by lead, ordinary days",
        by_lead,
        {
            "stack over each cell's mean": gain(STACK, "historical_mean"),
            "stack over the best baseline": gain(STACK, HINDSIGHT),
            "served over the best baseline": gain(SERVED, HINDSIGHT),
            "served if shown to be better": gain(IF_SHOWN, HINDSIGHT),
            "predicted / observed of the stack": level(STACK),
            "of what is served": level(IF_SHOWN),
        },
    )
    show("The stack over every baseline", by_lead, {name: gain(STACK, name) for name in BASELINES})


if __name__ == "__main__":
    main()
