from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly
from shotspotter_assets.models.next_hours.hourly_registry import HOURLY_FORECASTERS
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.hours import TEST, TRAIN, VALIDATION, counts, history, of_counts

BASELINES = [name for name, entry in HOURLY_FORECASTERS.items() if entry.is_baseline]


@cache
def fitted(name: str) -> FittedHourly:
    return HOURLY_FORECASTERS[name]((1, 4)).fit(history(), TRAIN, VALIDATION)


def loss(name: str) -> float:
    issues = history().issues(TEST, 1)
    forecast = fitted(name).predict(history(), issues, 1)
    return float(np.mean(log_losses(forecast, history().occupied_within(1)[issues])))


def test_near_repeats_beat_the_climatology():
    assert loss("self_exciting") < loss("climatology")


def test_the_strength_of_near_repeats_is_found():
    _, own_cell, near_cells = fitted("self_exciting").models[1].strengths
    assert own_cell > near_cells
    calm = of_counts(counts(repeats=0.0))
    without = SelfExciting(horizons=(1,)).fit(calm, TRAIN, VALIDATION).models[1].strengths
    assert without[1] + without[2] < own_cell


@pytest.mark.parametrize("name", BASELINES)
def test_a_stored_baseline_forecasts_the_same(name):
    again = HOURLY_FORECASTERS[name].load(fitted(name).files())
    issues = history().issues(TEST, 4)
    for horizon in fitted(name).models:
        np.testing.assert_array_equal(
            again.predict(history(), issues, horizon), fitted(name).predict(history(), issues, horizon)
        )


@pytest.mark.parametrize("name", BASELINES)
def test_validation_hours_choose_settings_and_test_hours_never_enter_a_fit(name):
    first, later = np.array([VALIDATION.start]), history().issues(TEST, 1)[:301]
    changed = counts()
    changed[TEST.start + 300 :] = 2
    spoiled = of_counts(changed)
    again = HOURLY_FORECASTERS[name]((1,)).fit(spoiled, TRAIN, VALIDATION)
    np.testing.assert_allclose(again.predict(spoiled, later, 1), fitted(name).predict(history(), later, 1), rtol=1e-5)
    changed[VALIDATION.start :] = np.roll(changed[VALIDATION.start :], 7, axis=-1)
    spoiled = of_counts(changed)
    again = HOURLY_FORECASTERS[name]((1,)).fit(spoiled, TRAIN, VALIDATION)
    before, after = fitted(name).on_train.predict(history(), first, 1)[0], again.on_train.predict(spoiled, first, 1)[0]
    # The strength of the shrinkage is tuned on the validation hours; places are not learned from them.
    assert spearmanr(before, after).statistic > 0.95
