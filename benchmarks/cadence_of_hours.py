"""How often to train the models of hours: `python benchmarks/cadence_of_hours.py --data FOLDER --cache FOLDER [--cities ...]`.

The first days of the first test quarter of each city, forecast by models that are fitted once before them, every week, or every
day, each time on all days before; all else as in `next_hours.py`. Forecasts are kept in the cache. Prints Markdown: the gain in
nats per positive over the same forecaster fitted once, and of every day over every week, with 90% intervals of a weekly block
bootstrap, and CPU seconds of a fit with its forecasts.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmark_cities import BENCHMARKS, VALIDATION_SHARE, HourlyFold, hourly_folds, parser
from hours_members import hourly_stack_of, kept_hourly

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.models.next_hours.stack import MEMBERS, FittedHourlyStack
from shotspotter_assets.models.probability import log_losses

CITIES: Final = ("washington_dc", "oakland", "cincinnati")
CADENCES: Final = {"once": 366, "every week": 7, "every day": 1}
"""Days between two fits, by their words."""
ONCE, WEEKLY, DAILY = CADENCES
SHOWN: Final = (FittedHourlyStack.name, *MEMBERS)


def refits(fold: HourlyFold, start: date, days: int, days_between: int) -> Iterator[HourlyFold]:
    """The first days of the fold's test window in parts, each with all days before it to fit on; cells stay those of the fold."""
    zone, end = fold.history.city.zone, fold.cutoff + timedelta(days=days)
    first = fold.cutoff
    while first < end:
        stop = min(first + timedelta(days=days_between), end)
        validated = first - timedelta(days=round((first - start).days * VALIDATION_SHARE))
        validation, test, after = (fold.history.hour_at(day_start(day, zone)) for day in (validated, first, stop))
        yield replace(
            fold, cutoff=first, train=range(validation), validation=range(validation, test), test=range(test, after)
        )
        first = stop


def losses_of(
    city: str, fold: HourlyFold, cadence: str, chosen: Any
) -> tuple[dict[int, dict[str, np.ndarray]], float, int]:
    """(log losses of each issue by horizon and forecaster, CPU seconds, fits) of one cadence; seconds of what was not kept."""
    cache: Path = chosen.cache / f"hours_{cadence.replace(' ', '_')}_{chosen.days}"
    cache.mkdir(exist_ok=True)
    parts: list[dict[int, dict[str, np.ndarray]]] = []
    began = time.process_time()
    for part in refits(fold, BENCHMARKS[city].start, chosen.days, CADENCES[cadence]):
        kept = kept_hourly(part, cache, chosen.horizons)
        stack = hourly_stack_of(part, kept, chosen.horizons)
        losses: dict[int, dict[str, np.ndarray]] = {}
        for horizon in chosen.horizons:
            issues = part.history.issues(part.test, horizon)
            observed = part.history.occupied_within(horizon)[issues]
            losses[horizon] = {
                one.name: log_losses(one.predict(part.history, issues, horizon), observed).sum(axis=1)
                for one in (stack, *(kept[name] for name in MEMBERS))
                if horizon in one.models
            }
        parts.append(losses)
    seconds = time.process_time() - began
    pooled = {
        horizon: {name: np.concatenate([part[horizon][name] for part in parts]) for name in parts[0][horizon]}
        for horizon in chosen.horizons
    }
    return pooled, seconds, len(parts)


def show(city: str, chosen: Any) -> None:
    """The table of one city."""
    fold = hourly_folds(city, chosen.data, chosen.cache)[0]
    by_cadence = {}
    for cadence in CADENCES:
        by_cadence[cadence], seconds, fits = losses_of(city, fold, cadence, chosen)
        print(f"- {city}, {cadence}: {fits} fits, {seconds / fits:.1f} s of CPU each, with their forecasts", flush=True)
    (whole,) = refits(fold, BENCHMARKS[city].start, chosen.days, CADENCES[ONCE])
    print(f"\n### {city}, {chosen.days} days from {fold.cutoff} on\n")
    print("| next | forecaster | every week over once | every day over once | every day over every week |")
    print("| --- " * 5 + "|")
    for horizon in chosen.horizons:
        issues = whole.history.issues(whole.test, horizon)
        positives = whole.history.occupied_within(horizon)[issues].sum(axis=1)
        for name in (one for one in SHOWN if one in by_cadence[ONCE][horizon]):
            losses = {cadence: by_cadence[cadence][horizon][name] for cadence in CADENCES}
            weekly = weekly_sums(whole.history.starts[issues], positives, losses)
            pairs = ((WEEKLY, ONCE), (DAILY, ONCE), (DAILY, WEEKLY))
            gains = (weekly_gain(weekly, model, over).text() for model, over in pairs)
            print(f"| {horizon} h | {name} | {' | '.join(gains)} |", flush=True)


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=CITIES, choices=BENCHMARKS)
    arguments.add_argument("--horizons", nargs="+", type=int, default=[1, 4])
    arguments.add_argument("--days", type=int, default=63, help="of the quarter: whole weeks")
    chosen = arguments.parse_args()
    for city in chosen.cities:
        show(city, chosen)


if __name__ == "__main__":
    main()
