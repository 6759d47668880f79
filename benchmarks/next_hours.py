"""The next 1 to 12 hours on real cities: `python benchmarks/next_hours.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city; each is fitted on the days before its cutoff and forecasts blocks of h hours that follow each
other through every day of the quarter. Prints Markdown, pooled over folds and over cities: gain in nats per positive
over the cell climatology, gain of the model over each baseline with the 90% interval of a weekly block bootstrap, and
the calibration of probabilities and of expected counts.
"""

import argparse
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hourly_data import read_hours
from next_day import BENCHMARKS

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.calendar.weekdays import weeks
from shotspotter_assets.evaluation.scores import calibration
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.climatology import Climatology
from shotspotter_assets.models.next_hours.features import ahead
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.probability import log_losses

VALIDATION_SHARE = 0.15
DRAWS = 1000


def fold_scores(name: str, cutoff: int, horizons: list[int], data: Path, cache: Path) -> dict[str, Any]:
    """Weekly sums of one fold's scores by horizon; from the cache where they are there."""
    kept = cache / f"{name}_{BENCHMARKS[name].cutoffs[cutoff]}_hours.json"
    scores = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [horizon for horizon in horizons if "expected_within" not in scores.get(str(horizon), {})]
    if not missing:
        return scores
    of = BENCHMARKS[name]
    city, counts = read_hours(name, data, cache)
    axis = HourlyHistory(city, of.start, counts, np.ones(city.shape, bool))
    days = (of.cutoffs[cutoff] - of.start).days
    bounds = [
        axis.hour_at(day_start(day, city.zone))
        for day in (
            of.start + timedelta(days=days - round(days * VALIDATION_SHARE)),
            of.cutoffs[cutoff],
            of.cutoffs[cutoff + 1],
        )
    ]
    covered = estimate_coverage(counts[: bounds[0]].sum(axis=1))
    history = HourlyHistory(city, of.start, counts[: bounds[2]], covered)
    train, validation, test = range(bounds[0]), range(bounds[0], bounds[1]), range(bounds[1], bounds[2])
    started = time.perf_counter()
    fitted = NextHours(horizons=tuple(missing)).fit(history, train, validation)
    seconds = time.perf_counter() - started
    baselines = [
        entry.forecaster(tuple(missing)).fit(history, train, validation)
        for entry in HOURLY_FORECASTERS.values()
        if entry.is_baseline
    ]
    for horizon in missing:
        issues = history.issues(test, horizon)
        forecasts = {
            baseline.name: baseline.predict(history, issues, horizon)
            for baseline in baselines
            if horizon in baseline.models
        }
        forecasts["model"] = fitted.predict(history, issues, horizon)
        observed = history.occupied_within(horizon)[issues]
        scores[str(horizon)] = weekly_sums(history, issues, forecasts, observed) | {"seconds_to_fit": seconds}
        before = history.issues(validation, horizon)
        scores[str(horizon)] |= count_scores(
            history, fitted.predict(history, before, horizon), before, forecasts["model"], issues, horizon
        )
        kept.write_text(json.dumps(scores))
        print(f"{name} {of.cutoffs[cutoff]} {horizon} h: fitted in {seconds:.0f} s", flush=True)
    return scores


def weekly_sums(
    history: HourlyHistory, issues: np.ndarray, forecasts: dict[str, np.ndarray], observed: np.ndarray
) -> dict[str, Any]:
    """Positives, log losses and predicted sums by week, and the calibration line of the model."""
    week = weeks(history.starts[issues])
    at = np.unique(week, return_inverse=True)[1]
    losses = {name: log_losses(p, observed).sum(axis=1) for name, p in forecasts.items()}
    ordinary = ~history.clock.fireworks[issues]
    slope, intercept = calibration(forecasts["model"].ravel(), observed.ravel())
    return {
        "positives": np.bincount(at, observed.sum(axis=1)).tolist(),
        "losses": {name: np.bincount(at, loss).tolist() for name, loss in losses.items()},
        "ordinary_positives": np.bincount(at, observed.sum(axis=1) * ordinary).tolist(),
        "ordinary_losses": {name: np.bincount(at, loss * ordinary).tolist() for name, loss in losses.items()},
        "predicted": {name: float(p.sum()) for name, p in forecasts.items()},
        "calibration": [slope, intercept],
        "rows": observed.size,
    }


def count_scores(
    history: HourlyHistory,
    fitted_on: np.ndarray,
    before: np.ndarray,
    forecast: np.ndarray,
    issues: np.ndarray,
    horizon: int,
) -> dict[str, Any]:
    """Expected against observed alerts, log scores of the counts beside Poisson's, coverage of the city's 80% interval."""
    fireworks = ahead(history.clock.fireworks, horizon) > 0
    totals = np.cumsum(np.concatenate([np.zeros((1, history.alerts.shape[1]), np.int64), history.alerts]), axis=0)
    counts, past = (totals[at + horizon] - totals[at] for at in (issues, before))
    model = AlertCounts.fit(past, fitted_on, fireworks[before])
    night = fireworks[issues, None]
    rate = -np.log1p(-forecast)
    from scipy.stats import poisson

    low, high = model.total_interval(forecast, night)
    of_city, total = model.total(forecast, night), counts.sum(axis=1)
    return {
        "alerts": int(total.sum()),
        "expected_alerts": float(model.expected(forecast, night).sum()),
        "ordinary_alerts": int(total[~night[:, 0]].sum()),
        "ordinary_expected_alerts": float(model.expected(forecast, night)[~night[:, 0]].sum()),
        "count_log_score": float(model.log_probability(counts, forecast, night).sum()),
        "poisson_log_score": float(poisson.logpmf(counts, rate).sum()),
        "intervals": len(issues),
        "within_interval": int(((total >= low) & (total <= high)).sum()),
        "expected_within": float((of_city.cdf(high) - of_city.cdf(low - 1)).sum()),
    }


def gain(folds: list[dict[str, Any]], over: str, kind: str = "") -> tuple[float, float, float]:
    """(gain of the model in nats per positive, low, high) with a 90% interval of a weekly block bootstrap."""
    losses, positives = f"{kind}losses", f"{kind}positives"
    gains = np.concatenate([np.subtract(fold[losses][over], fold[losses]["model"]) for fold in folds])
    count = np.concatenate([fold[positives] for fold in folds])
    drawn = np.random.default_rng(0).multinomial(len(gains), np.full(len(gains), 1 / len(gains)), size=DRAWS)
    low, high = np.quantile((drawn @ gains) / np.maximum(drawn @ count, 1), [0.05, 0.95])
    return gains.sum() / count.sum(), low, high


def show(title: str, folds: list[dict[str, Any]]) -> None:
    """One table: all models against the climatology, and the model against each."""
    names = [name for name in folds[0]["losses"] if name != "model"]
    positives = sum(sum(fold["positives"]) for fold in folds)
    print(f"\n### {title}: {sum(fold['rows'] for fold in folds):,} forecasts, {positives:,.0f} positives\n")
    print(
        "| forecast | gain over climatology | model's gain over it (90%) | the same without firework days | pred/obs |"
    )
    print("| --- | --- | --- | --- | --- |")
    base = sum(sum(fold["losses"][Climatology.name]) for fold in folds)
    for name in [*names, "model"]:
        over = (base - sum(sum(fold["losses"][name]) for fold in folds)) / positives
        ratio = sum(fold["predicted"][name] for fold in folds) / positives
        gains = [
            "{:+.3f} ({:+.3f}, {:+.3f})".format(*gain(folds, name, kind)) if name != "model" else "-"
            for kind in ("", "ordinary_")
        ]
        print(f"| {name} | {over:+.3f} | {gains[0]} | {gains[1]} | {ratio:.3f} |")
    total = {key: sum(fold[key] for fold in folds) for key in folds[0] if isinstance(folds[0][key], int | float)}
    lines = ", ".join("{:.2f}".format(fold["calibration"][0]) for fold in folds)
    print(
        f"\nCalibration slopes of the folds: {lines}. Alerts expected/observed {total['expected_alerts'] / total['alerts']:.3f}, "
        f"without firework days {total['ordinary_expected_alerts'] / total['ordinary_alerts']:.3f}; count log score over "
        f"Poisson's {(total['count_log_score'] - total['poisson_log_score']) / positives:+.3f} nats per positive; 80% interval of "
        f"the city's total holds {total['within_interval'] / total['intervals']:.3f}, "
        f"{total['expected_within'] / total['intervals']:.3f} if the forecast distribution were true."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--cities", nargs="+", default=["washington_dc", "oakland", "cincinnati"])
    parser.add_argument("--horizons", nargs="+", type=int, default=[1, 2, 4, 6, 12])
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    results = {
        name: [
            fold_scores(name, at, arguments.horizons, arguments.data, arguments.cache)
            for at in range(len(BENCHMARKS[name].cutoffs) - 1)
        ]
        for name in arguments.cities
    }
    for horizon in map(str, arguments.horizons):
        for name, folds in results.items():
            show(f"{name}, next {horizon} h", [fold[horizon] for fold in folds])
        if len(results) > 1:
            show(f"all cities, next {horizon} h", [fold[horizon] for folds in results.values() for fold in folds])
