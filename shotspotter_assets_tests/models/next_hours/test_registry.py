import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets_tests.models.hours import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, city, counts, history

BASELINES = [name for name, entry in HOURLY_FORECASTERS.items() if entry.is_baseline]


def test_all_but_the_regression_are_baselines():
    assert list(HOURLY_FORECASTERS) == ["next_hours", *BASELINES]


@pytest.mark.parametrize("name", BASELINES)
def test_test_hours_never_enter_a_fit(name, baselines):
    changed = counts()
    middle = TEST.start + 300
    changed[middle:] = 2
    spoiled = HourlyHistory(city(), FIRST_DAY, changed, COVERED)
    again = HOURLY_FORECASTERS[name].forecaster((1,)).fit(spoiled, TRAIN, VALIDATION)
    issues = history().issues(TEST, 1)
    np.testing.assert_allclose(
        again.predict(spoiled, issues, 1)[:301], baselines[name].predict(history(), issues, 1)[:301], rtol=1e-5
    )


@pytest.mark.parametrize("name", BASELINES)
def test_four_hours_are_likelier_than_one_and_forecast_from_every_cell(name, baselines):
    issues = history().issues(TEST, 4)
    four, one = (baselines[name].predict(history(), issues, horizon) for horizon in (4, 1))
    assert four.shape == (len(issues), COVERED.sum())
    assert 2 * one.mean() < four.mean() < 4 * one.mean()
