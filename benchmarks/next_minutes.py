"""The next 15 to 60 minutes on real cities: `python benchmarks/next_minutes.py --data FOLDER --cache FOLDER [--cities ...]`.

The folds of `next_hours.py`. In each, the stack of the next hours is fitted on the days before the cutoff, and the process of the
next minutes on its forecasts of the two years before it. Both forecast, from every quarter of an hour of the test quarter and
one minute after each incident, whether a new incident begins in a cell. Prints Markdown: what came over what was forecast, and the
gain of the process in nats per positive over the hour's forecast spread evenly, with the 90% interval of a weekly block
bootstrap, by the time since the last incident within `NEAR_METRES` of the middle of the cell, with and without firework days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from benchmark_cities import BENCHMARKS, HourlyFold, city_of, dated, hourly_folds, parser, raw_alerts

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.calendar.weekdays import weeks
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.evaluation.gains import WeeklySums, weekly_gain
from shotspotter_assets.gridding.cells import Plane, cell_middles
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_hours.stack import HourlyStack
from shotspotter_assets.models.next_minutes.forecast import FIT_HOURS, MINUTES, EvenForecast
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import FittedMinutes, fit_minutes
from shotspotter_assets.models.probability import log_losses

NEAR_METRES: Final = 500.0
SINCE_MINUTES: Final = (0, 15, 30, 60, 120, 240)
BINS: Final = (
    *(f"{low} to {high} min" for low, high in pairwise(SINCE_MINUTES)),
    "longer",
)
AFTER_SECONDS: Final = 60
EVEN: Final = "hour, spread evenly"
PROCESS: Final = "process"


@dataclass(frozen=True)
class HourForecasts:
    """Expected incidents by the hour's forecast, of hours from `first` on, each (hours, cells)."""

    first: int
    this: np.ndarray
    """Of the hour that begins."""
    following: np.ndarray
    """Of the hour after it, forecast at the same time."""

    def even(self, hour: np.ndarray, minute: np.ndarray, minutes: int) -> np.ndarray:
        """Of the `minutes` from `minute` past each hour on, shape (issues, cells)."""
        at = hour - self.first
        return EvenForecast(self.this[at], self.following[at]).ahead(minute, minutes)


def incidents_of(name: str, data: Path, cache: Path) -> Incidents:
    """All incidents of a city, through the project's own reading and cleaning."""
    city, benchmark = city_of(name), BENCHMARKS[name]
    kept = cache / f"{name}_alerts.parquet"
    if not kept.exists():
        days = days_between(benchmark.start, benchmark.cutoffs[-1])
        cleaned = clean_alerts(raw_alerts(city, data, days), days, city)
        pq.write_table(dated({day: result.alerts for day, result in cleaned.items()}), kept)
    return Incidents.of_alerts(pq.read_table(kept), city)


def hour_forecasts(fold: HourlyFold, cache: Path) -> HourForecasts:
    """The stack's forecasts of each hour from two years before the cutoff to the end of the test window."""
    kept = cache / f"{fold.history.city.name}_{fold.cutoff}_hour_forecasts.npz"
    if not kept.exists():
        stack = HourlyStack((1, 2)).fit(fold.history, fold.train, fold.validation)
        hours = np.arange(max(fold.validation.stop - FIT_HOURS, WARM_UP_HOURS), fold.test.stop - 1)
        made = EvenForecast.of(stack, fold.history, hours)
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, first=hours[0], this=made.this.astype(np.float32), following=made.following.astype(np.float32))
        partly.replace(kept)
    forecasts = np.load(kept)
    return HourForecasts(
        int(forecasts["first"]), *(forecasts[name].astype(np.float64) for name in ("this", "following"))
    )


@dataclass(frozen=True)
class Issues:
    """From when is forecast: seconds since 1970, hour and minutes past it; each (issues,)."""

    seconds: np.ndarray
    hour: np.ndarray
    minute: np.ndarray

    @classmethod
    def at(cls, fold: HourlyFold, seconds: np.ndarray) -> "Issues":
        """Those in the test window, but for its last two hours."""
        starts = seconds_of(fold.history.starts)
        chosen = seconds[(seconds >= starts[fold.test.start]) & (seconds < starts[fold.test.stop - 2])]
        hour = np.searchsorted(starts, chosen, "right") - 1
        return cls(chosen, hour, (chosen - starts[hour]) / 60)


def triggered_at(fitted: FittedMinutes, fold: HourlyFold, incidents: Incidents, issues: Issues) -> np.ndarray:
    """`FittedMinutes.triggered` of each issue, shape (issues, periods, cells)."""
    found = [fitted.triggered(incidents, fold.history, at, np.array(MINUTES)) for at in issues.seconds]
    return np.array(found)


def observed_at(incidents: Incidents, fold: HourlyFold, issues: Issues, minutes: int) -> np.ndarray:
    """Whether an incident begins in each cell within some minutes, shape (issues, cells)."""
    cell = incidents.covered_cells(fold.history.in_coverage)
    observed = np.zeros((len(issues.seconds), int(fold.history.in_coverage.sum())), bool)
    first = np.searchsorted(incidents.seconds, issues.seconds, "right")
    stop = np.searchsorted(incidents.seconds, issues.seconds + 60 * minutes, "right")
    for issue in np.flatnonzero(stop > first):
        of_issue = cell[first[issue] : stop[issue]]
        observed[issue, of_issue[of_issue >= 0]] = True
    return observed


def bins_at(incidents: Incidents, fold: HourlyFold, issues: Issues) -> np.ndarray:
    """Which of `BINS` the last incident near each cell is in, shape (issues, cells)."""
    middles = middles_of(fold.history.city, fold.history.in_coverage)
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
    fold: HourlyFold, issues: Issues, bins: np.ndarray, forecasts: dict[str, np.ndarray], observed: np.ndarray
) -> Scores:
    """Scores of forecasts (expected incidents, each (issues, cells))."""
    week = np.unique(weeks(fold.history.starts[issues.hour]), return_inverse=True)[1]
    shape = (len(BINS), int(week.max()) + 1)
    group_count = shape[0] * shape[1]
    group = (bins * shape[1] + week[:, None]).ravel()
    ordinary = ~fold.history.clock.fireworks[issues.hour][:, None]

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


def fold_scores(fold: HourlyFold, incidents: Incidents, cache: Path) -> dict[tuple[str, int], Scores]:
    """Scores of one fold by kind of issue and minutes."""
    hourly, history = hour_forecasts(fold, cache), fold.history
    starts = seconds_of(history.starts)
    hours = range(hourly.first, fold.validation.stop)
    before = incidents.within(-np.inf, starts[fold.test.start])
    fitted = fit_minutes(before, history, hours, hourly.this[: len(hours)])
    print(
        f"- {history.city.name} {fold.cutoff}: {fitted.in_words} Background {fitted.background:.2f} of level {fitted.level:.2f}, "
        f"after the hour {fitted.known_share:.2f}; {fitted.incidents:,} incidents, {fitted.gain:+.3f} nats each.",
        flush=True,
    )
    quarters = (starts[fold.test.start : fold.test.stop, None] + 60 * np.array([0, 15, 30, 45])).ravel()
    scores = {}
    for kind, seconds in (("quarter", quarters), ("after", incidents.seconds + AFTER_SECONDS)):
        issues = Issues.at(fold, seconds)
        bins, triggered = bins_at(incidents, fold, issues), triggered_at(fitted, fold, incidents, issues)
        for number, minutes in enumerate(MINUTES):
            even = hourly.even(issues.hour, issues.minute, minutes)
            forecasts = {EVEN: even, PROCESS: fitted.expected(even, triggered[:, number])}
            observed = observed_at(incidents, fold, issues, minutes)
            scores[kind, minutes] = scores_of(fold, issues, bins, forecasts, observed)
    return scores


def show(title: str, folds: list[Scores], bins: Iterable[str]) -> None:
    """One table, a line for each bin and one for all."""
    print(f"\n### {title}\n")
    print(
        f"| last incident within {NEAR_METRES:.0f} m | forecasts | positives | came/even | came/process | gain over even (90%) | "
        "without firework days |"
    )
    print("| --- " * 7 + "|")
    named = {name: [BINS.index(name)] for name in bins}
    for name, chosen in ({"any": list(range(len(BINS)))} | named).items():
        positives = sum(fold.positives[False][chosen].sum() for fold in folds)
        came = [
            positives / sum(fold.sums[model][False][chosen].sum() for fold in folds) if positives else np.nan
            for model in (EVEN, PROCESS)
        ]
        gains = [gain(folds, chosen, without) for without in (False, True)]
        rows = sum(int(fold.rows[chosen].sum()) for fold in folds)
        print(f"| {name} | {rows:,} | {positives:,.0f} | {came[0]:.2f} | {came[1]:.2f} | {' | '.join(gains)} |")


def gain(folds: list[Scores], chosen: list[int], without: bool) -> str:
    """Gain of the process in nats per positive, with its interval."""
    losses = {
        name: np.concatenate([fold.losses[name][without][chosen].sum(axis=0) for fold in folds])
        for name in (PROCESS, EVEN)
    }
    positives = np.concatenate([fold.positives[without][chosen].sum(axis=0) for fold in folds])
    return weekly_gain(WeeklySums(positives, losses), PROCESS, EVEN).text("+.3f")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    chosen = parser(__doc__, cities=["oakland", "cincinnati"]).parse_args()
    results: dict[str, list[dict[tuple[str, int], Scores]]] = {}
    for city in chosen.cities:
        incidents = incidents_of(city, chosen.data, chosen.cache)
        results[city] = [
            fold_scores(fold, incidents, chosen.cache) for fold in hourly_folds(city, chosen.data, chosen.cache)
        ]
    for city, folds in results.items():
        for minutes in MINUTES:
            show(
                f"{city}, next {minutes} min, from every quarter of an hour",
                [fold["quarter", minutes] for fold in folds],
                BINS,
            )
        for minutes in MINUTES:
            show(
                f"{city}, next {minutes} min, a minute after an incident",
                [fold["after", minutes] for fold in folds],
                BINS[:1],
            )


if __name__ == "__main__":
    main()
