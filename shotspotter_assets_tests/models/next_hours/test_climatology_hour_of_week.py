import pytest

from shotspotter_assets_tests.models.hours import TEST, history


def test_the_hour_of_week_beats_the_climatology(loss):
    assert loss("climatology_hour_of_week") < loss("climatology")


def test_it_expects_as_many_occupied_cells_as_there_were(baselines):
    issues = history().issues(range(TEST.start), 4)
    forecast = baselines["climatology_hour_of_week"].predict(history(), issues, 4)
    assert forecast.sum() == pytest.approx(history().occupied_within(4)[issues].sum(), rel=1e-3)
