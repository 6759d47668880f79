"""Logistic regression and gradient boosting on lag features: baselines with a model, tuned on the validation window.

The best setting is fitted again on training and validation days together.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.models.filters import Array
from shotspotter_assets.models.fold_windows import LAG_WARM_UP_DAYS, after_warm_up
from shotspotter_assets.models.forecaster import (
    INPUTS_ERROR,
    NO_CONTEXT,
    FitContext,
    OtherInputsError,
    require_both_labels,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.model_files import Numbers, StoredModel, Unstored
from shotspotter_assets.models.next_day.features import FitRows, Inputs, fit_rows
from shotspotter_assets.models.next_day.lag_features import is_rate, lag_features
from shotspotter_assets.models.next_day.simple_baselines import Settings, best_candidate
from shotspotter_assets.models.probability import clip_probability

if TYPE_CHECKING:
    import lightgbm

TREES_FILE: Final = "trees.txt"
INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
MIN_RATE: Final = 1 / 365
"""Added to a rate before its logarithm: one alert in a year is the least that tells anything."""
GRID: Final = ({"leaves": 7, "learning_rate": 0.1}, {"leaves": 15, "learning_rate": 0.1})
MAX_TREES: Final = 150
TREE_STEP: Final = 5
"""Distance between the numbers of trees that are tried."""
MIN_LEAF_ROWS: Final = 200
MAX_ROWS: Final = 200_000
"""Maximum of a fit of trees. Of more rows, those without alerts are drawn and weigh more: the same fit in a third of the time."""
PARAMETERS: Final = {
    "objective": "binary",
    "lambda_l2": 10.0,
    "num_threads": 1,
    "force_col_wise": True,
    "deterministic": True,
    "seed": 0,
    "verbosity": -1,
}
"""LightGBM's; nothing is held out for early stopping, as random cell-days are not independent."""


@dataclass(frozen=True)
class FittedLagBaseline(StoredModel):
    """See `Fitted`: the number of trees, or the log odds by unit of each feature and where all are 0."""

    name: str
    names: tuple[str, ...]
    settings: Settings
    slopes: Numbers
    intercept: float = 0.0
    trees: Unstored = None
    validation_probability: Unstored = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`.

        Raises:
            OtherInputsError: it was fitted on other features.
        """
        features = lag_features(history, days)
        if features.names != self.names:
            raise OtherInputsError(f"A stored {self.name} {INPUTS_ERROR}")
        return clip_probability(expit(self.log_odds(features)))

    def log_odds(self, features: Inputs) -> Array:
        """Shape (days, cells)."""
        rows = features.values.reshape(-1, len(features.names))
        is_linear = self.trees is None
        log_odds = _linear(rows, self.names) @ self.slopes + self.intercept if is_linear else _added(self.trees, rows)
        return log_odds.reshape(features.values.shape[:2])

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`; trees in LightGBM's own text format, as a pickle could bring code of its own."""
        trees = {} if self.trees is None else {TREES_FILE: self.trees.model_to_string().encode()}
        return super().files() | trees


class LagBaseline(ABC):
    """Tuned by log loss on the validation window, then fitted on training and validation days together."""

    name: ClassVar[str]

    @abstractmethod
    def candidates(self, rows: FitRows, validation: Inputs) -> Iterator[tuple[Settings, Array]]:
        """Each setting that is tried, with its forecasts of the validation window by the fit on `rows`."""

    @abstractmethod
    def fit_rows(self, rows: FitRows, settings: Settings) -> FittedLagBaseline:
        """Fitted with one setting."""

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedLagBaseline:
        """See `Forecaster.fit`."""
        history = history.through(validation.stop)
        rows = fit_rows(history, np.arange(validation.stop), inputs_of=lag_features)

        def rows_of(days: range) -> FitRows:
            kept = rows.of(np.asarray(after_warm_up(days, LAG_WARM_UP_DAYS)))
            require_both_labels(history, days, kept.observed)
            return kept

        # BLAS and OpenMP threads wait for each other by spinning: on a machine in use two take many times as long as one,
        # and on an idle one they save little on matrices this narrow.
        with threadpool_limits(1):
            labels = history.observed[validation.start : validation.stop]
            tried = self.candidates(rows_of(train), lag_features(history, validation))
            settings, probability = best_candidate(tried, labels)
            fitted = self.fit_rows(rows_of(range(train.start, validation.stop)), settings)
        return replace(fitted, settings=settings, validation_probability=probability)

    def load(self, files: Mapping[str, bytes]) -> FittedLagBaseline:
        """See `Forecaster.load`."""
        fitted = FittedLagBaseline.load(files)
        if TREES_FILE not in files:
            return fitted
        import lightgbm

        return replace(fitted, trees=lightgbm.Booster(model_str=files[TREES_FILE].decode()))


class LogisticRegressionForecaster(LagBaseline):
    """L2 logistic regression on standardised features, rates by their logarithm."""

    name: ClassVar[str] = "logistic_regression"

    def candidates(self, rows: FitRows, validation: Inputs) -> Iterator[tuple[Settings, Array]]:
        for fitted in self._fits(rows, INVERSE_PENALTIES):
            yield fitted.settings, expit(fitted.log_odds(validation))

    def fit_rows(self, rows: FitRows, settings: Settings) -> FittedLagBaseline:
        return next(self._fits(rows, [settings["inverse_penalty"]]))

    def _fits(self, rows: FitRows, inverse_penalties: Sequence[float]) -> Iterator[FittedLagBaseline]:
        """The fit with each penalty, which starts at the one before."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        values = _linear(rows.values, rows.names)
        scaler = StandardScaler().fit(values, sample_weight=rows.sample_weight)
        values = scaler.transform(values)
        model = LogisticRegression(solver="newton-cholesky", warm_start=True)
        for inverse_penalty in inverse_penalties:
            model.set_params(C=inverse_penalty).fit(values, rows.observed, rows.sample_weight)
            slopes = model.coef_[0] / scaler.scale_
            intercept = float(model.intercept_[0] - slopes @ scaler.mean_)
            yield FittedLagBaseline(self.name, rows.names, {"inverse_penalty": inverse_penalty}, slopes, intercept)


class GradientBoostingForecaster(LagBaseline):
    """LightGBM's trees; their number is where the validation log loss was least."""

    name: ClassVar[str] = "gradient_boosting"

    def candidates(self, rows: FitRows, validation: Inputs) -> Iterator[tuple[Settings, Array]]:
        values = validation.values.reshape(-1, len(validation.names))
        for settings in GRID:
            trees = self.fit_rows(rows, settings | {"iterations": MAX_TREES}).trees
            log_odds = np.zeros(len(values))
            for first in range(0, MAX_TREES, TREE_STEP):
                log_odds += _added(trees, values, first, TREE_STEP)
                yield settings | {"iterations": first + TREE_STEP}, expit(log_odds).reshape(validation.values.shape[:2])

    def fit_rows(self, rows: FitRows, settings: Settings) -> FittedLagBaseline:
        import lightgbm

        share = min(MAX_ROWS / len(rows.day), 1.0)
        drawn = rows.observed | (np.random.default_rng(0).random(len(rows.day)) < share)
        parameters = {
            "num_leaves": settings["leaves"],
            "learning_rate": settings["learning_rate"],
            "min_data_in_leaf": round(MIN_LEAF_ROWS * share),
        }
        weight = np.where(rows.observed, 1.0, 1 / share) * (1.0 if rows.sample_weight is None else rows.sample_weight)
        data = lightgbm.Dataset(
            rows.values[drawn], rows.observed[drawn], weight=weight[drawn], feature_name=list(rows.names)
        )
        trees = lightgbm.train(PARAMETERS | parameters, data, num_boost_round=int(settings["iterations"]))
        return FittedLagBaseline(self.name, rows.names, settings, np.zeros(0), trees=trees)


def _linear(rows: npt.NDArray[np.float32], names: Sequence[str]) -> Array:
    """Features as the regression takes them, in double precision, as nearly equal rates make the fit stiff."""
    values, rates = rows.astype(np.float64), is_rate(names)
    values[:, rates] = np.log(values[:, rates] + MIN_RATE)
    return values


def _added(trees: "lightgbm.Booster", rows: npt.NDArray[np.float32], first: int = 0, number: int = -1) -> Array:
    """Sum of `number` trees from `first` on (all, if negative), shape (rows,)."""
    return np.asarray(trees.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1))
