"""Searches on the made-up city of the forecasters' tests."""

from functools import cache
from typing import Any

from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.registry import FORECASTERS
from shotspotter_assets.models.tuning.task import TuningTask
from shotspotter_assets_tests.models.histories import FAST, TRAIN, VALIDATION, history


@cache
def past() -> History:
    return history().through(VALIDATION.stop)


def task_of(name: str, history: History | None = None, **settings: Any) -> TuningTask:
    chosen = FORECASTERS[name].settings(**FAST.get(name, {}) | settings)
    return TuningTask(name, chosen, history or past(), TRAIN, VALIDATION, FitContext())
