"""What all simple baselines keep; what each of them forecasts is in the tests of its module."""

import numpy as np
import pytest

from shotspotter_assets.models.next_day.kernel_density import EwKdeForecaster, KdeForecaster
from shotspotter_assets.models.next_day.means import (
    CityMeanForecaster,
    ExponentialMeanForecaster,
    HistoricalMeanForecaster,
    PersistenceForecaster,
    WeekdayMeanForecaster,
)
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.cities import COVERED, TEST, TRAIN, VALIDATION
from shotspotter_assets_tests.models.next_day.steady_city import HISTORY, forecast, history_of

KINDS = [
    CityMeanForecaster,
    HistoricalMeanForecaster,
    WeekdayMeanForecaster,
    PersistenceForecaster,
    ExponentialMeanForecaster,
    KdeForecaster,
    EwKdeForecaster,
]


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_the_test_days_and_keeps_what_was_chosen(kind):
    fitted = kind().fit(HISTORY, TRAIN, VALIDATION)
    probability = fitted.predict(HISTORY, TEST)
    assert probability.shape == (len(TEST), COVERED.sum())
    assert ((probability > 0) & (probability < 1)).all()
    # Without a bias that the eye would see: the city is steady.
    assert probability.mean() == pytest.approx(HISTORY.observed.mean(), rel=0.2)
    labels = HISTORY.observed[VALIDATION.start : VALIDATION.stop]
    assert fitted.settings["validation_log_loss"] == pytest.approx(
        log_losses(fitted.validation_probability, labels).mean()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_test_days_never_enter_a_fit(kind):
    middle = TEST.start + 15
    changed = HISTORY.observed.copy()
    changed[middle:] = ~changed[middle:]
    before, after = forecast(kind), forecast(kind, history_of(changed))
    assert before[1] == after[1]
    # Exactly equal up to the first changed day, which is itself forecast from the days before it.
    np.testing.assert_array_equal(before[0][:16], after[0][:16])
    assert (before[0][16:] != after[0][16:]).any() == (kind.name in ("persistence", "ewma", "ew_kde"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_forecaster_forecasts_the_same_and_the_next_day_too(kind):
    fitted = kind().fit(HISTORY, TRAIN, VALIDATION)
    loaded = kind().load(fitted.files())
    next_day = range(TEST.start, TEST.stop + 1)
    np.testing.assert_array_equal(loaded.predict(HISTORY, next_day), fitted.predict(HISTORY, next_day))
    assert loaded.settings == fitted.settings
    np.testing.assert_array_equal(loaded.predict(HISTORY, next_day)[:-1], fitted.predict(HISTORY, TEST))
    # Tomorrow is forecast as it would be with tomorrow counted already.
    tomorrow = fitted.predict(HISTORY.through(TEST.start), range(TEST.start, TEST.start + 1))
    np.testing.assert_allclose(tomorrow[0], fitted.predict(HISTORY, TEST)[0])
