"""Gradient boosting that starts at the regression's log odds, so that its trees only learn what that misses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm
from scipy.special import expit

from shotspotter_assets.models.forecaster import NO_CONTEXT, DailyForecaster, FitContext, clip_probability
from shotspotter_assets.models.forecaster_registry import ResidualBoostingSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import Inputs, is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.lag_baselines import PARAMETERS, FittedTrees, sum_of_trees
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegression,
    fit_regressions,
    with_firework_days,
)
from shotspotter_assets.storage.arrays import Array, Integers, Singles

TREE_STEP: Final = 10  # distance between the numbers of trees that are tried; 0 is among them
MIN_GAIN: Final = 2.0  # nats on the whole validation window below which no tree is taken


def parameters(settings: ResidualBoostingSettings) -> dict[str, object]:
    """Return LightGBM's parameters."""
    return {
        **PARAMETERS,
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf_rows,
        "lambda_l2": settings.l2,
        "path_smooth": settings.path_smooth,
        "feature_fraction": settings.input_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "max_bin": 63,
    }


@dataclass(frozen=True)
class FittedResidualBoosting(FittedTrees):
    """Boosted trees; `trees` is None where none is better than the regression."""

    regression: FittedRegression

    def logit(self, inputs: Inputs) -> Array:
        """Return log odds of an ordinary day, shape (days, cells)."""
        start = self.regression.logit(inputs)
        if self.trees is None:
            return start
        return start + sum_of_trees(self.trees, _of_cells(inputs.values, inputs.names)).reshape(start.shape)

    def predict(self, history: History, days: range) -> Array:
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self.regression))

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        return self.regression.drivers(history, day)


class ResidualBoostingForecaster(DailyForecaster):
    """Boosting with the number of trees of least validation log loss, then fitted on both windows."""

    fitted = FittedResidualBoosting

    settings: ResidualBoostingSettings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedResidualBoosting:
        data = FitData(history.through(validation.stop), train, validation)
        regressions = fit_regressions(data, context.shared)
        number, loss, probability = self._chosen(data, regressions.train)
        trees = self._boosted(data, data.to_fit(data.both), regressions.both, number) if number else None
        chosen = {**parameters(self.settings), "trees": number, "validation_log_loss": loss, **regressions.origin}
        return FittedResidualBoosting(regressions.both, chosen=chosen, validation_probability=probability, trees=trees)

    def _chosen(self, data: FitData, regression: FittedRegression) -> tuple[int, float, Array]:
        """Return the number of trees, its log loss and its probability of the validation days, shape (days, cells)."""
        booster = self._boosted(data, data.to_fit(data.train), regression, self.settings.max_trees)
        inputs = data.validation_inputs
        rows = _of_cells(inputs.values, inputs.names)
        logit = regression.logit(inputs)
        tried = {0: (logit, data.validation_loss(expit(logit)))}
        for trees in range(TREE_STEP, self.settings.max_trees + 1, TREE_STEP):
            logit = logit + sum_of_trees(booster, rows, trees - TREE_STEP, TREE_STEP).reshape(logit.shape)
            tried[trees] = (logit, data.validation_loss(expit(logit)))
        best = min(tried, key=lambda trees: tried[trees][1])
        # With few alerts in the validation window some number of trees is better by chance.
        if (tried[0][1] - tried[best][1]) * len(data.scoring_days) * logit.shape[1] < MIN_GAIN:
            best = 0
        logit, loss = tried[best]
        probability = with_firework_days(data.history, data.validation, expit(logit), regression)
        return best, loss, clip_probability(probability)

    def _boosted(self, data: FitData, days: Integers, regression: FittedRegression, trees: int) -> lightgbm.Booster:
        rows = data.rows.on(days)
        dataset = lightgbm.Dataset(
            _of_cells(rows.values, rows.names),
            rows.observed,
            weight=rows.sample_weight,
            init_score=regression.row_logit(rows.values),
            feature_name=[name for name in rows.names if not is_same_for_all_cells(name)],
        )
        return lightgbm.train(parameters(self.settings), dataset, num_boost_round=trees)


def _of_cells(values: Singles, names: Sequence[str]) -> Singles:
    """Return the trees' inputs, one row a cell-day, without those equal in all cells: trees would memorise days by them."""
    differ = [index for index, name in enumerate(names) if not is_same_for_all_cells(name)]
    return values[..., differ].reshape(-1, len(differ))
