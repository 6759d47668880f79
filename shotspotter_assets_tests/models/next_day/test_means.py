import json

import numpy as np
import pytest

from shotspotter_assets.models.next_day.means import (
    PSEUDO_DAYS,
    CityMeanForecaster,
    ExponentialMeanForecaster,
    HistoricalMeanForecaster,
    NeverForecaster,
    PersistenceForecaster,
    WeekdayMeanForecaster,
)
from shotspotter_assets.models.probability import MIN_PROBABILITY, log_losses
from shotspotter_assets_tests.evaluation.cities import COVERED, TEST
from shotspotter_assets_tests.models.next_day.steady_city import HISTORY, changing_city, forecast, history_of, loss


def test_never_is_the_smallest_probability():
    probability, settings = forecast(NeverForecaster)
    assert (probability == MIN_PROBABILITY).all()
    assert settings == {"probability": MIN_PROBABILITY}


def test_city_mean_is_the_frequency_before_the_cutoff():
    assert forecast(CityMeanForecaster)[0] == pytest.approx(HISTORY.observed[: TEST.start].mean())


def test_historical_mean_is_the_best_pseudo_count_of_the_validation_window():
    observed = HISTORY.observed
    train, validation, both = observed[:260], observed[260:320], observed[:320]
    losses = [
        log_losses((train.sum(0) + pseudo * train.mean()) / (260 + pseudo), validation).mean() for pseudo in PSEUDO_DAYS
    ]
    probability, settings = forecast(HistoricalMeanForecaster)
    assert settings["pseudo_days"] == PSEUDO_DAYS[int(np.argmin(losses))]
    assert settings["validation_log_loss"] == pytest.approx(min(losses))
    expected = (both.sum(0) + settings["pseudo_days"] * both.mean()) / (320 + settings["pseudo_days"])
    np.testing.assert_allclose(probability, np.broadcast_to(expected, (40, len(expected))))


def test_a_historical_mean_of_an_earlier_version_is_read():
    files = {"mean.json": json.dumps({"frequency": [0.1, 0.2], "settings": {"pseudo_days": 3}}).encode()}
    loaded = HistoricalMeanForecaster().load(files)
    assert loaded.predict(HISTORY, range(2)).tolist() == [[0.1, 0.2], [0.1, 0.2]]
    assert loaded.files() == files


def test_what_knows_weekdays_and_places_beats_one_rate_in_a_city_of_hot_spots():
    assert loss(forecast(WeekdayMeanForecaster)[0]) < loss(forecast(CityMeanForecaster)[0])


def test_persistence_is_the_two_frequencies_after_an_alert_and_after_none():
    probability, _ = forecast(PersistenceForecaster)
    observed = HISTORY.observed
    yesterday, today = observed[: TEST.start - 1], observed[1 : TEST.start]
    assert probability[observed[TEST.start - 1 : -1]] == pytest.approx(today[yesterday].mean(), rel=0.05)
    assert probability[~observed[TEST.start - 1 : -1]] == pytest.approx(today[~yesterday].mean(), rel=0.05)


def test_weekday_mean_finds_a_city_that_is_loud_on_saturdays():
    random = np.random.default_rng(4)
    is_saturday = np.arange(360) % 7 == 1  # 1 January 2021 was a Friday
    loud = history_of(random.random((360, COVERED.sum())) < np.where(is_saturday, 0.4, 0.05)[:, None])
    probability, _ = forecast(WeekdayMeanForecaster, loud)
    tested = is_saturday[TEST.start : TEST.stop]
    assert probability[tested].mean() == pytest.approx(0.4, abs=0.04)
    assert probability[~tested].mean() == pytest.approx(0.05, abs=0.02)
    assert loss(probability, loud) < loss(forecast(CityMeanForecaster, loud)[0], loud) - 0.03


def test_weekday_mean_of_a_window_shorter_than_a_week_is_finite():
    assert np.isfinite(forecast(WeekdayMeanForecaster, HISTORY, range(4), range(4, 6), range(6, 12))[0]).all()


def test_ewma_follows_a_city_that_changes():
    assert forecast(HistoricalMeanForecaster, changing_city())[0].mean() < 0.15
    assert 0.2 < forecast(ExponentialMeanForecaster, changing_city())[0].mean() < 0.3
