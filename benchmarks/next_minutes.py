"""The next 15 to 60 minutes on real cities: `python benchmarks/next_minutes.py --data FOLDER --cache FOLDER [--cities ...]`.

The folds of `next_hours.py`. In each, the stack of the next hours is fitted on the days before the cutoff, the process of the next
minutes on its forecasts of the two years before it, and the weights of the stack of minutes on the validation days. All
forecast, from every quarter of an hour of the test quarter and one minute after each incident, whether a new incident begins in
a cell. Prints Markdown: what came over what was forecast, and the gain of process and stack in nats per positive over the hour's
forecast spread evenly, with the 90% interval of a weekly block bootstrap, by the time since the last incident within
`NEAR_METRES` of the middle of the cell, with and without firework days.

`--before` shows what was chosen by instead, on days before all test windows: the weights that the other cities learned on the
validation windows of their first folds, and the same tables for the second half of a city's window, with process and weights
learned before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from benchmark_cities import BENCHMARKS, HourlyFold, city_of, dated, hourly_folds, parser, raw_alerts
from stack_prior import Past, shared_weights

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.calendar.weekdays import WEEK_HOURS, weeks
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.evaluation.gains import WeeklySums, weekly_gain
from shotspotter_assets.gridding.cells import Plane, cell_middles
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_hours.stack import HourlyStack
from shotspotter_assets.models.next_minutes.even import MINUTES, EvenForecast, expected_by_hours
from shotspotter_assets.models.next_minutes.forecast import FIT_HOURS
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import fit_minutes
from shotspotter_assets.models.next_minutes.stack import (
    AFTER_SECONDS,
    MEMBERS,
    PRIOR_WEIGHTS,
    FittedMinutesStack,
    HourForecasts,
    Issues,
    Weights,
    fit_stack,
    member_logits,
)
from shotspotter_assets.models.probability import log_losses

NEAR_METRES: Final = 500.0
SINCE_MINUTES: Final = (0, 15, 30, 60, 120, 240)
BINS: Final = (
    *(f"{low} to {high} min" for low, high in pairwise(SINCE_MINUTES)),
    "longer",
)
EVEN: Final = "hour, spread evenly"
PROCESS: Final = "process"
STACK: Final = "stack"
FORECASTS: Final = (EVEN, PROCESS, STACK)
CITIES: Final = ("washington_dc", "oakland", "cincinnati")


@dataclass(frozen=True)
class FoldForecasts:
    """What the stack of hours expects in a fold.

    Attributes:
        train: of the training hours of the last two years, by the stack that knows training hours alone.
        validation: of the validation hours, by that one.
        both: of the last two years, by the one that serves.
        test: of the test hours but the last, by that one.
    """

    train: HourForecasts
    validation: EvenForecast
    both: HourForecasts
    test: EvenForecast


def incidents_of(name: str, data: Path, cache: Path) -> Incidents:
    """All incidents of a city, through the project's own reading and cleaning; prints how exact times and points are."""
    city, benchmark = city_of(name), BENCHMARKS[name]
    kept = cache / f"{name}_alerts.parquet"
    if not kept.exists():
        days = days_between(benchmark.start, benchmark.cutoffs[-1])
        cleaned = clean_alerts(raw_alerts(city, data, days), days, city)
        pq.write_table(dated({day: result.alerts for day, result in cleaned.items()}), kept)
    alerts = pq.read_table(kept)
    incidents = Incidents.of_alerts(alerts, city)
    whole_minutes = np.mean(seconds_of(alerts["time_utc"].to_numpy()) % 60 == 0)
    latitude, plane, (rows, columns) = alerts["latitude"].to_numpy(), Plane.of(city), city.shape
    rounded = np.mean(np.abs(latitude * 1000 - np.round(latitude * 1000)) < 1e-6)
    print(
        f"- {name}: {len(alerts):,} alerts, {len(incidents):,} incidents; {whole_minutes:.1%} of the times are whole minutes, "
        f"{rounded:.0%} of the latitudes have three decimals; cells of {plane.width / columns:.0f} x {plane.height / rows:.0f} m",
        flush=True,
    )
    return incidents


def fold_forecasts(fold: HourlyFold, cache: Path) -> FoldForecasts:
    """Forecasts of the stack of hours; what is not in the cache is fitted."""
    history, kept = fold.history, cache / f"{fold.history.city.name}_{fold.cutoff}_even.npz"
    first = max(fold.validation.stop - FIT_HOURS, WARM_UP_HOURS)
    train, both = range(first, fold.validation.start), range(first, fold.validation.stop)
    windows = {"validation": fold.validation, "test": range(fold.test.start, fold.test.stop - 1)}
    if not kept.exists():
        stack = HourlyStack((1, 2)).fit(history, fold.train, fold.validation)
        assert stack.on_train is not None
        asked = {"train": (stack.on_train, train, 1), "both": (stack, both, 1)}
        for name, model in (("validation", stack.on_train), ("test", stack)):
            asked |= {f"{name}_{horizon}": (model, windows[name], horizon) for horizon in (1, 2)}
        made = {
            name: expected_by_hours(model, history, np.array(hours), horizon).astype(np.float32)
            for name, (model, hours, horizon) in asked.items()
        }
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, **made)
        partly.replace(kept)
    found = {name: values.astype(np.float64) for name, values in np.load(kept).items()}
    ahead = {name: EvenForecast(one := found[f"{name}_1"], np.maximum(found[f"{name}_2"] - one, 0)) for name in windows}
    return FoldForecasts(
        HourForecasts(train, found["train"]), ahead["validation"], HourForecasts(both, found["both"]), ahead["test"]
    )


def bins_at(incidents: Incidents, history: HourlyHistory, issues: Issues) -> np.ndarray:
    """Which of `BINS` the last incident near each cell is in, shape (issues, cells)."""
    middles = middles_of(history.city, history.in_coverage)
    since = np.full((len(issues.seconds), len(middles)), np.inf)
    begin = np.searchsorted(incidents.seconds, issues.seconds[0] - 60 * SINCE_MINUTES[-1])
    for at, metres in zip(incidents.seconds[begin:], incidents.metres[begin:], strict=True):
        some = slice(*np.searchsorted(issues.seconds, [at, at + 60 * SINCE_MINUTES[-1]]))
        near = np.hypot(*(middles - metres).T) <= NEAR_METRES
        # Incidents are in order, so that the last one is kept.
        since[some, near] = ((issues.seconds[some] - at) / 60)[:, None]
    return np.searchsorted(SINCE_MINUTES[1:], since)


def middles_of(city: City, in_coverage: np.ndarray) -> np.ndarray:
    """Middles of the covered cells in metres, shape (cells, 2)."""
    return Plane.of(city).metres(np.column_stack(cell_middles(city, *np.nonzero(in_coverage))))


@dataclass(frozen=True)
class Scores:
    """Sums of one fold by (bin, week), of all days (False) and of those without fireworks (True), and rows by bin."""

    positives: dict[bool, np.ndarray]
    sums: dict[str, dict[bool, np.ndarray]]
    losses: dict[str, dict[bool, np.ndarray]]
    rows: np.ndarray


def scores_of(
    history: HourlyHistory, issues: Issues, bins: np.ndarray, forecasts: dict[str, np.ndarray], observed: np.ndarray
) -> Scores:
    """Scores of forecasts (expected incidents, each (issues, cells))."""
    week = np.unique(weeks(history.starts[issues.hour]), return_inverse=True)[1]
    shape = (len(BINS), int(week.max()) + 1)
    group_count = shape[0] * shape[1]
    group = (bins * shape[1] + week[:, None]).ravel()
    ordinary = ~history.clock.fireworks[issues.hour][:, None]

    def by_group(values: np.ndarray) -> dict[bool, np.ndarray]:
        return {
            without: np.bincount(group, (values * ordinary if without else values).ravel(), group_count).reshape(shape)
            for without in (False, True)
        }

    sums, losses = {}, {}
    for name, expected in forecasts.items():
        probability = -np.expm1(-expected)
        sums[name], losses[name] = by_group(probability), by_group(log_losses(probability, observed))
    return Scores(by_group(observed.astype(np.float64)), sums, losses, np.bincount(bins.ravel(), minlength=len(BINS)))


def window_scores(
    history: HourlyHistory, stack: FittedMinutesStack, incidents: Incidents, window: range, ahead: EvenForecast
) -> dict[tuple[str, int], Scores]:
    """Scores of some hours by kind of issue and minutes; `ahead` are the forecasts of at least these hours."""
    starts = seconds_of(history.starts)
    quarters = (starts[window.start : window.stop, None] + 60 * np.array([0, 15, 30, 45])).ravel()
    scores = {}
    for kind, seconds in (("quarter", quarters), ("after", incidents.seconds + AFTER_SECONDS)):
        issues = Issues.within(history, window, seconds)
        bins, of_hours = bins_at(incidents, history, issues), ahead.at(issues.hour - window.start)
        triggered = issues.triggered(stack.process, incidents, history)
        for minutes, of_minutes in zip(MINUTES, triggered, strict=True):
            even = of_hours.ahead(issues.minute, minutes)
            forecasts = {
                EVEN: even,
                PROCESS: stack.process.expected(even, of_minutes),
                STACK: stack.expected(even, of_minutes, minutes),
            }
            observed = issues.observed(incidents, history, minutes)
            scores[kind, minutes] = scores_of(history, issues, bins, forecasts, observed)
    return scores


def fold_scores(fold: HourlyFold, incidents: Incidents, cache: Path) -> dict[tuple[str, int], Scores]:
    """Scores of the test window of a fold."""
    forecasts, history = fold_forecasts(fold, cache), fold.history
    known = incidents.within(-np.inf, seconds_of(history.starts)[fold.test.start])
    stack = fit_stack(
        known,
        history,
        train=forecasts.train,
        validation=fold.validation,
        ahead=forecasts.validation,
        both=forecasts.both,
    )
    tell(f"{history.city.name} {fold.cutoff}", stack)
    return window_scores(history, stack, incidents, fold.test, forecasts.test)


def tell(name: str, stack: FittedMinutesStack) -> None:
    """What was fitted."""
    process = stack.process
    weights = "; ".join(
        f"{minutes} min {', '.join(f'{name} {weight:.2f}' for name, weight in one.items())}"
        for minutes, one in stack.weights.items()
    )
    print(
        f"- {name}: {process.in_words} Background {process.background:.2f} of level {process.level:.2f}, after the hour "
        f"{process.known_share:.2f}; {process.incidents:,} incidents, {process.gain:+.3f} nats each. {weights}.",
        flush=True,
    )


def past_of(fold: HourlyFold, incidents: Incidents, cache: Path) -> dict[int, Past]:
    """By minutes, what the members say of the nowcasts of the validation window, with the process fitted before it."""
    forecasts, history = fold_forecasts(fold, cache), fold.history
    process = fit_minutes(incidents, history, *forecasts.train)
    issues = Issues.of_nowcasts(history, fold.validation, incidents)
    issues = issues.where(~history.clock.fireworks[issues.hour])
    at = issues.hour - fold.validation.start
    of_hours, everything = forecasts.validation.at(at), np.ones(len(at), bool)
    pasts = {}
    for minutes, triggered in zip(MINUTES, issues.triggered(process, incidents, history), strict=True):
        even = of_hours.ahead(issues.minute, minutes)
        logits = member_logits(even, process.expected(even, triggered))
        observed = issues.observed(incidents, history, minutes)
        pasts[minutes] = Past(history.city.name, MEMBERS, logits, observed, at // WEEK_HOURS, everything)
    return pasts


def later_half(fold: HourlyFold, incidents: Incidents, cache: Path, prior: Weights) -> dict[tuple[str, int], Scores]:
    """Scores of the second half of the validation window, by the process of the training hours and weights of the first half."""
    forecasts, history, window = fold_forecasts(fold, cache), fold.history, fold.validation
    middle = (window.start + window.stop) // 2
    first, second = range(window.start, middle), range(middle, window.stop)
    early, late = (forecasts.validation.at(np.array(part) - window.start) for part in (first, second))
    known = incidents.within(-np.inf, seconds_of(history.starts)[middle])
    stack = fit_stack(
        known, history, train=forecasts.train, validation=first, ahead=early, both=forecasts.train, prior=prior
    )
    tell(f"{history.city.name}, second half before {fold.cutoff}", stack)
    return window_scores(history, stack, incidents, second, late)


def show(title: str, windows: list[Scores], bins: Iterable[str]) -> None:
    """One table, a line for each bin and one for all."""
    print(f"\n### {title}\n")
    print(
        f"| last incident within {NEAR_METRES:.0f} m | forecasts | positives | came/even | came/process | came/stack | "
        "gain of the process over even (90%) | of the stack | without firework days: process | stack |"
    )
    print("| --- " * 10 + "|")
    named = {name: [BINS.index(name)] for name in bins}
    for name, chosen in ({"any": list(range(len(BINS)))} | named).items():
        positives = sum(window.positives[False][chosen].sum() for window in windows)
        came = [
            positives / sum(window.sums[model][False][chosen].sum() for window in windows) if positives else np.nan
            for model in FORECASTS
        ]
        gains = [gain(windows, model, chosen, without) for without in (False, True) for model in (PROCESS, STACK)]
        rows = sum(int(window.rows[chosen].sum()) for window in windows)
        ratios = " | ".join(f"{one:.2f}" for one in came)
        print(f"| {name} | {rows:,} | {positives:,.0f} | {ratios} | {' | '.join(gains)} |", flush=True)


def gain(windows: list[Scores], model: str, chosen: list[int], without: bool) -> str:
    """Gain of a forecast in nats per positive, with its interval."""
    losses = {
        name: np.concatenate([window.losses[name][without][chosen].sum(axis=0) for window in windows])
        for name in (model, EVEN)
    }
    positives = np.concatenate([window.positives[without][chosen].sum(axis=0) for window in windows])
    return weekly_gain(WeeklySums(positives, losses), model, EVEN).text("+.3f")


def show_city(city: str, windows: list[dict[tuple[str, int], Scores]]) -> None:
    """The tables of a city."""
    for minutes in MINUTES:
        title = f"{city}, next {minutes} min, from every quarter of an hour"
        show(title, [window["quarter", minutes] for window in windows], BINS)
    for minutes in MINUTES:
        title = f"{city}, next {minutes} min, a minute after an incident"
        show(title, [window["after", minutes] for window in windows], BINS[:1])


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=CITIES)
    arguments.add_argument("--before", action="store_true", help="days before the test windows instead")
    chosen = arguments.parse_args()
    incidents = {city: incidents_of(city, chosen.data, chosen.cache) for city in chosen.cities}
    folds = {city: hourly_folds(city, chosen.data, chosen.cache) for city in chosen.cities}
    if not chosen.before:
        results = {
            city: [fold_scores(fold, incidents[city], chosen.cache) for fold in folds[city]] for city in chosen.cities
        }
    else:
        pasts = {city: past_of(folds[city][0], incidents[city], chosen.cache) for city in chosen.cities}
        results = {}
        for city in (None, *chosen.cities):
            others = [past for name, past in pasts.items() if name != city]
            prior = (
                {
                    minutes: dict(zip(MEMBERS, shared_weights([one[minutes] for one in others]).tolist(), strict=True))
                    for minutes in MINUTES
                }
                if others
                else PRIOR_WEIGHTS
            )
            print(f"- learned without {city or 'none'}: {prior}", flush=True)
            if city is not None:
                results[city] = [later_half(folds[city][0], incidents[city], chosen.cache, prior)]
    for city, windows in results.items():
        show_city(city, windows)


if __name__ == "__main__":
    main()
