from datetime import date

import numpy as np
import pytest

from shotspotter_assets.models.forecaster import ModelForecast, NothingToLearnError
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.baselines import FoldRangeError, fit_baselines
from shotspotter_assets.models.next_day.means import PSEUDO_DAYS
from shotspotter_assets.models.probability import MIN_PROBABILITY, log_losses
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, counts
from shotspotter_assets_tests.models.histories import CITY

NAMES = list(BASELINES)


@pytest.fixture(scope="module")
def baselines() -> dict[str, ModelForecast]:
    return fit_baselines(history(counts()), TRAIN, VALIDATION, TEST)


def history(alerts: np.ndarray, first_day: date = FIRST_DAY) -> History:
    return History(CITY, first_day, alerts, COVERED)


def test_each_forecasts_a_probability_for_every_test_day_and_cell(baselines):
    assert list(baselines) == NAMES
    for baseline in baselines.values():
        assert baseline.probability.shape == (len(TEST), COVERED.sum())
        assert baseline.probability.dtype == np.float64
        assert (baseline.probability >= MIN_PROBABILITY).all()
        assert (baseline.probability < 1).all()
        assert baseline.seconds >= 0


def test_all_learn_more_than_the_base_rate_and_never_has_no_skill(baselines):
    observed = history(counts()).observed
    test = observed[TEST.start :]
    base_rate = np.full(test.shape, observed[: TEST.start].mean())
    losses = {name: log_losses(baseline.probability, test).mean() for name, baseline in baselines.items()}
    assert losses["never"] > log_losses(base_rate, test).mean()
    knows_places = [name for name in NAMES if name not in ("never", "city_mean", "persistence")]
    assert all(losses[name] < log_losses(base_rate, test).mean() for name in knows_places)


def test_historical_mean_is_the_best_pseudo_count_of_the_validation_window(baselines):
    observed = history(counts()).observed
    train, validation, both = observed[:260], observed[260:320], observed[:320]
    losses = [
        log_losses((train.sum(0) + pseudo * train.mean()) / (260 + pseudo), validation).mean() for pseudo in PSEUDO_DAYS
    ]
    settings = baselines["historical_mean"].settings
    assert settings["pseudo_days"] == PSEUDO_DAYS[int(np.argmin(losses))]
    assert settings["validation_log_loss"] == pytest.approx(min(losses))
    expected = (both.sum(0) + settings["pseudo_days"] * both.mean()) / (320 + settings["pseudo_days"])
    np.testing.assert_allclose(baselines["historical_mean"].probability, np.broadcast_to(expected, (40, len(expected))))


def test_test_days_never_enter_a_fit_and_forecasts_use_only_days_before(baselines):
    changed = counts()
    middle = TEST.start + 15
    changed[middle:] = 7
    again = fit_baselines(history(changed), TRAIN, VALIDATION, TEST)
    for name, before in baselines.items():
        assert again[name].settings == before.settings
        # Exactly equal up to the first changed day, which is itself forecast from the days before it.
        np.testing.assert_array_equal(again[name].probability[:16], before.probability[:16])
    assert (again["ewma"].probability[16:] != baselines["ewma"].probability[16:]).any()
    assert (again["logistic_regression"].probability[16:] != baselines["logistic_regression"].probability[16:]).any()
    np.testing.assert_array_equal(again["historical_mean"].probability, baselines["historical_mean"].probability)


def test_ewma_follows_a_city_that_changes():
    random = np.random.default_rng(2)
    alerts = np.zeros((360, 4, 6, 6), dtype=np.uint16)
    rate = np.where(np.arange(360) < 200, 0.02, 0.25)[:, None, None]
    alerts[:, 0] = random.random((360, 6, 6)) < rate
    found = fit_baselines(history(alerts, date(2021, 1, 1)), TRAIN, VALIDATION, TEST)
    assert found["historical_mean"].probability.mean() < 0.15
    assert 0.2 < found["ewma"].probability.mean() < 0.3


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        (range(100), range(110, 120), range(120, 130)),  # a gap
        (range(100), range(90, 120), range(120, 130)),  # validation within training
        (range(100), range(100, 120), range(115, 130)),  # test within validation
        (range(100), range(100, 120), range(120, 400)),  # beyond the day axis
        (range(100), range(100, 100), range(100, 120)),  # nothing to tune on
    ],
)
def test_refuses_ranges_that_do_not_follow_each_other(train, validation, test):
    with pytest.raises(FoldRangeError, match="must follow each other"):
        fit_baselines(history(counts()), train, validation, test)


def test_refuses_a_window_with_nothing_to_learn():
    with pytest.raises(NothingToLearnError, match="covered cells"):
        fit_baselines(history(np.zeros((360, 4, 6, 6), dtype=np.uint16)), TRAIN, VALIDATION, TEST)
