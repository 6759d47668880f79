"""Rows of scores and pictures (PNG by name) of the reports, as the panels show them. The stored reports hold everything."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.fold_report import EvaluatedFold
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.scores import reliability
from shotspotter_assets.evaluation.walk_forward_report import FOLD, WalkForwardReport
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN

DRAWN_IN_FOLDS: Final = ("gradient_boosting", "logistic_regression", HISTORICAL_MEAN)
"""Drawn beside the trained models; lines of all the others would hide each other."""
Row = dict[str, Any]
Pictures = dict[str, bytes]


def fold_rows(scores: ScoreTable) -> list[Row]:
    """A row of scores for each model of a fold, the best first; few, as a panel is narrow."""
    columns = {"log loss": "log_loss", "gain": "gain_nats_per_positive", "p/o": "predicted_over_observed"}
    return [
        {"model": name} | {title: scores.value(score, name) for title, score in columns.items()}
        for name in scores.models()
    ]


def fold_pictures(fold: EvaluatedFold, scores: ScoreTable, forecasts: pa.Table) -> Pictures:
    """The forecast map of the first own model beside the alerts of a day, and reliability."""
    trained, history, alerts = list(fold.record.models), fold.history, fold.alerts
    drawn = [*trained, *(name for name in DRAWN_IN_FOLDS if name in scores.models() and name not in trained)]
    # The median day is neither a quiet one nor a firework one.
    shown = int(np.argsort(alerts.sum(axis=(1, 2)), kind="stable")[len(alerts) // 2])
    probability = forecasts[trained[0]].to_numpy().reshape(fold.observed.shape)[shown]
    observed = observed_of(forecasts)
    return {
        "forecast": plots.forecast_beside_observed(
            probability, alerts[shown], history.in_coverage, history.city.box, fold.test_days[shown].item(), trained[0]
        ),
        "reliability": plots.reliability_curve(
            {name: reliability(forecasts[name].to_numpy(), observed) for name in drawn}
        ),
    }


def walk_forward_rows(report: WalkForwardReport, scores: ScoreTable) -> list[Row]:
    """For each model of a city, the best first, its gain over the best baseline with the interval."""
    gains = {name: scores.gain(report.verdict.best_baseline, name) for name in scores.models()}
    return [{"model": name, "gain": gain.gain, "low": gain.low, "high": gain.high} for name, gain in gains.items()]


def walk_forward_pictures(report: WalkForwardReport, scores: ScoreTable) -> Pictures:
    """Reliability, and the gain over the best baseline by fold, of the served forecast and the candidate."""
    best, folds = report.verdict.best_baseline, scores.groups(FOLD)
    gains = {
        name: {fold: scores.gain(best, name, FOLD, fold) for fold in folds}
        for name in report.reliability
        if name != best
    }
    return {
        "reliability": plots.reliability_curve(report.reliability),
        "gain_by_fold": plots.gain_by_fold(gains, best),
    }
