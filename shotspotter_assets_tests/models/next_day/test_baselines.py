import numpy as np
import pytest

from shotspotter_assets.models.forecaster import ModelForecast
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.baselines import fit_baselines
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, counts
from shotspotter_assets_tests.models.histories import CITY

NAMES = list(BASELINES)


@pytest.fixture(scope="module")
def baselines() -> dict[str, ModelForecast]:
    return fit_baselines(history(counts()), TRAIN, VALIDATION, TEST)


def history(alerts: np.ndarray) -> History:
    return History(CITY, FIRST_DAY, alerts, COVERED)


def test_all_learn_more_than_the_base_rate_and_never_has_no_skill(baselines):
    assert list(baselines) == NAMES
    assert all(baseline.seconds >= 0 for baseline in baselines.values())
    observed = history(counts()).observed
    test = observed[TEST.start :]
    base_rate = np.full(test.shape, observed[: TEST.start].mean())
    losses = {name: log_losses(baseline.probability, test).mean() for name, baseline in baselines.items()}
    assert losses["never"] > log_losses(base_rate, test).mean()
    knows_places = [name for name in NAMES if name not in ("never", "city_mean", "persistence")]
    assert all(losses[name] < log_losses(base_rate, test).mean() for name in knows_places)


def test_refuses_a_window_with_nothing_to_learn():
    with pytest.raises(ValueError, match="covered cells"):
        fit_baselines(history(np.zeros((360, 4, 6, 6), dtype=np.uint16)), TRAIN, VALIDATION, TEST)
