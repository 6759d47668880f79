"""Gradient boosting that starts at the regression's log odds, so that its trees only learn what that misses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from shotspotter_assets.models.forecaster import Array, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import Inputs, is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import (
    FittedRegimeRegression,
    RegimeRegressionForecaster,
    days_to_fit,
    days_to_judge,
    fit_on_inputs,
    with_firework_days,
)
from shotspotter_assets.models.next_day.shrunk_regression import is_beyond_chance
from shotspotter_assets.models.probability import clip_probability, log_losses

if TYPE_CHECKING:
    import lightgbm

MAX_TREES: Final = 120
TREE_STEP: Final = 10
"""Numbers of trees that are tried on the validation window lie so far apart; 0 is among them."""
PARAMETERS: Final = {
    "objective": "binary",
    "num_leaves": 7,
    "learning_rate": 0.1,
    "min_data_in_leaf": 500,
    "lambda_l2": 100.0,
    "path_smooth": 300.0,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 63,
    "num_threads": 1,
    "force_col_wise": True,
    "deterministic": True,
    "seed": 0,
    "verbosity": -1,
}
MODEL_FILE: Final = "residual_boosting.txt"
SETTINGS_FILE: Final = "residual_boosting.json"


@dataclass(frozen=True)
class FittedResidualBoosting:
    """See `Fitted`."""

    linear: FittedRegimeRegression
    booster: "lightgbm.Booster | None"
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def logit(self, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells)."""
        linear = self.linear.logit(inputs)
        return linear if self.booster is None else linear + _trees(self.booster, _rows(inputs)).reshape(linear.shape)

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self.linear))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`; LightGBM's own text format, as a pickle could bring code of its own."""
        trees = {} if self.booster is None else {MODEL_FILE: self.booster.model_to_string().encode()}
        return {**self.linear.files(), SETTINGS_FILE: json.dumps(self.settings).encode(), **trees}


class ResidualBoostingForecaster:
    """The number of trees is where the validation log loss was least; then fitted on both windows together."""

    name: ClassVar[str] = "residual_boosting"

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedResidualBoosting:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        inputs = next_day_inputs(history, range(validation.stop))
        return fit_on_linear(
            history, inputs, train, validation, *fit_on_inputs(history, inputs, train, validation, start)
        )

    def load(self, files: Mapping[str, bytes]) -> FittedResidualBoosting:
        """See `Forecaster.load`."""
        import lightgbm

        text = files.get(MODEL_FILE)
        booster = None if text is None else lightgbm.Booster(model_str=text.decode())
        linear = RegimeRegressionForecaster().load(files)
        return FittedResidualBoosting(linear, booster, json.loads(files[SETTINGS_FILE]))


def fit_on_linear(
    history: History,
    inputs: Inputs,
    train: range,
    validation: range,
    of_train: FittedRegimeRegression,
    of_both: FittedRegimeRegression,
) -> FittedResidualBoosting:
    """Boosting on the two regressions of `fit_on_inputs`; the other arguments are those that it took."""
    observed = history.observed
    booster = _boost(history, inputs, train, of_train, MAX_TREES)
    tested = days_to_judge(history, validation)
    of_tested = Inputs(inputs.values[tested], inputs.names)
    rows, labels = _rows(of_tested), observed[tested].ravel()
    logit = of_train.logit(of_tested).ravel()
    losses = {0: log_losses(expit(logit), labels)}
    for trees in range(0, MAX_TREES, TREE_STEP):
        logit += _trees(booster, rows, trees, TREE_STEP)
        losses[trees + TREE_STEP] = log_losses(expit(logit), labels)
    best = min(losses, key=lambda trees: float(losses[trees].mean()))
    pretrained = {name: of for name, of in of_both.settings.items() if name == "pretrained"}
    # A thin city's validation window is too short to choose trees by: they have to be better there beyond chance.
    if pretrained and not is_beyond_chance((losses[0] - losses[best]).reshape(len(tested), -1).sum(axis=1)):
        best = 0
    settings = {**PARAMETERS, "trees": best, "validation_log_loss": float(losses[best].mean()), **pretrained}
    of_validation = Inputs(inputs.values[validation.start : validation.stop], inputs.names)
    before = of_train.logit(of_validation)
    ordinary = expit(before + _trees(booster, _rows(of_validation), 0, best).reshape(before.shape))
    probability = clip_probability(with_firework_days(history, validation, ordinary, of_train))
    both = range(train.start, validation.stop)
    refitted = _boost(history, inputs, both, of_both, best) if best else None
    return FittedResidualBoosting(of_both, refitted, settings, probability)


def _boost(
    history: History, inputs: Inputs, days: range, linear: FittedRegimeRegression, trees: int
) -> "lightgbm.Booster":
    import lightgbm

    chosen = days_to_fit(history, days)
    of_chosen = Inputs(inputs.values[chosen], inputs.names)
    rows = lightgbm.Dataset(
        _rows(of_chosen),
        history.observed[chosen].ravel(),
        init_score=linear.logit(of_chosen).ravel(),
        feature_name=_names(inputs),
    )
    return lightgbm.train(dict(PARAMETERS), rows, num_boost_round=trees)


def _names(inputs: Inputs) -> list[str]:
    """The inputs that trees see. By what is the same for all cells they would learn single days by heart."""
    return [name for name in inputs.names if not is_same_for_all_cells(name)]


def _rows(inputs: Inputs) -> npt.NDArray[np.float32]:
    """What trees see, one row a cell-day."""
    seen = [at for at, name in enumerate(inputs.names) if not is_same_for_all_cells(name)]
    return inputs.values[:, :, seen].reshape(-1, len(seen))


def _trees(booster: "lightgbm.Booster", rows: npt.NDArray[np.float32], first: int = 0, number: int = -1) -> Array:
    """What `number` trees from `first` on (all, if negative) add to the log odds, shape (rows,)."""
    if number == 0:
        return np.zeros(len(rows))
    added = booster.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1)
    return np.asarray(added)
