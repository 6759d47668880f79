"""The next 1 to 4 hours on real cities: `python benchmarks/next_hours.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city; each is fitted on the days before its cutoff and forecasts blocks of h hours that follow each
other through every day of the quarter. Prints Markdown, pooled over folds and over cities: gain in nats per positive
over the cell climatology, gain of the stack over each other forecaster with the 90% interval of a weekly block bootstrap, and
the calibration of probabilities and of expected counts.
"""

from pathlib import Path
from typing import Any

import numpy as np
from benchmark_cities import HourlyFold, hourly_folds, parser, pooled_gain, print_head, print_row
from hours_members import hourly_stack_of, kept_hourly

from shotspotter_assets.evaluation.gains import weekly_sums
from shotspotter_assets.evaluation.scores import calibration
from shotspotter_assets.models.alert_counts import AlertCounts, short_interval
from shotspotter_assets.models.forecaster_registry import CLIMATOLOGY
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.probability import log_losses

STACK = "hourly_stack"


def fold_scores(fold: HourlyFold, horizons: list[int], cache: Path) -> dict[int, dict[str, Any]]:
    """Weekly sums of one fold's scores by horizon."""
    history, kept = fold.history, kept_hourly(fold, cache, horizons)
    stack = hourly_stack_of(fold, kept, horizons)
    trusted = "; ".join(f"{own['in_words']} {own['offset']:+.2f} ({horizon})" for horizon, own in stack.chosen.items())
    print(f"- {history.city.name} {fold.cutoff}: {trusted}", flush=True)
    scores = {}
    for horizon in horizons:
        issues = history.issues(fold.test, horizon)
        forecasts = {name: one.predict(history, issues, horizon) for name, one in kept.items()}
        forecasts[STACK] = stack.predict(history, issues, horizon)
        observed = history.occupied_within(horizon)[issues]
        scores[horizon] = {
            **hour_scores(history, issues, forecasts, observed, horizon),
            **count_scores(history, stack.models[horizon].counts, forecasts[STACK], issues, horizon),
        }
    return scores


def hour_scores(
    history: HourlyHistory, issues: np.ndarray, forecasts: dict[str, np.ndarray], observed: np.ndarray, horizon: int
) -> dict[str, Any]:
    """Positives, log losses and predicted sums by week, and the forecasts of the stack."""
    losses = {name: log_losses(p, observed).sum(axis=1) for name, p in forecasts.items()}
    instants, positives, ordinary = (
        history.starts[issues],
        observed.sum(axis=1),
        ~fireworks_ahead(history, horizon)[issues],
    )
    of_ordinary = {name: loss * ordinary for name, loss in losses.items()}
    return {
        "weekly": weekly_sums(instants, positives, losses),
        "ordinary_weekly": weekly_sums(instants, positives * ordinary, of_ordinary),
        "predicted": {name: float(p.sum()) for name, p in forecasts.items()},
        "ordinary_predicted": {name: float(p[ordinary].sum()) for name, p in forecasts.items()},
        "forecast": forecasts[STACK].astype(np.float32).ravel(),
        "observed": observed.ravel(),
        "rows": observed.size,
    }


def count_scores(
    history: HourlyHistory, model: AlertCounts, forecast: np.ndarray, issues: np.ndarray, horizon: int
) -> dict[str, Any]:
    """Expected against observed alerts, and coverage of the city's 80% interval."""
    totals = np.cumsum(np.concatenate([np.zeros((1, history.alerts.shape[1]), np.int64), history.alerts]), axis=0)
    counts = totals[issues + horizon] - totals[issues]
    night = fireworks_ahead(history, horizon)[issues, None]
    counted = model.distribution(forecast, night)
    low, high = short_interval(counted.total(model.factor_variance(night[:, 0])))
    total = counts.sum(axis=1)
    return {
        "alerts": int(total.sum()),
        "expected_alerts": float(counted.expected.sum()),
        "ordinary_alerts": int(total[~night[:, 0]].sum()),
        "ordinary_expected_alerts": float(counted.expected[~night[:, 0]].sum()),
        "intervals": len(issues),
        "within_interval": int(((total >= low) & (total <= high)).sum()),
    }


def slope_of(folds: list[dict[str, Any]]) -> float:
    """Slope of the line that calibrates the stack's log odds."""
    forecast, observed = (np.concatenate([fold[name] for fold in folds]) for name in ("forecast", "observed"))
    return calibration(forecast.astype(np.float64), observed)[0]


def show(title: str, folds: list[dict[str, Any]]) -> None:
    """One table: all forecasters against the climatology, and the stack against each."""
    positives, ordinary_positives = (
        sum(fold[kind].positives.sum() for fold in folds) for kind in ("weekly", "ordinary_weekly")
    )
    print(f"\n### {title}: {sum(fold['rows'] for fold in folds):,} forecasts, {positives:,.0f} positives\n")
    print_head(
        "forecast",
        "gain over climatology",
        "stack's gain over it (90%)",
        "the same without firework days",
        "pred/obs",
        "without firework days",
    )
    for name in folds[0]["predicted"]:
        over = pooled_gain([fold["weekly"] for fold in folds], name, CLIMATOLOGY).gain
        ratio = sum(fold["predicted"][name] for fold in folds) / positives
        ordinary = sum(fold["ordinary_predicted"][name] for fold in folds) / ordinary_positives
        gains = [
            "-" if name == STACK else pooled_gain([fold[kind] for fold in folds], STACK, name).text("+.3f")
            for kind in ("weekly", "ordinary_weekly")
        ]
        print_row(name, f"{over:+.3f}", *gains, f"{ratio:.3f}", f"{ordinary:.3f}")
    total = {key: sum(fold[key] for fold in folds) for key in folds[0] if isinstance(folds[0][key], int | float)}
    slopes = ", ".join(f"{slope_of([fold]):.2f}" for fold in folds)
    ratios = ", ".join(f"{fold['predicted'][STACK] / fold['weekly'].positives.sum():.2f}" for fold in folds)
    print(
        f"\nCalibration slope {slope_of(folds):.2f}, of the folds {slopes}; pred/obs of the folds {ratios}. "
        f"Alerts expected/observed {total['expected_alerts'] / total['alerts']:.3f}, "
        f"without firework days {total['ordinary_expected_alerts'] / total['ordinary_alerts']:.3f}; 80% interval of "
        f"the city's total holds {total['within_interval'] / total['intervals']:.3f}."
    )


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=["washington_dc", "oakland", "cincinnati"])
    arguments.add_argument("--horizons", nargs="+", type=int, default=[1, 2, 4])
    chosen = arguments.parse_args()
    results = {
        city: [
            fold_scores(fold, chosen.horizons, chosen.cache) for fold in hourly_folds(city, chosen.data, chosen.cache)
        ]
        for city in chosen.cities
    }
    for horizon in chosen.horizons:
        for city, folds in results.items():
            show(f"{city}, next {horizon} h", [fold[horizon] for fold in folds])
        if len(results) > 1:
            show(f"all cities, next {horizon} h", [fold[horizon] for folds in results.values() for fold in folds])


if __name__ == "__main__":
    main()
