"""What an analyst could do in an afternoon: the forecasts that every report compares with, tuned on the same window.

Each baseline is tuned by log loss on the validation window, after fitting on the training window; with the chosen
settings it is then fitted again on training and validation days together. A network keeps its validation window out
of its fit, so this favours the baselines. None is weighted: each forecasts the probability itself. The forecast of a
test day uses all days before it, earlier test days included, but labels of test days never enter a fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from shotspotter_assets.models.forecaster import Array, Forecaster, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_features import LagFeatures, lag_features
from shotspotter_assets.models.next_day.means import ExponentialMeanForecaster, HistoricalMeanForecaster
from shotspotter_assets.models.next_day.tables import SIMPLE_BASELINES
from shotspotter_assets.models.probability import MIN_PROBABILITY, clip_probability, log_losses

Booleans = npt.NDArray[np.bool_]

HISTORICAL_MEAN: Final = "historical_mean"
"""The reference of all skill scores."""

STORED_BASELINES: Final[dict[str, Callable[[], Forecaster]]] = {
    **SIMPLE_BASELINES,
    HISTORICAL_MEAN: HistoricalMeanForecaster,
    "ewma": ExponentialMeanForecaster,
}
"""Those that can be stored and served, by name; what scikit-learn fits could only be pickled."""

INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
BOOSTING_GRID: Final = ((7, 0.1), (15, 0.1))
"""(leaves of a tree, learning rate)."""
BOOSTING_ITERATIONS: Final = 150
WARM_UP_DAYS: Final = 90
"""First days of all history that are not fitted on, as their rates rest on a few days."""


class FoldRangeError(ValueError):
    """The day ranges of a fold do not follow each other within the day axis."""


class NothingToLearnError(ValueError):
    """The training window has no covered cell, or its covered cells are never, or always, occupied."""


@dataclass(frozen=True)
class BaselineForecast:
    """One baseline's forecasts of the test window.

    Attributes:
        name: key in reports and column in the forecasts table.
        probability: probability of at least one alert, float64, shape (test days, cells).
        settings: what was chosen on the validation window, with its validation log loss.
        seconds: wall-clock time of features, tuning, fit and forecast.
    """

    name: str
    probability: Array
    settings: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class _Fold:
    observed: Booleans  # (days, cells), up to the last test day
    train: range
    validation: range
    test: range

    @property
    def fitted(self) -> range:
        return range(self.train.start, self.validation.stop)

    def labels(self, days: range) -> Booleans:
        return self.observed[days.start : days.stop]

    def validation_loss(self, probability: npt.NDArray[np.floating]) -> float:
        return float(log_losses(probability, self.labels(self.validation)).mean())


def fit_baselines(history: History, train: range, validation: range, test: range) -> dict[str, BaselineForecast]:
    """All baselines of one fold by name.

    Args:
        history: to the end of `test` at least; later days are not looked at.
        train: indices into the day axis; `validation` starts where it ends, and `test` where that ends.
        validation: see `train`.
        test: see `train`.

    Raises:
        FoldRangeError: the ranges do not follow each other, one is empty, or they leave the day axis.
        NothingToLearnError: covered cells are never (or always) occupied while training.
    """
    fold = _checked_fold(history, train, validation, test)
    history = through(history, test.stop)
    started = perf_counter()
    forecast_counts = history.counts[:, list(history.city.forecast_codes)]
    features = lag_features(forecast_counts, history.first_day, history.covered)
    features_seconds = perf_counter() - started
    forecasts = {"never": _never(fold)}
    for name, kind in STORED_BASELINES.items():
        started = perf_counter()
        fitted = kind().fit(history, train, validation)
        probability = clip_probability(fitted.predict(history, test))
        forecasts[name] = BaselineForecast(name, probability, fitted.settings, perf_counter() - started)
    for name, extra_seconds, fit in (
        ("logistic_regression", features_seconds, lambda fold: _logistic_regression(fold, features)),
        ("gradient_boosting", features_seconds, lambda fold: _gradient_boosting(fold, features)),
    ):
        started = perf_counter()
        # BLAS and OpenMP threads wait for each other by spinning: on a busy machine two take many times as long as
        # one, and on an idle one they save little on matrices this narrow.
        with threadpool_limits(1):
            probability, settings = fit(fold)
        seconds = perf_counter() - started + extra_seconds
        forecasts[name] = BaselineForecast(name, clip_probability(probability), settings, seconds)
    return forecasts


def _checked_fold(history: History, train: range, validation: range, test: range) -> _Fold:
    observed, first_day = history.observed, history.first_day
    follow = train.stop == validation.start and validation.stop == test.start
    if not (follow and train and validation and test and train.start >= 0 and test.stop <= len(observed)):
        raise FoldRangeError(
            f"Train {train}, validation {validation} and test {test} must follow each other, none empty, within the "
            f"{len(observed)} days from {first_day}."
        )
    fold = _Fold(observed[: test.stop], train, validation, test)
    fitted = fold.labels(_after_warm_up(train))
    if not fitted.any() or fitted.all():
        raise NothingToLearnError(
            f"Training days {train} from {first_day}: {observed.shape[1]} covered cells, {int(fitted.sum())} of "
            f"{fitted.size} cell-days occupied. Use a longer training window or check the coverage."
        )
    return fold


def _never(fold: _Fold) -> BaselineForecast:
    """The smallest probability allowed, as the log loss of 0 would be infinite."""
    probability = np.full(fold.labels(fold.test).shape, MIN_PROBABILITY)
    return BaselineForecast("never", probability, {"probability": MIN_PROBABILITY}, 0.0)


def _logistic_regression(fold: _Fold, features: LagFeatures) -> tuple[Array, dict[str, Any]]:
    """L2 logistic regression on standardised features, rates by their logarithm."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    # One alert in a year is the smallest rate that says anything; float64 as nearly equal rates make the fit stiff.
    inputs = features.values.astype(np.float64)
    inputs[:, :, features.is_rate] = np.log(inputs[:, :, features.is_rate] + 1 / 365)

    def fit(days: range, inverse_penalty: float) -> Pipeline:
        model = LogisticRegression(C=inverse_penalty, solver="newton-cholesky")
        return make_pipeline(StandardScaler(), model).fit(*_rows(inputs, fold, _after_warm_up(days)))

    validation, _ = _rows(inputs, fold, fold.validation)
    losses = {
        inverse: fold.validation_loss(_probability(fit(fold.train, inverse), validation, fold, fold.validation))
        for inverse in INVERSE_PENALTIES
    }
    best = min(losses, key=losses.__getitem__)
    test, _ = _rows(inputs, fold, fold.test)
    probability = _probability(fit(fold.fitted, best), test, fold, fold.test)
    return probability, {"inverse_penalty": best, "validation_log_loss": losses[best]}


def _gradient_boosting(fold: _Fold, features: LagFeatures) -> tuple[Array, dict[str, Any]]:
    """Histogram gradient boosting; the number of trees is where the validation log loss was least."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def fit(days: range, leaves: int, learning_rate: float, iterations: int) -> HistGradientBoostingClassifier:
        model = HistGradientBoostingClassifier(
            max_iter=iterations,
            learning_rate=learning_rate,
            max_leaf_nodes=leaves,
            min_samples_leaf=200,
            l2_regularization=10.0,
            early_stopping=False,  # scikit-learn would hold out random cell-days, which are not independent
            random_state=0,
        )
        return model.fit(*_rows(features.values, fold, _after_warm_up(days)))

    validation, _ = _rows(features.values, fold, fold.validation)
    shape = fold.labels(fold.validation).shape
    losses: dict[tuple[int, float, int], float] = {}
    for leaves, learning_rate in BOOSTING_GRID:
        model = fit(fold.train, leaves, learning_rate, BOOSTING_ITERATIONS)
        for iterations, staged in enumerate(model.staged_predict_proba(validation), start=1):
            losses[leaves, learning_rate, iterations] = fold.validation_loss(staged[:, 1].reshape(shape))
    best = min(losses, key=losses.__getitem__)
    test, _ = _rows(features.values, fold, fold.test)
    probability = _probability(fit(fold.fitted, *best), test, fold, fold.test)
    settings = dict(zip(("leaves", "learning_rate", "iterations"), best, strict=True))
    return probability, settings | {"validation_log_loss": losses[best]}


def _after_warm_up(days: range) -> range:
    return range(min(max(days.start, WARM_UP_DAYS), (days.start + days.stop) // 2), days.stop)


def _rows(values: npt.NDArray[np.floating], fold: _Fold, days: range) -> tuple[npt.NDArray[np.floating], Booleans]:
    return values[days.start : days.stop].reshape(-1, values.shape[2]), fold.labels(days).ravel()


def _probability(model: Any, rows: npt.NDArray[np.floating], fold: _Fold, days: range) -> Array:
    return model.predict_proba(rows)[:, 1].reshape(fold.labels(days).shape)
