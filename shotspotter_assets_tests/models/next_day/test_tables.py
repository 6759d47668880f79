from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.forecaster import Forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_features import exponential_mean
from shotspotter_assets.models.next_day.tables import (
    HALF_LIVES,
    HISTORY_SHARES,
    SIMPLE_BASELINES,
    WIDTHS,
    CityMeanForecaster,
    EwKdeForecaster,
    KdeForecaster,
    PersistenceForecaster,
    WeekdayMeanForecaster,
)
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, counts

CITY = City.model_validate(
    {
        "name": "made_up",
        "time_zone": "America/New_York",
        "start": "2021-01-01",
        "box": {"west": -77.1, "south": 38.8, "east": -77.0, "north": 38.9},
        "grid": {"rows": 6, "columns": 6},
        "source": {"kind": "simulated", "seed": 1, "alerts_per_day": 5},
    }
)
HISTORY = History(CITY, FIRST_DAY, counts(), COVERED)


def history(occupied: np.ndarray, covered: np.ndarray = COVERED, first_day: date = FIRST_DAY) -> History:
    """A history of single gunshots, shape (days, cells)."""
    alerts = np.zeros((len(occupied), 4, *covered.shape), dtype=np.uint16)
    alerts[:, 0][:, covered] = occupied
    return History(CITY, first_day, alerts, covered)


def forecast(kind, of: History = HISTORY, train=TRAIN, validation=VALIDATION, test=TEST):
    fitted = kind().fit(of, train, validation)
    return fitted.predict(of, test), fitted.settings


def loss(probability: np.ndarray, of: History = HISTORY) -> float:
    return float(log_losses(probability, of.observed[TEST.start : TEST.stop]).mean())


@pytest.mark.parametrize("name", SIMPLE_BASELINES)
def test_forecasts_the_test_days_and_says_what_was_chosen(name):
    forecaster: Forecaster = SIMPLE_BASELINES[name]()
    assert forecaster.name == name
    fitted = forecaster.fit(HISTORY, TRAIN, VALIDATION)
    probability = fitted.predict(HISTORY, TEST)
    assert probability.shape == (len(TEST), COVERED.sum())
    assert ((probability > 0) & (probability < 1)).all()
    # Without a bias that the eye would see: the city is steady.
    assert probability.mean() == pytest.approx(HISTORY.observed.mean(), rel=0.2)
    labels = HISTORY.observed[VALIDATION.start : VALIDATION.stop]
    assert fitted.settings["validation_log_loss"] == pytest.approx(
        log_losses(fitted.validation_probability, labels).mean()
    )


@pytest.mark.parametrize("name", SIMPLE_BASELINES)
def test_labels_of_test_days_never_enter_a_fit(name):
    middle = TEST.start + 15
    changed = HISTORY.observed.copy()
    changed[middle:] = ~changed[middle:]
    before, after = forecast(SIMPLE_BASELINES[name]), forecast(SIMPLE_BASELINES[name], history(changed))
    assert before[1] == after[1]
    # Exactly equal up to the first changed day, which is itself forecast from the days before it.
    np.testing.assert_array_equal(before[0][:16], after[0][:16])
    follows = name in ("persistence", "ew_kde")
    assert (before[0][16:] != after[0][16:]).any() == follows


@pytest.mark.parametrize("name", SIMPLE_BASELINES)
def test_a_stored_forecaster_forecasts_the_same_and_the_next_day_too(name):
    forecaster = SIMPLE_BASELINES[name]()
    fitted = forecaster.fit(HISTORY, TRAIN, VALIDATION)
    loaded = forecaster.load(fitted.files())
    next_day = range(TEST.start, TEST.stop + 1)
    np.testing.assert_array_equal(loaded.predict(HISTORY, next_day), fitted.predict(HISTORY, next_day))
    assert loaded.settings == fitted.settings
    np.testing.assert_array_equal(loaded.predict(HISTORY, next_day)[:-1], fitted.predict(HISTORY, TEST))
    # Tomorrow is forecast as it would be with tomorrow counted already.
    short = replace(HISTORY, counts=HISTORY.counts[: TEST.start])
    np.testing.assert_allclose(
        fitted.predict(short, range(TEST.start, TEST.start + 1))[0], fitted.predict(HISTORY, TEST)[0]
    )


def test_what_knows_places_beats_one_rate_in_a_city_of_hot_spots():
    losses = {name: loss(forecast(kind)[0]) for name, kind in SIMPLE_BASELINES.items()}
    assert losses["weekday_mean"] < losses["city_mean"]
    assert losses["ew_kde"] < losses["city_mean"]
    # The hot spots of this city have nothing to do with their neighbours: a narrow kernel is chosen.
    assert forecast(KdeForecaster)[1]["width_cells"] == 0.5


def test_city_mean_is_the_frequency_before_the_cutoff():
    assert forecast(CityMeanForecaster)[0] == pytest.approx(HISTORY.observed[: TEST.start].mean())


def test_persistence_is_the_two_frequencies_after_an_alert_and_after_none():
    probability, _ = forecast(PersistenceForecaster)
    observed = HISTORY.observed
    yesterday, today = observed[: TEST.start - 1], observed[1 : TEST.start]
    assert probability[observed[TEST.start - 1 : -1]] == pytest.approx(today[yesterday].mean(), rel=0.05)
    assert probability[~observed[TEST.start - 1 : -1]] == pytest.approx(today[~yesterday].mean(), rel=0.05)


def test_weekday_mean_finds_a_city_that_is_loud_on_saturdays():
    random = np.random.default_rng(4)
    is_saturday = np.arange(360) % 7 == 1  # 1 January 2021 was a Friday
    of = history(random.random((360, COVERED.sum())) < np.where(is_saturday, 0.4, 0.05)[:, None])
    probability, _ = forecast(WeekdayMeanForecaster, of)
    tested = is_saturday[TEST.start : TEST.stop]
    assert probability[tested].mean() == pytest.approx(0.4, abs=0.04)
    assert probability[~tested].mean() == pytest.approx(0.05, abs=0.02)
    assert loss(probability, of) < loss(forecast(CityMeanForecaster, of)[0], of) - 0.03


def test_weekday_mean_of_a_window_shorter_than_a_week_is_finite():
    assert np.isfinite(forecast(WeekdayMeanForecaster, HISTORY, range(4), range(4, 6), range(6, 12))[0]).all()


def test_kde_shares_a_rate_among_neighbours():
    random = np.random.default_rng(5)
    row = np.arange(20)
    rate = (0.02 + 0.3 * np.exp(-((row[:, None] - 10) ** 2 + (row[None] - 10) ** 2) / 18)).ravel()
    observed = random.random((50, 400)) < rate
    of = history(observed, np.ones((20, 20), dtype=bool))
    probability, settings = forecast(KdeForecaster, of, range(20), range(20, 30), range(30, 50))
    assert settings["width_cells"] >= 1
    own_cell = (observed[:30].sum(axis=0) + 1) / 32
    assert np.abs(probability[0] - rate).mean() < 0.7 * np.abs(own_cell - rate).mean()


def test_ew_kde_is_the_best_setting_of_the_validation_window():
    _, settings = forecast(EwKdeForecaster)
    assert settings["width_cells"] in WIDTHS
    assert settings["half_life_days"] in HALF_LIVES
    assert settings["history"] in HISTORY_SHARES
    daily = HISTORY.observed.astype(float)
    past, recent = exponential_mean(daily, np.inf), exponential_mean(daily, 720)
    # Nearly the setting with the narrowest kernel, which is one of those tried.
    unsmoothed = (0.75 * past + 0.25 * recent)[VALIDATION.start : VALIDATION.stop]
    best_plain = log_losses(unsmoothed, HISTORY.observed[VALIDATION.start : VALIDATION.stop]).mean()
    assert settings["validation_log_loss"] <= best_plain + 0.01


def test_ew_kde_follows_a_city_that_changes():
    random = np.random.default_rng(2)
    of = history(random.random(HISTORY.observed.shape) < np.where(np.arange(360) < 200, 0.02, 0.25)[:, None])
    assert 0.2 < forecast(EwKdeForecaster, of)[0].mean() < 0.3
    assert forecast(CityMeanForecaster, of)[0].mean() < 0.15
