"""A made-up city of steady hot spots, and histories of given occupied cells, for the tests of the simple baselines."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, counts
from shotspotter_assets_tests.made_up_city import made_up_city

CITY = made_up_city("made_up", (-77.1, 38.8, -77.0, 38.9), (6, 6))
HISTORY = History(CITY, FIRST_DAY, counts(), COVERED)


def history_of(occupied: np.ndarray, in_coverage: np.ndarray = COVERED, first_day: date = FIRST_DAY) -> History:
    alerts = np.zeros((len(occupied), 4, *in_coverage.shape), dtype=np.uint16)
    alerts[:, 0][:, in_coverage] = occupied
    return History(CITY, first_day, alerts, in_coverage)


def forecast(name: str, history: History = HISTORY) -> tuple[Any, Any]:
    fitted = forecaster(name).fit(history, TRAIN, VALIDATION)
    return fitted.predict(history, TEST), fitted.chosen


def loss(probability: np.ndarray, history: History = HISTORY) -> float:
    return float(log_losses(probability, history.observed[TEST.start : TEST.stop]).mean())


def changing_city() -> History:
    random = np.random.default_rng(2)
    return history_of(random.random(HISTORY.observed.shape) < np.where(np.arange(360) < 200, 0.02, 0.25)[:, None])
