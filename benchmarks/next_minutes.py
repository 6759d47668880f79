"""The next 15 to 60 minutes on real cities: `python benchmarks/next_minutes.py --data FOLDER --cache FOLDER [--cities ...]`.

The folds of `next_hours.py`. In each, the stack of the next hours is fitted on the days before the cutoff, and the lift table on
its forecasts of the two years before it. Both forecast, from every quarter of an hour of the test quarter and one minute after
each incident, whether a new incident begins in a cell. Prints Markdown: observed over forecast incidents, and the gain of the lift
table in nats per positive over the hour's forecast spread evenly, with the 90% interval of a weekly block bootstrap, by the time
since the last incident within `NEAR_METRES` of the middle of the cell, with and without firework days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from benchmark_cities import BENCHMARKS, HourlyFold, city_of, dated, hourly_folds, parser, raw_alerts

from shotspotter_assets.calendar.dates import weeks
from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.evaluation.gains import WeeklySums, weekly_gain
from shotspotter_assets.geometry.cells import Plane, cell_middles
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import hourly_forecaster
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.lift_table import (
    FIT_HOURS,
    MINUTES,
    LiftTable,
    expected_by_hours,
    fit_lifts,
    spread_evenly,
)
from shotspotter_assets.models.probability import log_losses

NEAR_METRES: Final = 500.0
SINCE_MINUTES: Final = (0, 15, 30, 60, 120, 240)
BINS: Final = (*(f"{low} to {high} min" for low, high in pairwise(SINCE_MINUTES)), "longer")
EVEN: Final = "hour, spread evenly"
LIFTED: Final = "lift table"
FORECASTS: Final = (EVEN, LIFTED)
AFTER_SECONDS: Final = 60  # from an incident to the nowcast that uses it
CITIES: Final = ("washington_dc", "oakland", "cincinnati")


@dataclass(frozen=True)
class FoldForecasts:
    """Incidents that the stack of hours expects in a fold, each (hours, cells)."""

    hours: range  # the last two years before the cutoff
    fitted_on: np.ndarray  # within an hour, of these hours
    one_hour: np.ndarray  # within an hour, of the test hours but the last
    two_hours: np.ndarray  # within two


@dataclass(frozen=True)
class Issues:
    """Instants to forecast from: seconds since 1970, hour of the history and minutes past it, each of shape (issues,)."""

    seconds: np.ndarray
    hour: np.ndarray
    minute: np.ndarray

    @classmethod
    def within(cls, history: HourlyHistory, hours: range, seconds: np.ndarray) -> "Issues":
        """The sorted instants in the hours, without the last two hours, so that the minutes ahead lie there too."""
        starts = seconds_of(history.starts)
        chosen = seconds[(seconds >= starts[hours.start]) & (seconds < starts[hours.stop - 2])]
        hour = np.searchsorted(starts, chosen, "right") - 1
        return cls(chosen, hour, (chosen - starts[hour]) / 60)

    def observed(self, incidents: Incidents, history: HourlyHistory, minutes: float) -> np.ndarray:
        """True where an incident begins in a cell within some minutes, shape (issues, cells)."""
        cell = incidents.covered_cells(history.in_coverage)
        observed = np.zeros((len(self.seconds), int(history.in_coverage.sum())), bool)
        first = np.searchsorted(incidents.seconds, self.seconds, "right")
        stop = np.searchsorted(incidents.seconds, self.seconds + 60 * minutes, "right")
        for issue in np.flatnonzero(stop > first):
            of_issue = cell[first[issue] : stop[issue]]
            observed[issue, of_issue[of_issue >= 0]] = True
        return observed


def incidents_of(name: str, data: Path | None, cache: Path) -> Incidents:
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
    latitude, plane, (rows, columns) = alerts["latitude"].to_numpy(), Plane.of(city.box), city.shape
    rounded = np.mean(np.abs(latitude * 1000 - np.round(latitude * 1000)) < 1e-6)
    print(
        f"- {name}: {len(alerts):,} alerts, {len(incidents):,} incidents; {whole_minutes:.1%} of the times are whole minutes, "
        f"{rounded:.0%} of the latitudes have three decimals; cells of {plane.width / columns:.0f} x {plane.height / rows:.0f} m",
        flush=True,
    )
    return incidents


def fold_forecasts(fold: HourlyFold, cache: Path) -> FoldForecasts:
    """Forecasts of the stack of hours; those that the cache lacks are fitted."""
    history, kept = fold.history, cache / f"{fold.history.city.name}_{fold.cutoff}_hours.npz"
    hours = range(max(fold.validation.stop - FIT_HOURS, WARM_UP_HOURS), fold.validation.stop)
    test = np.arange(fold.test.start, fold.test.stop - 1)
    if not kept.exists():
        stack = hourly_forecaster("hourly_stack").fit(history, fold.train, fold.validation, FitContext(horizons=(1, 2)))
        made = {"fitted_on": expected_by_hours(stack, history, np.array(hours))}
        made |= {f"ahead_{horizon}": expected_by_hours(stack, history, test, horizon) for horizon in (1, 2)}
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, **{name: values.astype(np.float32) for name, values in made.items()})
        partly.replace(kept)
    found = {name: values.astype(np.float64) for name, values in np.load(kept).items()}
    return FoldForecasts(hours, found["fitted_on"], found["ahead_1"], found["ahead_2"])


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
    return Plane.of(city.box).metres(np.column_stack(cell_middles(city, *np.nonzero(in_coverage))))


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


def fold_scores(fold: HourlyFold, incidents: Incidents, cache: Path) -> dict[tuple[str, int], Scores]:
    """Scores of the test window of a fold, by kind of issue and minutes."""
    forecasts, history, window = fold_forecasts(fold, cache), fold.history, fold.test
    starts = seconds_of(history.starts)
    known = incidents.within(-np.inf, starts[window.start])
    lifts = fit_lifts(known, history, forecasts.hours, forecasts.fitted_on)
    print(f"- {history.city.name} {fold.cutoff}: {lifts.chosen}", flush=True)
    quarters = (starts[window.start : window.stop, None] + 60 * np.array([0, 15, 30, 45])).ravel()
    scores = {}
    for kind, seconds in (("quarter", quarters), ("after", incidents.seconds + AFTER_SECONDS)):
        issues = Issues.within(history, window, seconds)
        bins, at = bins_at(incidents, history, issues), issues.hour - window.start
        lifted = np.stack([of_issue(lifts, incidents, history, instant) for instant in issues.seconds])
        for number, minutes in enumerate(MINUTES):
            even = spread_evenly(forecasts.one_hour[at], forecasts.two_hours[at], issues.minute, minutes)
            observed = issues.observed(incidents, history, minutes)
            pair = {EVEN: even, LIFTED: even * lifted[:, number]}
            scores[kind, minutes] = scores_of(history, issues, bins, pair, observed)
    return scores


def of_issue(lifts: LiftTable, incidents: Incidents, history: HourlyHistory, instant: float) -> np.ndarray:
    """The lifts from an instant on, shape (len(MINUTES), cells), in single precision."""
    return lifts.lift(incidents, history, instant, np.array(MINUTES, np.float64)).astype(np.float32)


def show(title: str, windows: list[Scores], bins: Iterable[str]) -> None:
    """One table, a line for each bin and one for all."""
    print(f"\n### {title}\n")
    print(
        f"| last incident within {NEAR_METRES:.0f} m | forecasts | positives | observed/even | observed/lifted | "
        "gain over even (90%) | without firework days |"
    )
    print("| --- " * 7 + "|")
    named = {name: [BINS.index(name)] for name in bins}
    for name, chosen in ({"any": list(range(len(BINS)))} | named).items():
        positives = sum(window.positives[False][chosen].sum() for window in windows)
        came = [
            positives / sum(window.sums[model][False][chosen].sum() for window in windows) if positives else np.nan
            for model in FORECASTS
        ]
        gains = [gain(windows, model, chosen, without) for without in (False, True) for model in (LIFTED,)]
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
    arguments.add_argument("--folds", type=int, default=4, help="number of test quarters")
    chosen = arguments.parse_args()
    for city in chosen.cities:
        incidents = incidents_of(city, chosen.data, chosen.cache)
        folds = hourly_folds(city, chosen.data, chosen.cache)[: chosen.folds]
        show_city(city, [fold_scores(fold, incidents, chosen.cache) for fold in folds])


if __name__ == "__main__":
    main()
