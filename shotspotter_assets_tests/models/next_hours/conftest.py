from collections.abc import Callable

import numpy as np
import pytest

from shotspotter_assets.models.next_hours.baseline import FittedBaseline
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.hours import TEST, TRAIN, VALIDATION, history


@pytest.fixture(scope="package")
def baselines() -> dict[str, FittedBaseline]:
    """Fitted for the next hour and the next four."""
    return {
        name: entry.forecaster((1, 4)).fit(history(), TRAIN, VALIDATION)
        for name, entry in HOURLY_FORECASTERS.items()
        if entry.is_baseline
    }


@pytest.fixture(scope="package")
def loss(baselines: dict[str, FittedBaseline]) -> Callable[[str], float]:
    """Mean log loss of a baseline's forecasts of the next hour in the test days."""

    def mean_loss(name: str) -> float:
        issues = history().issues(TEST, 1)
        forecast = baselines[name].predict(history(), issues, 1)
        return float(np.mean(log_losses(forecast, history().occupied_within(1)[issues])))

    return mean_loss
