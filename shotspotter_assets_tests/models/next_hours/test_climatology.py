from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import FORECASTERS, NEXT_HOURS, forecaster
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.hours import TEST, TRAIN, VALIDATION, counts, history, of_counts

BASELINES = [name for name in NEXT_HOURS if FORECASTERS[name].is_baseline]


def fit(name: str, past: HourlyHistory, *horizons: int) -> FittedHourly:
    return forecaster(name).fit(past, TRAIN, VALIDATION, FitContext(horizons=horizons))


@cache
def fitted(name: str) -> FittedHourly:
    return fit(name, history(), 1, 4)


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
    without = fit("self_exciting", calm, 1).models[1].strengths
    assert without[1] + without[2] < own_cell


@pytest.mark.parametrize("name", BASELINES)
def test_a_stored_baseline_forecasts_the_same(name):
    again = forecaster(name).load(fitted(name).files())
    issues = history().issues(TEST, 4)
    for horizon in fitted(name).models:
        found, expected = (model.predict(history(), issues, horizon) for model in (again, fitted(name)))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", BASELINES)
def test_validation_hours_choose_settings_and_test_hours_never_enter_a_fit(name):
    later = history().issues(TEST, 1)[:301]
    changed = counts()
    changed[TEST.start + 300 :] = 2
    spoiled = of_counts(changed)
    again = fit(name, spoiled, 1)
    np.testing.assert_allclose(again.predict(spoiled, later, 1), fitted(name).predict(history(), later, 1), rtol=1e-5)
    changed[VALIDATION.start :] = np.roll(changed[VALIDATION.start :], 7, axis=-1)
    spoiled = of_counts(changed)
    again = fit(name, spoiled, 1)
    before, after = (some.models[1].validation_probability[0] for some in (fitted(name), again))
    # The strength of the shrinkage is tuned on the validation hours; places are not learned from them.
    assert spearmanr(before, after).statistic > 0.95
