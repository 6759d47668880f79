from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets_tests.models.hours import TRAIN, VALIDATION, counts, history, of_counts


def test_near_repeats_beat_the_hour_of_week(loss):
    assert loss("self_exciting") < loss("ewma_hour_of_week") < loss("climatology")


def test_the_strength_of_near_repeats_is_found(baselines):
    _, own_cell, near_cells = baselines["self_exciting"].models[1].strengths
    # Repeats come in the next hour: whatever the half-life, that is what its first hour tells.
    assert 0.1 < own_cell < 0.25
    assert near_cells < 0.05
    calm = of_counts(counts(repeats=0.0))
    without = SelfExciting(horizons=(1,)).fit(calm, TRAIN, VALIDATION).models[1].strengths
    assert without[1] + without[2] < 0.05


def test_what_is_triggered_is_over_after_four_hours():
    assert list(SelfExciting(horizons=(4, 6)).fit(history(), TRAIN, VALIDATION).models) == [4]
