"""Gain of refitting the models of hours each hour: `python benchmarks/hourly_retraining.py --cache FOLDER`.

In the first month of the last test quarter of Washington DC and of the simulated city, the next hour is forecast from every
23rd hour. The stack of hours, fitted on the half year before, ends its fit at that hour or at the last midnight; both read the
alerts up to the hour. Prints gains in nats per positive, with 90% intervals of a bootstrap of days. Forecasts are kept in the
cache, so that a run that was stopped goes on.
"""

from dataclasses import replace
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from benchmark_cities import BENCHMARKS, PACKAGED, history_of, parser, print_head, print_row

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.estimates import WeeklySums, weekly_gain
from shotspotter_assets.grid.coverage import estimate_coverage
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.forecaster import FitContext, log_losses
from shotspotter_assets.models.forecaster_registry import hourly_forecaster
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.trained_models import HOURLY_STACK

CITIES: Final = (PACKAGED, "simulated")
DAYS: Final = 180  # before the month, to train and validate on: few, so that a refit changes much
VALIDATION_HOURS: Final = 60 * DAY_HOURS
STEP: Final = 23  # hours between two forecasts


def month_of(name: str, data: Path | None, cache: Path) -> tuple[HourlyHistory, int]:
    """Return the hours of a city's month and of the half year before it, and the first hour of the month."""
    history = history_of(name, data, cache)
    cutoff = BENCHMARKS[name].cutoffs[-2]
    before = (cutoff - history.days[0]).days
    every = history.hourly(estimate_coverage(history.daily_counts[:before].sum(axis=1, dtype=np.int64)))
    days = (cutoff - timedelta(days=DAYS), cutoff, date(cutoff.year, cutoff.month + 1, 1))
    first, month, end = (every.hour_at(day_start(day, history.city.zone)) for day in days)
    return replace(every, first_day=days[0], counts=every.counts[first:end]), month - first


def midnight_before(hours: HourlyHistory, issue: int) -> int:
    """Return the first hour of the local day of an hour."""
    instant = hours.starts[issue].item().replace(tzinfo=UTC)
    return hours.hour_at(day_start(instant.astimezone(hours.city.zone).date(), hours.city.zone))


def forecast(hours: HourlyHistory, stop: int, issue: int, cache: Path) -> np.ndarray:
    """Return the forecast (cells,) from an hour of the stack that is fitted on the hours before `stop`."""
    kept = cache / f"{hours.city.name}_{stop}_{issue}.npy"
    if not kept.exists():
        past = replace(hours, counts=hours.counts[:stop])
        train = range(stop - VALIDATION_HOURS)
        stack = hourly_forecaster(HOURLY_STACK)
        fitted = stack.fit(past, train, range(train.stop, stop), FitContext(horizons=(1,)))
        np.save(kept, fitted.predict(hours, [issue], 1))
        print(kept.stem, flush=True)
    return np.load(kept).ravel()


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    options = parser(__doc__, CITIES, choices=CITIES).parse_args()
    print_head("city", "hours", "positives", "hourly over daily")
    for name in options.cities:
        hours, month = month_of(name, options.data, options.cache)
        issues = range(month, len(hours), STEP)
        stops = {"hourly": [*issues], "daily": [midnight_before(hours, issue) for issue in issues]}
        observed = hours.occupied[issues]
        losses = {}
        for cadence, of_issues in stops.items():
            forecasts = [forecast(hours, *pair, options.cache) for pair in zip(of_issues, issues, strict=True)]
            losses[cadence] = log_losses(np.array(forecasts), observed).sum(axis=1)
        gain = weekly_gain(WeeklySums(observed.sum(axis=1).astype(float), losses), "hourly", "daily")
        print_row(name, len(issues), int(observed.sum()), gain.text("+.4f"))


if __name__ == "__main__":
    main()
