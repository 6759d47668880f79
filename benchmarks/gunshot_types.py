"""Types of alerts on real cities: `python benchmarks/gunshot_types.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city, every typed alert of the quarter forecast from the days before its own. Prints Markdown: log
loss and Brier score per alert against the class mix of the last 90 days, with 90% intervals of a weekly block bootstrap.
"""

import argparse
from datetime import timedelta
from pathlib import Path

import numpy as np
from hourly_data import read_hours
from next_day import BENCHMARKS

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.calendar.weekdays import weeks
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.gunshot_types import (
    GunshotTypes,
    TypedAlerts,
    trailing_mix,
    type_losses,
    typed_alerts,
)
from shotspotter_assets.models.hourly_history import HourlyHistory

VALIDATION_SHARE = 0.15
DRAWS = 1000


def type_brier(probability: np.ndarray, alerts: TypedAlerts) -> np.ndarray:
    """Brier score, summed over the types, of each row's alerts together, shape (rows,)."""
    return alerts.number * ((probability - np.eye(probability.shape[1])[alerts.gunshot_type]) ** 2).sum(axis=1)


def city_scores(name: str, data: Path, cache: Path) -> np.ndarray:
    """Rows of all folds: week, alerts, log loss and Brier score of the mix and of the model, whether a firework day."""
    of = BENCHMARKS[name]
    city, counts = read_hours(name, data, cache)
    axis = HourlyHistory(city, of.start, counts, np.ones(city.shape, bool))
    scores = []
    for cutoff, end in zip(of.cutoffs[:-1], of.cutoffs[1:], strict=True):
        days = (cutoff - of.start).days
        checked = of.start + timedelta(days=days - round(days * VALIDATION_SHARE))
        bounds = [axis.hour_at(day_start(day, city.zone)) for day in (checked, cutoff, end)]
        covered = estimate_coverage(counts[: bounds[0]].sum(axis=1))
        history = HourlyHistory(city, of.start, counts[: bounds[2]], covered)
        model = GunshotTypes.fit(history, range(bounds[0]), range(bounds[0], bounds[1]))
        alerts = typed_alerts(history).within(range(bounds[1], bounds[2]))
        issues = history.day_beginnings(alerts.hour)
        mix, forecast = trailing_mix(history, issues), model.predict(history, issues, alerts.hour, alerts.cell)
        week = weeks(history.starts[alerts.hour])
        losses = [score(p, alerts) for score in (type_losses, type_brier) for p in (mix, forecast)]
        scores.append(np.stack([week, alerts.number, *losses, history.clock.fireworks[alerts.hour]], axis=1))
        print(f"{name} {cutoff}: weight {model.regression_weight}, validation {model.validation}", flush=True)
    return np.concatenate(scores)


def show(title: str, rows: np.ndarray) -> None:
    """One line of the table for each score, with and without firework days."""
    for kind, kept in (("all days", rows), ("without firework days", rows[rows[:, -1] == 0])):
        at = np.unique(kept[:, 0], return_inverse=True)[1]
        sums = np.stack([np.bincount(at, kept[:, column]) for column in range(1, 6)], axis=1)
        drawn = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS) @ sums
        for score, mix in (("log loss", 1), ("Brier score", 3)):
            low, high = np.quantile((drawn[:, mix] - drawn[:, mix + 1]) / drawn[:, 0], [0.05, 0.95])
            number, trailing, model = (sums[:, column].sum() for column in (0, mix, mix + 1))
            gain = (trailing - model) / number
            print(
                f"| {title} | {kind} | {score} | {number:.0f} | {trailing / number:.4f} | {model / number:.4f} | "
                f"{gain:+.4f} ({low:+.4f}, {high:+.4f}) |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--cities", nargs="+", default=["washington_dc", "springfield"])
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    of_cities = {name: city_scores(name, arguments.data, arguments.cache) for name in arguments.cities}
    print(
        "\n| city | days | score | alerts | mix of 90 days | model | gain (90%) |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, rows in of_cities.items():
        show(name, rows)
