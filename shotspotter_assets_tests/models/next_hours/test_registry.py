import numpy as np
import pytest
from scipy.stats import spearmanr

from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, of_counts

BASELINES = [name for name, entry in HOURLY_FORECASTERS.items() if entry.is_baseline]


def test_all_but_the_regression_and_the_stack_are_baselines():
    assert list(HOURLY_FORECASTERS) == ["hourly_stack", "next_hours", *BASELINES]


@pytest.mark.parametrize("name", BASELINES)
def test_files_hold_the_whole_baseline(name, baselines):
    again = HOURLY_FORECASTERS[name].forecaster(()).load(baselines[name].files())
    issues = history().issues(TEST, 4)
    for horizon in baselines[name].models:
        np.testing.assert_array_equal(
            again.predict(history(), issues, horizon), baselines[name].predict(history(), issues, horizon)
        )


@pytest.mark.parametrize("name", BASELINES)
def test_what_is_fitted_on_the_training_hours_takes_settings_alone_from_the_validation_hours(name, baselines):
    changed = counts()
    changed[VALIDATION.start :] = np.roll(changed[VALIDATION.start :], 7, axis=-1)
    spoiled = of_counts(changed)
    again = HOURLY_FORECASTERS[name].forecaster((1,)).fit(spoiled, TRAIN, VALIDATION)
    first = np.array([VALIDATION.start])
    before, after = (
        fitted.predict(past, first, 1)[0]
        for fitted, past in ((baselines[name].on_train, history()), (again.on_train, spoiled))
    )
    # How much is shrunk is tuned on the validation hours; where alerts are likely is not learned from them.
    assert spearmanr(before, after).statistic > 0.95


@pytest.mark.parametrize("name", BASELINES)
def test_test_hours_never_enter_a_fit(name, baselines):
    changed = counts()
    middle = TEST.start + 300
    changed[middle:] = 2
    spoiled = of_counts(changed)
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


@pytest.mark.parametrize(
    ("name", "next_hour", "four_hours"),
    [
        ("hourly_stack", [0.309148, 0.077224], [0.502039, 0.290517]),
        ("next_hours", [0.369735, 0.061793], [0.515597, 0.28023]),
        ("climatology", [0.039983, 0.028889], [0.138705, 0.099489]),
        ("climatology_hour_of_week", [0.120409, 0.088052], [0.33546, 0.24934]),
        ("ewma_hour_of_week", [0.097206, 0.07123], [0.301628, 0.2285]),
        ("self_exciting", [0.191747, 0.060392], [0.399587, 0.215697]),
    ],
)
def test_a_changed_constant_changes_the_forecast_of_an_evening(name, next_hour, four_hours):
    fitted = HOURLY_FORECASTERS[name].forecaster((1, 4)).fit(history(), TRAIN, VALIDATION)
    evening = np.array([TEST.start + 20, TEST.start + 12 * 24 + 20])
    # Where the regression's solver stops depends on the processor.
    rel = 1e-3 if name in BASELINES else 5e-3
    for horizon, expected in ((1, next_hour), (4, four_hours)):
        assert fitted.predict(history(), evening, horizon)[1, [3, 20]] == pytest.approx(expected, rel=rel)
