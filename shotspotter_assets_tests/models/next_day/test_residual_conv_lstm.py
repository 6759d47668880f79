from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from shotspotter_assets.models.forecaster import FitContext, OtherInputsError
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.regime_regression import FitData, fit_regressions
from shotspotter_assets.models.next_day.residual_conv_lstm import (
    OFFSET_DAYS,
    OFFSET_PRIOR,
    TRAIN_MODEL_FILE,
    recent_offset,
)
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets_tests.models.histories import (
    CITY,
    COVERED,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    build,
    changed,
    fitted,
    history,
)


def test_it_is_never_worse_than_its_start_on_the_validation_window():
    network, data = fitted("residual_conv_lstm"), FitData.make(history(), TRAIN, VALIDATION)
    window = slice(VALIDATION.start, VALIDATION.stop)
    ordinary = ordinary_days(data.history)[window]
    observed = data.history.observed[window][ordinary]
    loss = log_losses(network.validation_probability[ordinary], observed).mean()
    assert loss == pytest.approx(network.settings["validation_log_loss"])
    assert 0 <= network.settings["share"] <= 1

    days = range(VALIDATION.stop)
    log_odds = fit_regressions(data).train.logit(data.every_input)
    moved = expit(log_odds + recent_offset(data.history, days, log_odds)[:, None])[window][ordinary]
    start = log_losses(moved, observed).mean()
    assert start == pytest.approx(network.settings["baseline_validation_log_loss"])
    assert loss <= start * (1 + 1e-9)


def test_it_is_measured_on_days_that_it_has_not_seen_and_then_fitted_on_them_too():
    # The same regressions, as their penalty is chosen on the validation window.
    regressions = fit_regressions(FitData.make(history(), TRAIN, VALIDATION))
    other = FitData.make(changed(history().through(VALIDATION.stop), VALIDATION.start), TRAIN, VALIDATION)
    again = build("residual_conv_lstm").fit_on_regressions(other, regressions)
    first = fitted("residual_conv_lstm")
    for before, after in zip(first.train_model.get_weights(), again.train_model.get_weights(), strict=True):
        np.testing.assert_allclose(before, after, atol=1e-4)
    assert np.abs(first.model.get_layer("hidden").kernel - again.model.get_layer("hidden").kernel).max() > 1e-3


def test_the_regression_is_moved_by_the_offset_of_the_last_weeks():
    counts = np.zeros((290, 4, 6, 5), np.uint16)
    counts[::2, 0, COVERED] = 1
    steady = History(CITY, FIRST_DAY, counts, COVERED)
    cells = int(COVERED.sum())
    offset = recent_offset(steady, range(10, 90), np.full((80, cells), np.log(3)))
    assert offset[0] == 0.0
    # Occupied on every other day, where three days of four are expected.
    expected = np.log((OFFSET_DAYS * cells / 2 + OFFSET_PRIOR) / (OFFSET_DAYS * cells * 3 / 4 + OFFSET_PRIOR))
    np.testing.assert_allclose(offset[OFFSET_DAYS:], expected)
    later = recent_offset(changed(steady, 80), range(10, 90), np.full((80, cells), np.log(3)))
    np.testing.assert_array_equal(later[:72], offset[:72])
    assert (later[72:] > offset[72:]).all()


def test_it_goes_on_from_an_earlier_network():
    earlier = fitted("residual_conv_lstm")
    later = build("residual_conv_lstm", warm_epochs=1, warm_learning_rate=0.0).fit(
        history(), range(210), range(210, 270), FitContext(earlier=earlier)
    )
    assert later.settings["went_on_from_an_earlier_network"]
    for network in ("model", "train_model"):
        weights = (getattr(fit, network).get_weights() for fit in (earlier, later))
        for before, after in zip(*weights, strict=True):
            np.testing.assert_array_equal(before, after)


def test_its_distance_to_where_it_starts_widens_intervals():
    network = replace(fitted("residual_conv_lstm"), settings={"share": 1.0})
    below, above = network.spread(history(), 270)
    start = replace(network, settings={"share": 0.0}).predict(history(), range(270, 271))[0]
    served = network.predict(history(), range(270, 271))[0]
    np.testing.assert_allclose(below + above, logit(start) - logit(served), atol=1e-6)
    assert (below <= 0).all()
    assert (above >= 0).all()
    assert network.drivers(history(), 270) == network.regression.drivers(history(), 270)


def test_other_inputs_and_files_of_an_earlier_version_are_refused():
    network = fitted("residual_conv_lstm")
    few = {name: getattr(network.regression, name)[:20] for name in ("names", "slopes", "mean", "scale")}
    with pytest.raises(OtherInputsError, match="regression was fitted on other inputs"):
        replace(network, regression=replace(network.regression, **few)).predict(history(), TEST)
    files = network.files()
    del files[TRAIN_MODEL_FILE]
    with pytest.raises(OtherInputsError, match=r"residual_conv_lstm is of an earlier version; fit it again\."):
        forecaster("residual_conv_lstm").load(files)
