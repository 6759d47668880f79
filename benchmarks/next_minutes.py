"""The next 15 to 60 minutes on real cities: `python benchmarks/next_minutes.py --data FOLDER --cache FOLDER [--cities ...]`.

The folds of `next_hours.py`. In each, the stack of the next hours is fitted on the days before the cutoff, and the lift table on
its forecasts of the two years before it. Both forecast, from a minute after each incident of the test quarter, whether a new
incident begins in a cell. Prints Markdown: observed over forecast incidents, and the gain of the lift table in nats per positive
over the hour's forecast spread evenly, with the 90% interval of a weekly block bootstrap, on all days and on ordinary days.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from benchmark_cities import HourlyFold, alerts_of, city_of, hourly_folds, parser, pooled_gain, print_head, print_row

from shotspotter_assets.evaluation.gains import WeeklySums, weekly_sums
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.next_hours import WARM_UP_HOURS
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.lift_table import (
    FIT_HOURS,
    MINUTES,
    expected_by_hours,
    fit_lifts,
    spread_evenly,
)
from shotspotter_assets.models.probability import log_losses

EVEN: Final = "hour, spread evenly"
LIFTED: Final = "lift table"
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


@dataclass(frozen=True)
class Scores:
    """Scores of one fold: weekly sums of all and of ordinary days; (forecasts, positives, expected even and lifted)."""

    all_days: WeeklySums
    ordinary: WeeklySums
    totals: np.ndarray


def fold_forecasts(fold: HourlyFold, cache: Path) -> FoldForecasts:
    """Forecasts of the stack of hours; those that the cache lacks are fitted."""
    history, kept = fold.history, cache / f"{fold.history.city.name}_{fold.cutoff}_hours.npz"
    hours = range(max(fold.validation.stop - FIT_HOURS, WARM_UP_HOURS), fold.validation.stop)
    test = np.arange(fold.test.start, fold.test.stop - 1)
    if not kept.exists():
        stack = forecaster("hourly_stack").fit(history, fold.train, fold.validation, FitContext(horizons=(1, 2)))
        made = {"fitted_on": expected_by_hours(stack, history, np.array(hours))}
        made |= {f"ahead_{horizon}": expected_by_hours(stack, history, test, horizon) for horizon in (1, 2)}
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, **{name: values.astype(np.float32) for name, values in made.items()})
        partly.replace(kept)
    found = {name: values.astype(np.float64) for name, values in np.load(kept).items()}
    return FoldForecasts(hours, found["fitted_on"], found["ahead_1"], found["ahead_2"])


def fold_scores(fold: HourlyFold, incidents: Incidents, cache: Path) -> dict[int, Scores]:
    """Scores of the test window of a fold by minutes, from a minute after each incident."""
    forecasts, history, window = fold_forecasts(fold, cache), fold.history, fold.test
    known = incidents.within(-np.inf, seconds_of(history.starts)[window.start])
    lifts = fit_lifts(known, history, forecasts.hours, forecasts.fitted_on)
    print(f"- {history.city.name} {fold.cutoff}: {lifts.chosen}", flush=True)
    issues = Issues.within(history, window, incidents.seconds + AFTER_SECONDS)
    at, instants, scores = issues.hour - window.start, history.starts[issues.hour], {}
    ordinary = ~history.clock.fireworks[issues.hour]
    of_minutes = np.array(MINUTES, np.float64)
    lifted = np.stack([lifts.lift(incidents, history, second, of_minutes) for second in issues.seconds])
    for number, minutes in enumerate(MINUTES):
        even = spread_evenly(forecasts.one_hour[at], forecasts.two_hours[at], issues.minute, minutes)
        observed = issues.observed(incidents, history, minutes)
        chances = {EVEN: -np.expm1(-even), LIFTED: -np.expm1(-even * lifted[:, number])}
        losses = {name: log_losses(chance, observed).sum(axis=1) for name, chance in chances.items()}
        positives = observed.sum(axis=1)
        of_ordinary = {name: loss * ordinary for name, loss in losses.items()}
        scores[minutes] = Scores(
            weekly_sums(instants, positives, losses),
            weekly_sums(instants, positives * ordinary, of_ordinary),
            np.array([observed.size, positives.sum(), *(chance.sum() for chance in chances.values())]),
        )
    return scores


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=CITIES)
    arguments.add_argument("--folds", type=int, default=4, help="number of test quarters")
    chosen = arguments.parse_args()
    rows = []
    for city in chosen.cities:
        folds = hourly_folds(city, chosen.data, chosen.cache)[: chosen.folds]
        incidents = Incidents.of_alerts(alerts_of(city, chosen.data), city_of(city))
        scores = [fold_scores(fold, incidents, chosen.cache) for fold in folds]
        for minutes in MINUTES:
            windows = [of_fold[minutes] for of_fold in scores]
            forecasts, positives, *expected = np.sum([window.totals for window in windows], axis=0)
            gains = [
                pooled_gain([getattr(window, days) for window in windows], LIFTED, EVEN).text("+.3f")
                for days in ("all_days", "ordinary")
            ]
            ratios = [f"{positives / one:.2f}" for one in expected]
            rows.append((city, minutes, f"{forecasts:,.0f}", f"{positives:,.0f}", *ratios, *gains))
    print_head("city", "minutes", "forecasts", "positives", "observed/even", "observed/lifted", "gain", "ordinary days")
    for row in rows:
        print_row(*row)


if __name__ == "__main__":
    main()
