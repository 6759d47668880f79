"""Searches on the made-up city of the forecasters' tests."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import TuningTask
from shotspotter_assets_tests.models.histories import FAST, TRAIN, VALIDATION, history

VALUES: dict[str, Any] = {
    "leaves": 5, "learning_rate": 0.2, "max_trees": 60, "min_leaf_rows": 60, "l2": 50.0, "path_smooth": 20.0,
    "input_share": 0.5, "row_share": 0.8,
}  # fmt: skip


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as SageMaker suggests them, beside a hyperparameter of its own."""
    return {name: json.dumps(value) for name, value in values.items()} | {"_tuning_objective_metric": "validation_loss"}


@cache
def past() -> History:
    return history().through(VALIDATION.stop)


def task_of(name: str, history: History | None = None, **settings: Any) -> TuningTask:
    chosen = FORECASTERS[name].settings(**FAST.get(name, {}) | settings)
    return TuningTask(name, chosen, history or past(), TRAIN, VALIDATION, FitContext())
