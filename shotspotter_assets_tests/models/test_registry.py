from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.models.forecaster import through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.models.next_day.features import is_same_for_all_cells, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.regime_regression import NothingToLearnError, OtherInputsError, fit_on_inputs
from shotspotter_assets.models.next_day.residual_conv_lstm import (
    LEVEL_DAYS,
    LEVEL_PRIOR,
    TRAIN_MODEL_FILE,
    recent_level,
)
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import FORECASTERS, UnknownForecasterError, forecaster
from shotspotter_assets_tests.models.histories import CITY, COVERED, TEST, TRAIN, VALIDATION, changed, history

FAST = {
    "conv_lstm": {"config": NetworkConfig(days=4, filters=2, recurrent_layers=1, epochs=1)},
    "residual_conv_lstm": {"epochs": 1},
}

SAME_EVERY_DAY = ("city_mean", "weekday_mean", "historical_mean", "kde")
"""Forecasters that are not moved by the latest days."""


@pytest.fixture(scope="module")
def fitted() -> dict:
    of = history()
    return {name: forecaster(name, **FAST.get(name, {})).fit(of, TRAIN, VALIDATION) for name in FORECASTERS}


@pytest.mark.parametrize("name", FORECASTERS)
def test_keeps_the_protocol(fitted, name):
    of = history()
    model = fitted[name]
    days = range(TEST.start, len(of.counts) + 1)
    probability = model.predict(of, days)
    assert probability.shape == (len(days), COVERED.sum())
    assert probability.dtype == np.float64
    assert (probability > 0).all()
    assert (probability < 1).all()
    assert model.validation_probability.shape == (len(VALIDATION), COVERED.sum())

    files = model.files()
    assert all(isinstance(content, bytes) for content in files.values())
    again = forecaster(name).load(files)
    np.testing.assert_allclose(again.predict(of, days), probability, rtol=1e-5)
    assert again.settings == model.settings

    # From the days before each day alone, whichever days are asked for.
    other = model.predict(changed(of, 275), days)
    np.testing.assert_allclose(other[:16], probability[:16], rtol=1e-5)
    if name not in SAME_EVERY_DAY:
        assert np.abs(other[16:] / probability[16:] - 1).max() > 1e-3
    np.testing.assert_allclose(model.predict(of, range(276, 277)), probability[16:17], rtol=1e-5)


@pytest.mark.parametrize("name", ["historical_mean", "ewma", "regime_regression", "residual_boosting"])
def test_a_fit_sees_nothing_after_its_windows(fitted, name):
    of = history()
    again = forecaster(name).fit(changed(of, VALIDATION.stop), TRAIN, VALIDATION)
    np.testing.assert_array_equal(again.predict(of, TEST), fitted[name].predict(of, TEST))


@pytest.mark.parametrize(
    "name", [name for name in FORECASTERS if name not in ("city_mean", "persistence", "conv_lstm")]
)
def test_learns_more_than_the_base_rate(fitted, name):
    of = history()
    observed = of.observed
    tested = np.array([day for day in TEST if str(of.days()[day]) not in ("2021-12-31", "2022-01-01")])
    loss = log_losses(fitted[name].predict(of, TEST)[tested - TEST.start], observed[tested]).mean()
    assert loss < log_losses(np.full(observed[tested].shape, observed[:260].mean()), observed[tested]).mean()


def test_the_network_is_never_worse_than_its_start_on_the_validation_window(fitted):
    of, window = through(history(), VALIDATION.stop), slice(VALIDATION.start, VALIDATION.stop)
    ordinary, network = ordinary_days(of)[window], fitted["residual_conv_lstm"]
    observed = of.observed[window][ordinary]
    loss = log_losses(network.validation_probability[ordinary], observed).mean()
    assert loss == pytest.approx(network.settings["validation_log_loss"])
    assert 0 <= network.settings["share"] <= 1

    days = range(VALIDATION.stop)
    inputs = next_day_inputs(of, days)
    logit = fit_on_inputs(of, inputs, TRAIN, VALIDATION)[0].logit(inputs)
    moved = expit(logit + recent_level(of, days, logit)[:, None])[window][ordinary]
    start = log_losses(moved, observed).mean()
    assert start == pytest.approx(network.settings["baseline_validation_log_loss"])
    assert loss <= start * (1 + 1e-9)


def test_the_network_is_measured_on_days_that_it_has_not_seen_and_then_fitted_on_them_too(fitted):
    of, days = through(history(), VALIDATION.stop), range(VALIDATION.stop)
    other = changed(of, VALIDATION.start)
    # The same regressions, as their penalty is chosen on the validation window.
    linear = fit_on_inputs(of, next_day_inputs(of, days), TRAIN, VALIDATION)
    again = forecaster("residual_conv_lstm", epochs=1).fit_on_linear(
        other, next_day_inputs(other, days), TRAIN, VALIDATION, *linear
    )
    first = fitted["residual_conv_lstm"]
    for before, after in zip(first.of_train.get_weights(), again.of_train.get_weights(), strict=True):
        np.testing.assert_allclose(before, after, atol=1e-4)
    assert np.abs(first.model.get_layer("hidden").kernel - again.model.get_layer("hidden").kernel).max() > 1e-3


def test_the_network_moves_the_regression_to_the_level_of_the_last_weeks():
    counts = np.zeros((290, 4, 6, 5), np.uint16)
    counts[::2, 0, COVERED] = 1
    of = History(CITY, history().first_day, counts, COVERED)
    cells = int(COVERED.sum())
    level = recent_level(of, range(10, 90), np.full((80, cells), np.log(3)))
    assert level[0] == 0.0
    # Occupied on every other day, where three days of four are expected.
    expected = np.log((LEVEL_DAYS * cells / 2 + LEVEL_PRIOR) / (LEVEL_DAYS * cells * 3 / 4 + LEVEL_PRIOR))
    np.testing.assert_allclose(level[LEVEL_DAYS:], expected)
    later = recent_level(changed(of, 80), range(10, 90), np.full((80, cells), np.log(3)))
    np.testing.assert_array_equal(later[:72], level[:72])
    assert (later[72:] > level[72:]).all()


def test_trees_learn_what_the_regression_misses_from_inputs_that_cells_do_not_share():
    of = history()
    random = np.random.default_rng(0)
    counts, since = np.zeros_like(of.counts), np.full(COVERED.shape, 2)
    for day in counts:
        # No risk that only rises or only falls with the days since the last alert.
        day[0] = COVERED & (random.random(COVERED.shape) < np.where(since == 4, 0.7, 0.05))
        since = np.where(day[0] > 0, 1, since + 1)
    of = History(CITY, of.first_day, counts, COVERED)
    boosting = forecaster("residual_boosting").fit(of, TRAIN, VALIDATION)
    ordinary = ordinary_days(of)[VALIDATION.start : VALIDATION.stop]
    observed = of.observed[VALIDATION.start : VALIDATION.stop][ordinary]
    loss = log_losses(boosting.validation_probability[ordinary], observed).mean()
    assert loss < 0.9 * boosting.linear.settings["validation_log_loss"]
    assert boosting.settings["validation_log_loss"] == pytest.approx(loss)
    assert boosting.settings["trees"] == boosting.booster.num_trees() > 0
    seen = boosting.booster.feature_name()
    assert "log_days_since_last_alert_here" in seen
    assert not [name for name in seen if is_same_for_all_cells(name)]
    # As stored and loaded again.
    again = forecaster("residual_boosting").load(boosting.files())
    np.testing.assert_allclose(again.predict(of, TEST), boosting.predict(of, TEST), rtol=1e-9)


def test_firework_days_are_forecast_from_earlier_ones(fitted):
    of = history()
    new_year = int(np.flatnonzero(of.days() == np.datetime64("2021-12-31"))[0])
    for name in ("regime_regression", "residual_boosting", "residual_conv_lstm"):
        probability = fitted[name].predict(of, range(new_year - 1, new_year + 1))
        assert probability[1].mean() > 2 * probability[0].mean()


def test_a_network_goes_on_from_an_earlier_one(fitted):
    start = fitted["residual_conv_lstm"]
    more = forecaster("residual_conv_lstm", warm_epochs=1, warm_learning_rate=0.0).fit(
        history(), range(210), range(210, 270), start
    )
    assert more.settings["went_on_from_an_earlier_network"]
    for network in ("model", "of_train"):
        weights = (getattr(of, network).get_weights() for of in (start, more))
        for before, after in zip(*weights, strict=True):
            np.testing.assert_array_equal(before, after)


def test_refuses_a_window_with_nothing_to_learn_and_an_unknown_name():
    silent = History(CITY, history().first_day, np.zeros((290, 4, 6, 5), np.uint16), COVERED)
    with pytest.raises(NothingToLearnError, match="small_city"):
        forecaster("regime_regression").fit(silent, TRAIN, VALIDATION)
    with pytest.raises(UnknownForecasterError, match="residual_boosting"):
        forecaster("oracle")


def test_refuses_inputs_of_another_version(fitted):
    without_hours = history(late=False)
    with pytest.raises(OtherInputsError, match="fit it again"):
        fitted["regime_regression"].predict(without_hours, TEST)

    network = fitted["residual_conv_lstm"]
    few = {name: getattr(network.linear, name)[:20] for name in ("names", "weights", "mean", "scale")}
    with pytest.raises(OtherInputsError, match="regression was fitted on other inputs"):
        replace(network, linear=replace(network.linear, **few)).predict(history(), TEST)
    files = network.files()
    del files[TRAIN_MODEL_FILE]
    with pytest.raises(OtherInputsError, match=r"residual_conv_lstm is of an earlier version; fit it again\."):
        forecaster("residual_conv_lstm").load(files)
