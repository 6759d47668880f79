"""Scores of every model of a forecasts table: of all its rows, and of groups of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, periods_of
from shotspotter_assets.evaluation.gains import gain_interval, weekly_losses
from shotspotter_assets.evaluation.scores import Scores, score_cell_days
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.probability import clip_probability


def score_table(forecasts: pa.Table, reference: str = HISTORICAL_MEAN) -> dict[str, Scores]:
    """Scores by model over all rows of a forecasts table, measured against the column of the reference model."""
    if not len(forecasts):
        return {}
    observed, period = observed_of(forecasts), periods_of(forecasts)
    of_reference = forecasts[reference].to_numpy()
    return {
        name: score_cell_days(forecasts[name].to_numpy(), observed, of_reference, period)
        for name in model_names(forecasts)
    }


def grouped_scores(
    forecasts: pa.Table, groups: npt.NDArray[Any], over: str, reference: str = HISTORICAL_MEAN
) -> dict[str, dict[str, Any]]:
    """The scores that stay meaningful on a part of the cell-days, by group and model.

    Args:
        forecasts: a forecasts table.
        groups: label of each row; groups come back in the order of the labels, as text.
        over: model that the gain with an interval is over.
        reference: model that the Brier skill is measured against.

    Returns:
        Group to `cell_days`, `positives`, `base_rate` and `models`, which maps each model to `log_loss`,
        `brier_skill`, `predicted_over_observed`, `gain_over_reference` (in nats per positive) and
        `gain_over_best_baseline` (over `over`; see `gain_interval`).
    """
    found = {}
    for group in np.unique(groups):
        rows = forecasts.filter(pa.array(groups == group))
        observed = observed_of(rows)
        positives = int(observed.sum())
        brier = np.mean((clip_probability(rows[reference].to_numpy()) - observed) ** 2)
        weekly = weekly_losses(rows, model_names(rows))
        models = {}
        for name in model_names(rows):
            p = clip_probability(rows[name].to_numpy())
            models[name] = {
                "log_loss": float(weekly.losses[name].sum() / len(rows)),
                "brier_skill": float(1 - np.mean((p - observed) ** 2) / brier),
                "predicted_over_observed": float(p.sum() / positives) if positives else None,
                "gain_over_reference": gain_interval([weekly], [(name, reference)])["gain"],
                "gain_over_best_baseline": gain_interval([weekly], [(name, over)]),
            }
        found[str(group)] = {
            "cell_days": len(rows),
            "positives": positives,
            "base_rate": positives / len(rows),
            "models": models,
        }
    return found
