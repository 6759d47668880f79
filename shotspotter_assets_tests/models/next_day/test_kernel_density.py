import numpy as np

from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.next_day.kernel_density import (
    HALF_LIVES,
    HISTORY_SHARES,
    WIDTHS,
    EwKdeForecaster,
    KdeForecaster,
)
from shotspotter_assets.models.next_day.means import CityMeanForecaster
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.cities import VALIDATION
from shotspotter_assets_tests.models.next_day.steady_city import HISTORY, changing_city, forecast, history_of, loss


def test_a_narrow_kernel_is_chosen_for_hot_spots_that_have_nothing_to_do_with_their_neighbours():
    assert forecast(KdeForecaster)[1]["width_cells"] == 0.5
    assert loss(forecast(EwKdeForecaster)[0]) < loss(forecast(CityMeanForecaster)[0])


def test_kde_shares_a_rate_among_neighbours():
    random = np.random.default_rng(5)
    row = np.arange(20)
    rate = (0.02 + 0.3 * np.exp(-((row[:, None] - 10) ** 2 + (row[None] - 10) ** 2) / 18)).ravel()
    observed = random.random((50, 400)) < rate
    hill = history_of(observed, np.ones((20, 20), dtype=bool))
    probability, settings = forecast(KdeForecaster, hill, range(20), range(20, 30), range(30, 50))
    assert settings["width_cells"] >= 1
    own_cell = (observed[:30].sum(axis=0) + 1) / 32
    assert np.abs(probability[0] - rate).mean() < 0.7 * np.abs(own_cell - rate).mean()


def test_ew_kde_is_the_best_setting_of_the_validation_window():
    _, settings = forecast(EwKdeForecaster)
    assert settings["width_cells"] in WIDTHS
    assert settings["half_life_days"] in HALF_LIVES
    assert settings["history"] in HISTORY_SHARES
    daily, window = HISTORY.observed.astype(float), slice(VALIDATION.start, VALIDATION.stop)
    # Nearly the setting with the narrowest kernel, which is one of those tried.
    unsmoothed = (0.75 * exponential_mean(daily, np.inf) + 0.25 * exponential_mean(daily, 720))[window]
    best_plain = log_losses(unsmoothed, HISTORY.observed[window]).mean()
    assert settings["validation_log_loss"] <= best_plain + 0.01


def test_ew_kde_follows_a_city_that_changes():
    assert 0.2 < forecast(EwKdeForecaster, changing_city())[0].mean() < 0.3
    assert forecast(CityMeanForecaster, changing_city())[0].mean() < 0.15
