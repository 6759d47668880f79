"""Gradient boosting on lag features; the number of trees is where the validation log loss was least."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from scipy.special import expit

from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.next_day.lag_baseline import LagBaseline, LagFold, Rows, rows_of
from shotspotter_assets.models.next_day.lag_features import LagFeatures
from shotspotter_assets.models.next_day.tuned_baseline import Settings

if TYPE_CHECKING:
    import lightgbm

GRID: Final = ({"leaves": 7, "learning_rate": 0.1}, {"leaves": 15, "learning_rate": 0.1})
MAX_TREES: Final = 150
TREE_STEP: Final = 5
"""Numbers of trees that are tried lie so far apart."""
MIN_LEAF_ROWS: Final = 200
MAX_ROWS: Final = 200_000
"""Of a fit. Of a longer history, cell-days without alerts are drawn and weigh more: the same fit, in a third of the time."""
MODEL_FILE: Final = "gradient_boosting.txt"
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
class Trees:
    """LightGBM's trees, stored as its text."""

    booster: "lightgbm.Booster"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.booster.feature_name())

    def log_odds(self, rows: Rows, first: int = 0, number: int = -1) -> Array:
        """What `number` trees from `first` on (all, if negative) sum to, shape (rows,)."""
        return np.asarray(
            self.booster.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1)
        )

    def probability(self, rows: Rows) -> Array:
        return np.asarray(expit(self.log_odds(rows)))

    def files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self.booster.model_to_string().encode()}


class GradientBoostingForecaster(LagBaseline):
    """See `LagBaseline`."""

    name: ClassVar[str] = "gradient_boosting"

    def inputs(self, features: LagFeatures) -> Rows:
        return features.values

    def fit_model(self, fold: LagFold, days: range, settings: Settings) -> Trees:
        import lightgbm

        rows, labels, drawn_weight = fold.to_fit(days)
        share = min(MAX_ROWS / len(rows), 1.0)
        drawn = labels | (np.random.default_rng(0).random(len(rows)) < share)
        parameters = {
            "num_leaves": settings["leaves"],
            "learning_rate": settings["learning_rate"],
            "min_data_in_leaf": round(MIN_LEAF_ROWS * share),
        }
        sample_weight = np.where(labels[drawn], 1.0, 1 / share) * (1.0 if drawn_weight is None else drawn_weight[drawn])
        data = lightgbm.Dataset(rows[drawn], labels[drawn], weight=sample_weight, feature_name=list(fold.names))
        return Trees(lightgbm.train(PARAMETERS | parameters, data, num_boost_round=int(settings["iterations"])))

    def load_model(self, files: Mapping[str, bytes]) -> Trees:
        import lightgbm

        return Trees(lightgbm.Booster(model_str=files[MODEL_FILE].decode()))

    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        rows = rows_of(fold.validation_features.values)
        for settings in GRID:
            trees = self.fit_model(fold, fold.train, settings | {"iterations": MAX_TREES})
            log_odds = np.zeros(len(rows))
            for first in range(0, MAX_TREES, TREE_STEP):
                log_odds += trees.log_odds(rows, first, TREE_STEP)
                yield settings | {"iterations": first + TREE_STEP}, expit(log_odds).reshape(len(fold.validation), -1)
