from typing import Any

import numpy as np
import pytest

from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.simple_baselines import SimpleBaseline
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, counts
from shotspotter_assets_tests.made_up_city import made_up_city

CITY = made_up_city("made_up", (-77.1, 38.8, -77.0, 38.9), (6, 6))
HISTORY = History(CITY, FIRST_DAY, counts(), COVERED)
OBSERVED = HISTORY.observed


def forecast(name: str, history: History = HISTORY) -> tuple[Any, Any]:
    fitted = forecaster(name).fit(history, TRAIN, VALIDATION)
    return fitted.predict(history, TEST), fitted.chosen


def test_historical_mean_has_the_best_pseudo_count_on_validation():
    train = OBSERVED[:260]
    validation = OBSERVED[260:320]
    both = OBSERVED[:320]
    tried = [choices["pseudo_days"] for choices in forecaster("historical_mean").grid]
    shrunk = [(train.sum(0) + pseudo * train.mean()) / (260 + pseudo) for pseudo in tried]
    losses = [log_losses(probability, validation).mean() for probability in shrunk]
    probability, settings = forecast("historical_mean")
    assert settings["pseudo_days"] == tried[int(np.argmin(losses))]
    assert settings["validation_log_loss"] == pytest.approx(min(losses))
    expected = (both.sum(0) + settings["pseudo_days"] * both.mean()) / (320 + settings["pseudo_days"])
    np.testing.assert_allclose(probability, np.broadcast_to(expected, (40, len(expected))))


def test_persistence_has_one_frequency_after_an_alert_and_one_after_none():
    probability, _ = forecast("persistence")
    yesterday = OBSERVED[: TEST.start - 1]
    today = OBSERVED[1 : TEST.start]
    assert probability[OBSERVED[TEST.start - 1 : -1]] == pytest.approx(today[yesterday].mean(), rel=0.05)
    assert probability[~OBSERVED[TEST.start - 1 : -1]] == pytest.approx(today[~yesterday].mean(), rel=0.05)


def test_ewma_follows_a_city_that_changes():
    alerts = np.zeros((360, 4, *COVERED.shape), dtype=np.uint16)
    random = np.random.default_rng(2)
    rate = np.where(np.arange(360) < 200, 0.02, 0.25)[:, None]
    alerts[:, 0][:, COVERED] = random.random(OBSERVED.shape) < rate
    past = History(CITY, FIRST_DAY, alerts, COVERED)
    present = past.observed[TEST.start : TEST.stop].mean()
    of_mean, of_ewma = (forecast(name, past)[0].mean() for name in ("historical_mean", "ewma"))
    assert of_mean < present
    assert abs(of_ewma - present) < (present - of_mean) / 2


def test_recency_weighted_map_has_the_best_choices_on_validation():
    probability, settings = forecast("ew_kde")
    ours, of_mean = (log_losses(one, OBSERVED[TEST]).mean() for one in (probability, forecast("city_mean")[0]))
    assert ours < of_mean
    assert any(choices.items() <= settings.items() for choices in forecaster("ew_kde").grid)
    # Nearly the setting with the narrowest kernel, which is one of those tried.
    window = slice(VALIDATION.start, VALIDATION.stop)
    daily = OBSERVED.astype(float)
    unsmoothed = (0.75 * exponential_mean(daily, np.inf) + 0.25 * exponential_mean(daily, 720))[window]
    assert settings["validation_log_loss"] <= log_losses(unsmoothed, OBSERVED[window]).mean() + 0.01


@pytest.mark.parametrize("name", [name for name in BASELINES if isinstance(forecaster(name), SimpleBaseline)])
def test_simple_baselines_state_their_loss_and_are_without_bias(name):
    fitted = forecaster(name).fit(HISTORY, TRAIN, VALIDATION)
    labels = OBSERVED[VALIDATION.start : VALIDATION.stop]
    assert fitted.chosen["validation_log_loss"] == pytest.approx(
        log_losses(fitted.validation_probability, labels).mean()
    )
    assert name == "never" or fitted.predict(HISTORY, TEST).mean() == pytest.approx(OBSERVED.mean(), rel=0.2)
