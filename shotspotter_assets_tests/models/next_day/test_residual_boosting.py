import numpy as np
import pytest

from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import is_same_for_all_cells, ordinary_days
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY, TRAIN, VALIDATION, fitted, history


def renewing() -> History:
    """A city whose cells have no risk that only rises or only falls with the days since their last alert."""
    random = np.random.default_rng(0)
    counts, since = np.zeros_like(history().counts), np.full(COVERED.shape, 2)
    for day in counts:
        day[0] = COVERED & (random.random(COVERED.shape) < np.where(since == 4, 0.7, 0.05))
        since = np.where(day[0] > 0, 1, since + 1)
    return History(CITY, FIRST_DAY, counts, COVERED)


def test_trees_learn_from_inputs_of_cells_what_the_regression_misses():
    past = renewing()
    boosting = forecaster("residual_boosting").fit(past, TRAIN, VALIDATION)
    ordinary = ordinary_days(past)[VALIDATION.start : VALIDATION.stop]
    observed = past.observed[VALIDATION.start : VALIDATION.stop][ordinary]
    loss = log_losses(boosting.validation_probability[ordinary], observed).mean()
    assert loss < boosting.regression.chosen["validation_log_loss"]
    assert boosting.chosen["validation_log_loss"] == pytest.approx(loss)
    assert boosting.chosen["trees"] == boosting.trees.num_trees() > 0
    seen = boosting.trees.feature_name()
    assert "log_days_since_last_alert_here" in seen
    assert not [name for name in seen if is_same_for_all_cells(name)]


def test_its_reasons_are_those_of_the_regression_and_means_have_none():
    boosting = fitted("residual_boosting")
    assert boosting.drivers(history(), 270) == boosting.regression.drivers(history(), 270)
    assert fitted("ewma").drivers(history(), 270) is None
