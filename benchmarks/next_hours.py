"""The next 1 to 12 hours on real cities: `python benchmarks/next_hours.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city; each is fitted on the days before its cutoff and forecasts blocks of h hours that follow each
other through every day of the quarter. Prints Markdown, pooled over folds and over cities: gain in nats per positive
over the cell climatology, gain of the model over each baseline with the 90% interval of a weekly block bootstrap, and
the calibration of probabilities and of expected counts.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_cities import HourlyFold, hourly_folds, parser

from shotspotter_assets.calendar.weekdays import weeks
from shotspotter_assets.evaluation.gains import WeeklySums, weekly_gain
from shotspotter_assets.evaluation.scores import calibration
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.climatology import Climatology
from shotspotter_assets.models.next_hours.features import ahead
from shotspotter_assets.models.next_hours.next_hours import NextHours
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.probability import log_losses


def fold_scores(fold: HourlyFold, horizons: list[int], cache: Path) -> dict[str, Any]:
    """Weekly sums of one fold's scores by horizon; from the cache where they are there."""
    history, test, validation = fold.history, fold.test, fold.validation
    kept = cache / f"{history.city.name}_{fold.cutoff}_hours.json"
    scores = json.loads(kept.read_text()) if kept.exists() else {}
    missing = tuple(horizon for horizon in horizons if str(horizon) not in scores)
    if not missing:
        return scores
    started = time.perf_counter()
    model = NextHours(horizons=missing).fit(history, fold.train, validation)
    seconds = time.perf_counter() - started
    baselines = [
        entry.forecaster(missing).fit(history, fold.train, validation)
        for entry in HOURLY_FORECASTERS.values()
        if entry.is_baseline
    ]
    for horizon in missing:
        issues, before = history.issues(test, horizon), history.issues(validation, horizon)
        able = [baseline for baseline in baselines if horizon in baseline.models]
        forecasts = {baseline.name: baseline.predict(history, issues, horizon) for baseline in able}
        forecasts["model"] = model.predict(history, issues, horizon)
        observed, past = history.occupied_within(horizon)[issues], model.predict(history, before, horizon)
        scores[str(horizon)] = {
            **weekly_sums(history, issues, forecasts, observed),
            **count_scores(history, past, before, forecasts["model"], issues, horizon),
            "seconds_to_fit": seconds,
        }
        kept.write_text(json.dumps(scores))
        print(f"{history.city.name} {fold.cutoff} {horizon} h: fitted in {seconds:.0f} s", flush=True)
    return scores


def weekly_sums(
    history: HourlyHistory, issues: np.ndarray, forecasts: dict[str, np.ndarray], observed: np.ndarray
) -> dict[str, Any]:
    """Positives, log losses and predicted sums by week, and the calibration line of the model."""
    week = weeks(history.starts[issues])
    week = np.unique(week, return_inverse=True)[1]
    losses = {name: log_losses(p, observed).sum(axis=1) for name, p in forecasts.items()}
    ordinary = ~history.clock.fireworks[issues]
    slope, intercept = calibration(forecasts["model"].ravel(), observed.ravel())
    return {
        "positives": np.bincount(week, observed.sum(axis=1)).tolist(),
        "losses": {name: np.bincount(week, loss).tolist() for name, loss in losses.items()},
        "ordinary_positives": np.bincount(week, observed.sum(axis=1) * ordinary).tolist(),
        "ordinary_losses": {name: np.bincount(week, loss * ordinary).tolist() for name, loss in losses.items()},
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
    counts, past = (totals[hours + horizon] - totals[hours] for hours in (issues, before))
    model = AlertCounts.fit(past, fitted_on, fireworks[before])
    night = fireworks[issues, None]
    rate = -np.log1p(-forecast)
    from scipy.stats import poisson

    low, high = model.total_interval(forecast, night)
    distribution, total = model.total(forecast, night), counts.sum(axis=1)
    return {
        "alerts": int(total.sum()),
        "expected_alerts": float(model.expected(forecast, night).sum()),
        "ordinary_alerts": int(total[~night[:, 0]].sum()),
        "ordinary_expected_alerts": float(model.expected(forecast, night)[~night[:, 0]].sum()),
        "count_log_score": float(model.log_probability(counts, forecast, night).sum()),
        "poisson_log_score": float(poisson.logpmf(counts, rate).sum()),
        "intervals": len(issues),
        "within_interval": int(((total >= low) & (total <= high)).sum()),
        "expected_within": float((distribution.cdf(high) - distribution.cdf(low - 1)).sum()),
    }


def gain(folds: list[dict[str, Any]], over: str, kind: str = "") -> str:
    """Gain of the model in nats per positive, with its interval."""
    losses, positives = f"{kind}losses", f"{kind}positives"
    pooled = {name: np.concatenate([fold[losses][name] for fold in folds]) for name in ("model", over)}
    weekly = WeeklySums(np.concatenate([fold[positives] for fold in folds]), pooled)
    return weekly_gain(weekly, "model", over).text("+.3f")


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
        gains = [gain(folds, name, kind) if name != "model" else "-" for kind in ("", "ordinary_")]
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


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=["washington_dc", "oakland", "cincinnati"])
    arguments.add_argument("--horizons", nargs="+", type=int, default=[1, 2, 4, 6, 12])
    chosen = arguments.parse_args()
    results = {
        city: [
            fold_scores(fold, chosen.horizons, chosen.cache) for fold in hourly_folds(city, chosen.data, chosen.cache)
        ]
        for city in chosen.cities
    }
    for horizon in map(str, chosen.horizons):
        for city, folds in results.items():
            show(f"{city}, next {horizon} h", [fold[horizon] for fold in folds])
        if len(results) > 1:
            show(f"all cities, next {horizon} h", [fold[horizon] for folds in results.values() for fold in folds])


if __name__ == "__main__":
    main()
