"""Gradient boosting that starts at the regression's log odds, so that its trees only learn what that misses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, ChosenSettings, FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.cell_days import days_at_once
from shotspotter_assets.models.next_day.features import Inputs, is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegimeRegression,
    Integers,
    Regressions,
    fit_regressions,
    load_regression,
    with_firework_days,
)
from shotspotter_assets.models.next_day.settings import ResidualBoostingSettings
from shotspotter_assets.models.probability import clip_probability, log_losses

if TYPE_CHECKING:
    import lightgbm

TREE_STEP: Final = 10
"""Numbers of trees that are tried on the validation window lie so far apart; 0 is among them."""
MIN_GAIN: Final = 2.0
"""Nats on the whole validation window below which no tree is taken."""
MODEL_FILE: Final = "residual_boosting.txt"
SETTINGS_FILE: Final = "residual_boosting.json"


def parameters(settings: ResidualBoostingSettings) -> dict[str, object]:
    """LightGBM's parameters."""
    rows = (
        {"data_sample_strategy": "goss"}
        if settings.goss
        else {"bagging_fraction": settings.row_share, "bagging_freq": 1}
    )
    return {
        "objective": "binary",
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf_rows,
        "lambda_l2": settings.l2,
        "path_smooth": settings.path_smooth,
        "feature_fraction": settings.input_share,
        **rows,
        "max_bin": 63,
        "num_threads": 1,
        "force_col_wise": True,
        "deterministic": True,
        "seed": settings.seed,
        "verbosity": -1,
    }


@dataclass(frozen=True)
class FittedResidualBoosting:
    """See `Fitted`."""

    regression: FittedRegimeRegression
    booster: "lightgbm.Booster | None"
    settings: ChosenSettings
    validation_probability: Array | None = None

    def logit(self, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells)."""
        start = self.regression.logit(inputs)
        return start if self.booster is None else start + _added(self.booster, _rows(inputs)).reshape(start.shape)

    def predict(self, history: History, days: range) -> Array:
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self.regression))

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        """See `HasDrivers.drivers`; those of the regression that it starts at."""
        return self.regression.drivers(history, day)

    def spread(self, history: History, day: int) -> tuple[Array, Array]:
        """See `HasSpread.spread`; the other forecast is the regression."""
        inputs = next_day_inputs(history, [day])
        distance = (self.regression.logit(inputs) - self.logit(inputs))[0]
        return np.minimum(distance, 0), np.maximum(distance, 0)

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`; LightGBM's own text format, as a pickle could bring code of its own."""
        trees = {} if self.booster is None else {MODEL_FILE: self.booster.model_to_string().encode()}
        return {**self.regression.files(), SETTINGS_FILE: json.dumps(self.settings).encode(), **trees}


class _Chosen(NamedTuple):
    """What the validation window has chosen; `probability` is of its days, shape (days, cells)."""

    trees: int
    log_loss: float
    probability: Array


class ResidualBoostingForecaster:
    """The number of trees is where the validation log loss was least; then fitted on both windows together."""

    name: ClassVar[str] = "residual_boosting"

    def __init__(self, settings: ResidualBoostingSettings) -> None:
        self.settings = settings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedResidualBoosting:
        data = FitData.make(history, train, validation)
        return self.fit_on_regressions(data, fit_regressions(data, context.shared))

    def validate(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Array:
        """See `Tunable.validate`."""
        data = FitData.make(history, train, validation)
        return self._chosen(data, fit_regressions(data, context.shared)).probability

    def load(self, files: Mapping[str, bytes]) -> FittedResidualBoosting:
        import lightgbm

        text = files.get(MODEL_FILE)
        booster = None if text is None else lightgbm.Booster(model_str=text.decode())
        return FittedResidualBoosting(load_regression(files), booster, json.loads(files[SETTINGS_FILE]))

    def fit_on_regressions(self, data: FitData, regressions: Regressions) -> FittedResidualBoosting:
        chosen = self._chosen(data, regressions)
        trees = chosen.trees
        refitted = self._boosted(data, data.to_fit(data.both), regressions.both, trees) if trees else None
        shared = {key: value for key, value in regressions.both.settings.items() if key == "shared"}
        settings = {
            **parameters(self.settings),
            "trees": trees,
            "validation_log_loss": chosen.log_loss,
            **shared,
        }
        return FittedResidualBoosting(regressions.both, refitted, settings, chosen.probability)

    def _chosen(self, data: FitData, regressions: Regressions) -> "_Chosen":
        booster = self._boosted(data, data.to_fit(data.train), regressions.train, self.settings.max_trees)
        tried = range(0, self.settings.max_trees + 1, TREE_STEP)
        losses = dict.fromkeys(tried, 0.0)
        for days in days_at_once(data.judged, data.history):
            judged = data.validation_inputs_of(days)
            rows, labels = _rows(judged), data.history.observed[days].ravel()
            logit = regressions.train.logit(judged).ravel()
            for trees in tried:
                logit += _added(booster, rows, trees - TREE_STEP, TREE_STEP if trees else 0)
                losses[trees] += float(log_losses(expit(logit), labels).sum())
        best = min(losses, key=losses.__getitem__)
        # In a thin city's validation window some number of trees is better by chance.
        if losses[0] - losses[best] < MIN_GAIN:
            best = 0
        ordinary = []
        for days in days_at_once(np.arange(data.validation.start, data.validation.stop), data.history):
            inputs = data.validation_inputs_of(days)
            start = regressions.train.logit(inputs)
            ordinary.append(expit(start + _added(booster, _rows(inputs), 0, best).reshape(start.shape)))
        probability = clip_probability(
            with_firework_days(data.history, data.validation, np.concatenate(ordinary), regressions.train)
        )
        cell_days = len(data.judged) * int(data.history.in_coverage.sum())
        return _Chosen(best, losses[best] / cell_days, probability)

    def _boosted(
        self, data: FitData, days: Integers, regression: FittedRegimeRegression, trees: int
    ) -> "lightgbm.Booster":
        import lightgbm

        fit_rows = data.rows(days)
        rows = lightgbm.Dataset(
            _rows(fit_rows.inputs),
            fit_rows.observed,
            weight=fit_rows.sample_weight,
            init_score=regression.logit(fit_rows.inputs).ravel(),
            feature_name=_names(fit_rows.inputs),
        )
        return lightgbm.train(parameters(self.settings), rows, num_boost_round=trees)


def _names(inputs: Inputs) -> list[str]:
    """The inputs that trees see. By what is the same for all cells they would learn single days by heart."""
    return [name for name in inputs.names if not is_same_for_all_cells(name)]


def _rows(inputs: Inputs) -> npt.NDArray[np.float32]:
    """What trees see, one row a cell-day."""
    seen = [at for at, name in enumerate(inputs.names) if not is_same_for_all_cells(name)]
    return inputs.values[:, :, seen].reshape(-1, len(seen))


def _added(booster: "lightgbm.Booster", rows: npt.NDArray[np.float32], first: int = 0, number: int = -1) -> Array:
    """What `number` trees from `first` on (all, if negative) add to the log odds, shape (rows,)."""
    if number == 0:
        return np.zeros(len(rows))
    added = booster.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1)
    return np.asarray(added)
