"""Trees of LightGBM: their common parameters, their sum, and the fitted forecasters that are stored with them."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Final, Self

import lightgbm
import numpy as np

from shotspotter_assets.models.forecaster import FittedDaily
from shotspotter_assets.models.model_files import Unstored
from shotspotter_assets.storage.arrays import Array, Singles

TREES_FILE: Final = "trees.txt"
PARAMETERS: Final = {
    "objective": "binary",
    "num_threads": 1,
    "force_col_wise": True,
    "deterministic": True,
    "seed": 0,
    "verbosity": -1,
}
"""LightGBM's; nothing is held out for early stopping, because random cell-days are not independent."""


@dataclass(frozen=True)
class FittedTrees(FittedDaily):
    """Stored with its trees in LightGBM's own text format, because a pickle could hold code; None for no trees."""

    _: KW_ONLY
    trees: Unstored = None

    def files(self) -> dict[str, bytes]:
        trees = {} if self.trees is None else {TREES_FILE: self.trees.model_to_string().encode()}
        return super().files() | trees

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        trees = lightgbm.Booster(model_str=files[TREES_FILE].decode()) if TREES_FILE in files else None
        return replace(super().load(files), trees=trees)


def sum_of_trees(trees: lightgbm.Booster, rows: Singles, first: int = 0, number: int = -1) -> Array:
    """Return the sum of `number` trees from `first` on (all, if negative) in log odds, shape (rows,)."""
    return np.asarray(trees.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1))
