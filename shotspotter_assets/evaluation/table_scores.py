"""Scores of every model of a forecasts table: over all its rows, and by group of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, periods_of
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_losses
from shotspotter_assets.evaluation.scores import Scores, score_cell_days
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.probability import clip_probability


@dataclass(frozen=True)
class GroupModelScores:
    """The scores of a model that stay meaningful on a part of the cell-days; None without positives.

    `gain_over_best_baseline` is over the best baseline of all cell-days, not of the group.
    """

    log_loss: float
    brier_skill: float
    predicted_over_observed: float | None
    gain_over_reference: float | None
    gain_over_best_baseline: Gain


@dataclass(frozen=True)
class GroupScores:
    """The scores of all models on one group of cell-days."""

    cell_days: int
    positives: int
    base_rate: float
    models: dict[str, GroupModelScores]


def score_table(forecasts: pa.Table, reference: str = HISTORICAL_MEAN) -> dict[str, Scores]:
    """Scores by model over all rows, measured against the column of the reference model; {} where there is no row."""
    if not len(forecasts):
        return {}
    observed, period = observed_of(forecasts), periods_of(forecasts)
    references = forecasts[reference].to_numpy()
    return {
        name: score_cell_days(forecasts[name].to_numpy(), observed, references, period)
        for name in model_names(forecasts)
    }


def grouped_scores(
    forecasts: pa.Table, groups: npt.NDArray[Any], best_baseline: str, reference: str = HISTORICAL_MEAN
) -> dict[str, GroupScores]:
    """Scores by group, in the order of the groups' labels.

    Args:
        forecasts: a forecasts table.
        groups: label of each row, which becomes text.
        best_baseline: model that the gain with an interval is over.
        reference: model that the Brier skill and the gain without an interval are measured against.
    """
    return {
        str(group): _group_scores(forecasts.filter(pa.array(groups == group)), best_baseline, reference)
        for group in np.unique(groups)
    }


def _group_scores(rows: pa.Table, best_baseline: str, reference: str) -> GroupScores:
    observed = observed_of(rows)
    positives = int(observed.sum())
    reference_brier = np.mean((clip_probability(rows[reference].to_numpy()) - observed) ** 2)
    weekly = weekly_losses(rows, model_names(rows))
    models = {}
    for name in model_names(rows):
        p = clip_probability(rows[name].to_numpy())
        models[name] = GroupModelScores(
            log_loss=float(weekly.losses[name].sum() / len(rows)),
            brier_skill=float(1 - np.mean((p - observed) ** 2) / reference_brier),
            predicted_over_observed=float(p.sum() / positives) if positives else None,
            gain_over_reference=weekly_gain(weekly, name, reference).gain,
            gain_over_best_baseline=weekly_gain(weekly, name, best_baseline),
        )
    return GroupScores(cell_days=len(rows), positives=positives, base_rate=positives / len(rows), models=models)
