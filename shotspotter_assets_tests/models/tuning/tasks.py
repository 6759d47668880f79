"""Searches on the made-up city of the forecasters' tests."""

from datetime import date
from functools import cache
from typing import Any

from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.registry import FORECASTERS
from shotspotter_assets.models.tuning.trials import TrialStore, TuningTask
from shotspotter_assets.models.tuning.tuned_settings import journal_of
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.models.histories import CITY, FAST, TRAIN, VALIDATION, history

FOLD = date(2021, 12, 17)


@cache
def past() -> History:
    return history().through(VALIDATION.stop)


def task_of(name: str, history: History | None = None, **settings: Any) -> TuningTask:
    chosen = FORECASTERS[name].settings(**FAST.get(name, {}) | settings)
    return TuningTask(name, chosen, history or past(), TRAIN, VALIDATION, FitContext())


def journal(root: object, name: str) -> TrialStore:
    return journal_of(Store(str(root)), CITY.name, FOLD, name)
