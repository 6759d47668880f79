"""What people see of the reports: rows of scores, and pictures as PNG by name. The stored reports hold everything."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gate import TRUTH
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN

DRAWN_IN_FOLDS: Final = (TRUTH, "gradient_boosting", "logistic_regression", HISTORICAL_MEAN)
"""Beside the trained models; lines of all the others would hide each other."""
MAX_DRAWN_BASELINES: Final = 2
"""Of a city's report, the best ones; besides, the reference is drawn."""

Row = dict[str, Any]
Pictures = dict[str, bytes]


def fold_rows(report: FoldReport) -> list[Row]:
    """A row of scores for each model of a fold, the best first; few, as a panel is narrow, and the report has all."""
    return [
        {
            "model": name,
            "log loss": scores.log_loss,
            "gain": scores.gain_nats_per_positive,
            "p/o": scores.predicted_over_observed,
        }
        for name, scores in sorted(report.models.items(), key=lambda item: item[1].log_loss)
    ]


def fold_pictures(
    fold: EvaluatedFold, report: FoldReport, forecasts: pa.Table, folds: Sequence[plots.FoldWindows]
) -> Pictures:
    """The grid with coverage, a forecast beside what happened, the folds, reliability and hit rates.

    Args:
        report: of the fold.
        forecasts: its forecasts table; that of its first own model is shown.
        folds: windows of all folds of the city.
    """
    trained, history, alerts = list(fold.record.models), fold.history, fold.alerts
    drawn = [*trained, *(name for name in DRAWN_IN_FOLDS if name in report.models)]
    in_coverage, box = history.in_coverage, history.city.box
    # The median day is neither a quiet one nor a firework one.
    shown = int(np.argsort(alerts.sum(axis=(1, 2)), kind="stable")[len(alerts) // 2])
    probability = forecasts[trained[0]].to_numpy().reshape(fold.observed.shape)[shown]
    day = fold.test_days[shown].item()
    return {
        "coverage": plots.coverage_grid(in_coverage, box, history.alerts[: fold.cutoff].sum(axis=0)),
        "forecast": plots.forecast_beside_observed(
            probability, alerts[shown], in_coverage, box, day=day, model=trained[0]
        ),
        "walk_forward": plots.walk_forward_windows(folds),
        "reliability": _reliability(forecasts, drawn),
        "hit_rate": plots.hit_rate_against_area({name: report.models[name] for name in drawn}),
    }


def walk_forward_rows(report: WalkForwardReport) -> list[Row]:
    """For each model of a city, the best first, its gain over the best baseline with the interval; the report has all scores."""
    gains = {name: scores.gain_over[report.verdict.best_baseline] for name, scores in report.models.items()}
    return [{"model": name, "gain": gain.gain, "low": gain.low, "high": gain.high} for name, gain in gains.items()]


def walk_forward_pictures(report: WalkForwardReport, forecasts: pa.Table) -> Pictures:
    """Reliability, and the gain over the best baseline by fold, of the candidates, the best baselines and the reference.

    Args:
        report: of a city.
        forecasts: its forecasts table, pooled over the folds.
    """
    best = report.verdict.best_baseline
    baselines = [name for name in report.models if name in report.baselines]
    hidden = {*baselines[MAX_DRAWN_BASELINES:]} - {best, HISTORICAL_MEAN}
    drawn = [name for name in report.models if name not in hidden]
    gains = {
        name: {fold: group.models[name].gain_over_best_baseline for fold, group in report.by_fold.items()}
        for name in drawn
        if name != best
    }
    return {"reliability": _reliability(forecasts, drawn), "gain_by_fold": plots.gain_by_fold(gains, best)}


def _reliability(forecasts: pa.Table, models: Sequence[str]) -> bytes:
    return plots.reliability_curve({name: forecasts[name].to_numpy() for name in models}, observed_of(forecasts))
