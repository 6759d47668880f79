import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.baselines import CLIMATOLOGY, HOUR_OF_WEEK, HourBaseline, fit_hour_baselines
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.hours import (
    COVERED,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    city,
    counts,
    history,
)

HOUR = 1


@pytest.fixture(scope="module")
def baselines() -> dict[str, HourBaseline]:
    return fit_hour_baselines(history(), TRAIN, VALIDATION, TEST, HOUR)


def loss(baseline: HourBaseline) -> float:
    observed = history().occupied_within(HOUR)[history().issues(TEST, HOUR)]
    return float(log_losses(baseline.probability, observed).mean())


def test_the_hour_of_week_beats_the_climatology_and_near_repeats_beat_both(baselines):
    assert list(baselines) == [CLIMATOLOGY, *HOUR_OF_WEEK]
    for name in HOUR_OF_WEEK:
        assert loss(baselines[name]) < loss(baselines[CLIMATOLOGY])
    assert loss(baselines["self_exciting"]) < loss(baselines["ewma_hour_of_week"])


def test_the_strength_of_near_repeats_is_found(baselines):
    settings = baselines["self_exciting"].settings
    # Repeats come in the next hour: whatever the half-life, that is what its first hour has to say.
    assert 0.1 < settings["own_cell"] < 0.25
    assert settings["near_cells"] < 0.05
    calm = HourlyHistory(city(), FIRST_DAY, counts(repeats=0.0), COVERED)
    without = fit_hour_baselines(calm, TRAIN, VALIDATION, TEST, HOUR)["self_exciting"].settings
    assert without["own_cell"] + without["near_cells"] < 0.05


def test_climatology_is_the_frequency_of_the_days_before_the_test(baselines):
    observed = history().occupied_within(HOUR)[: TEST.start]
    pseudo = 24 * baselines[CLIMATOLOGY].settings["pseudo_days"]
    expected = (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)
    np.testing.assert_allclose(baselines[CLIMATOLOGY].probability[5], expected)


def test_test_hours_never_enter_a_fit(baselines):
    changed = counts()
    middle = TEST.start + 300
    changed[middle:] = 2
    again = fit_hour_baselines(HourlyHistory(city(), FIRST_DAY, changed, COVERED), TRAIN, VALIDATION, TEST, HOUR)
    for name, baseline in baselines.items():
        np.testing.assert_allclose(again[name].probability[:301], baseline.probability[:301], rtol=1e-5)


def test_what_is_triggered_is_over_after_four_hours():
    assert "self_exciting" not in fit_hour_baselines(history(), TRAIN, VALIDATION, TEST, 6)
