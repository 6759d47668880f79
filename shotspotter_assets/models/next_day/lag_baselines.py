"""Logistic regression and gradient boosting on lag features: baselines with a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from shotspotter_assets.arrays import Array
from shotspotter_assets.models.forecaster import INPUTS_ERROR, Choices, OtherInputsError, require_both_labels
from shotspotter_assets.models.history import History
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_day.daily_inputs import CellDays, Inputs, rows_to_fit
from shotspotter_assets.models.next_day.lag_features import lag_features
from shotspotter_assets.models.next_day.simple_baselines import GridBaseline
from shotspotter_assets.models.next_day.trees import PARAMETERS, FittedTrees, sum_of_trees
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.training_windows import BASELINES_WARM_UP_DAYS, after_warm_up

INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
GRID: Final = ({"leaves": 7, "learning_rate": 0.1}, {"leaves": 15, "learning_rate": 0.1})
MAX_TREES: Final = 150
TREE_STEP: Final = 5  # distance between the numbers of trees that are tried
MIN_LEAF_ROWS: Final = 200
MAX_ROWS: Final = 200_000
"""Maximum of a fit of trees. Of more rows, those without alerts are drawn and weigh more, in a third of the time."""
L2_PENALTY: Final = 10.0


@dataclass(frozen=True)
class FittedLagBaseline(FittedTrees):
    """Trees, or the log odds by unit of each lag feature and where all are 0."""

    name: str
    names: tuple[str, ...]
    slopes: Numbers
    intercept: float = 0.0

    def predict(self, history: History, days: range) -> Array:
        """Return the forecast. Raises OtherInputsError if it was fitted on other inputs."""
        inputs = lag_features(history, days)
        if inputs.names != self.names:
            raise OtherInputsError(f"A stored {self.name} {INPUTS_ERROR}")
        return clip_probability(expit(self.log_odds(inputs)))

    def log_odds(self, inputs: Inputs) -> Array:
        rows, shape = inputs.values.reshape(-1, len(inputs.names)), inputs.values.shape[:2]
        if self.trees is not None:
            return sum_of_trees(self.trees, rows).reshape(shape)
        return (rows.astype(np.float64) @ self.slopes + self.intercept).reshape(shape)


class LagBaseline(GridBaseline):
    """A baseline on rows of lag features."""

    fitted = FittedLagBaseline

    def fit_on(self, rows: CellDays, choices: Choices) -> FittedLagBaseline:
        raise NotImplementedError

    def fit_days(self, history: History, days: range, choices: Choices) -> FittedLagBaseline:
        return self.fit_on(self.rows(history, days), choices)

    @staticmethod
    def rows(history: History, days: range) -> CellDays:
        """Return the rows of some days after the warm-up. Raises ValueError if there is nothing to learn on them."""
        whole = np.arange(len(history.counts))
        every = history.cached("rows_of_baselines", whole, lambda: rows_to_fit(history, whole, inputs_of=lag_features))
        rows = every.on(np.asarray(after_warm_up(days, BASELINES_WARM_UP_DAYS)))
        require_both_labels(history, days, rows.observed)
        return rows


class LogisticRegressionForecaster(LagBaseline):
    """L2 logistic regression on standardised inputs."""

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        inputs = lag_features(history, validation)
        for fitted in self._fits(self.rows(history, train), INVERSE_PENALTIES):
            yield fitted.chosen, expit(fitted.log_odds(inputs))

    def fit_on(self, rows: CellDays, choices: Choices) -> FittedLagBaseline:
        return next(self._fits(rows, [choices["inverse_penalty"]]))

    def _fits(self, rows: CellDays, inverse_penalties: Sequence[float]) -> Iterator[FittedLagBaseline]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        # float64, as nearly equal rates make the fit stiff.
        values = rows.values.astype(np.float64)
        scaler = StandardScaler().fit(values, sample_weight=rows.sample_weight)
        values = scaler.transform(values)
        model = LogisticRegression(solver="newton-cholesky", warm_start=True)
        for inverse_penalty in inverse_penalties:
            model.set_params(C=inverse_penalty).fit(values, rows.observed, rows.sample_weight)
            slopes = model.coef_[0] / scaler.scale_
            intercept = float(model.intercept_[0] - slopes @ scaler.mean_)
            choices = {"inverse_penalty": inverse_penalty}
            yield FittedLagBaseline(self.name, rows.names, slopes, intercept, chosen=choices)


class GradientBoostingForecaster(LagBaseline):
    """LightGBM's trees; their number is where the validation log loss was least."""

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        inputs, rows = lag_features(history, validation), self.rows(history, train)
        values = inputs.values.reshape(-1, len(inputs.names))
        for choices in GRID:
            trees = self.fit_on(rows, choices | {"iterations": MAX_TREES}).trees
            log_odds = np.zeros(len(values))
            for first in range(0, MAX_TREES, TREE_STEP):
                log_odds += sum_of_trees(trees, values, first, TREE_STEP)
                yield choices | {"iterations": first + TREE_STEP}, expit(log_odds).reshape(inputs.values.shape[:2])

    def fit_on(self, rows: CellDays, choices: Choices) -> FittedLagBaseline:
        import lightgbm

        share = min(MAX_ROWS / len(rows.day), 1.0)
        drawn = rows.observed | (np.random.default_rng(0).random(len(rows.day)) < share)
        parameters = PARAMETERS | {
            "lambda_l2": L2_PENALTY,
            "num_leaves": choices["leaves"],
            "learning_rate": choices["learning_rate"],
            "min_data_in_leaf": round(MIN_LEAF_ROWS * share),
        }
        weight = np.where(rows.observed, 1.0, 1 / share) * (1.0 if rows.sample_weight is None else rows.sample_weight)
        data = lightgbm.Dataset(rows.values[drawn], rows.observed[drawn], weight=weight[drawn])
        trees = lightgbm.train(parameters, data, num_boost_round=int(choices["iterations"]))
        return FittedLagBaseline(self.name, rows.names, np.zeros(0), chosen=choices, trees=trees)
