"""Rows of scores and pictures (PNG by name) of the reports, as the panels show them. The stored reports hold everything."""

from typing import Any

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.scores import reliability
from shotspotter_assets.evaluation.walk_forward_report import FOLD, WalkForwardReport
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.records import FoldRecord

Row = dict[str, Any]
Pictures = dict[str, bytes]


def fold_rows(scores: ScoreTable) -> list[Row]:
    """A row of scores for each model of a fold, the best first; few, as a panel is narrow."""
    columns = {"log loss": "log_loss", "gain": "gain_nats_per_positive", "p/o": "predicted_over_observed"}
    return [
        {"model": name} | {title: scores.value(score, name) for title, score in columns.items()}
        for name in scores.models()
    ]


def fold_pictures(record: FoldRecord, history: History, forecasts: pa.Table) -> Pictures:
    """The forecast map of the first own model beside the alerts of a day, and the reliability of all own models."""
    test = record.windows(len(history.counts))[2]
    alerts, name = history.alerts[test.start :], next(iter(record.models))
    # The median day is neither a quiet one nor a firework one.
    shown = int(np.argsort(alerts.sum(axis=(1, 2)), kind="stable")[len(alerts) // 2])
    probability = forecasts[name].to_numpy().reshape(len(test), -1)[shown]
    day = history.days()[test.start + shown].item()
    curves = {
        model: reliability(forecasts[model].to_numpy(), observed_of(forecasts))
        for model in dict.fromkeys((*record.models, HISTORICAL_MEAN))
    }
    return {
        "forecast": plots.forecast_beside_observed(
            probability, alerts[shown], history.in_coverage, history.city.box, day, name
        ),
        "reliability": plots.reliability_curve(curves),
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
