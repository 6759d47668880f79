import numpy as np
import pytest

from shotspotter_assets.models.gunshot_types import GunshotTypes, trailing_mix, type_losses, typed_alerts
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets_tests.models.hours import TEST, TRAIN, VALIDATION, counts, history, of_counts

THREE = np.full(3, TEST.start), TEST.start + np.arange(3), np.arange(3)
"""Issues, hours and cells of three alerts."""


@pytest.fixture(scope="module")
def fitted() -> GunshotTypes:
    return GunshotTypes.fit(history(), TRAIN, VALIDATION)


def forecast(model: GunshotTypes, made: HourlyHistory) -> tuple[np.ndarray, np.ndarray]:
    alerts = typed_alerts(made).within(TEST)
    issues = made.day_beginnings(alerts.hour)
    return model.predict(made, issues, alerts.hour, alerts.cell), trailing_mix(made, issues)


def test_place_improves_on_the_trailing_mix(fitted):
    model, mix = forecast(fitted, history())
    alerts = typed_alerts(history()).within(TEST)
    np.testing.assert_allclose(model.sum(axis=1), 1)
    assert type_losses(model, alerts).sum() < type_losses(mix, alerts).sum()


def test_alerts_without_a_type_and_alerts_from_the_day_on_change_nothing(fitted):
    changed = counts()
    changed[:, 3] += 2
    changed[TEST.start :] = 1
    made = of_counts(changed)
    found, expected = (fitted.predict(one, *THREE) for one in (made, history()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(trailing_mix(made, THREE[0]), trailing_mix(history(), THREE[0]))


def test_labels_that_change_their_meaning_are_not_relied_on(fitted):
    changed = counts()
    # From the validation on, what was single or multiple is shuffled: place has no effect any more.
    random = np.random.default_rng(1)
    both = changed[VALIDATION.start :, :2].sum(axis=1, dtype=np.int64)
    single = random.binomial(both, 0.5)
    changed[VALIDATION.start :, 0], changed[VALIDATION.start :, 1] = single, both - single
    made = of_counts(changed)
    model = GunshotTypes.fit(made, TRAIN, VALIDATION)
    assert model.regression_weight < fitted.regression_weight
    ours, mix = forecast(model, made)
    alerts = typed_alerts(made).within(TEST)
    assert type_losses(ours, alerts).sum() < 1.03 * type_losses(mix, alerts).sum()


def test_a_type_that_never_occurred_is_not_impossible():
    changed = counts()
    changed[:, 1] += changed[:, 2]
    changed[:, 2] = 0
    made = of_counts(changed)
    ours, _ = forecast(GunshotTypes.fit(made, TRAIN, VALIDATION), made)
    assert (ours > 0).all()
    assert ours[:, 2].max() < ours[:, :2].min()


def test_files_hold_it(fitted):
    loaded = GunshotTypes.load(fitted.files())
    np.testing.assert_allclose(loaded.predict(history(), *THREE), fitted.predict(history(), *THREE))
    assert loaded.regression_weight == fitted.regression_weight


def test_a_city_without_types_is_refused():
    untyped = counts()
    untyped[:, 3] += untyped[:, :3].sum(axis=1)
    untyped[:, :3] = 0
    with pytest.raises(HourlyHistoryError, match="made_up_city: 0 typed alerts"):
        GunshotTypes.fit(of_counts(untyped), TRAIN, VALIDATION)
