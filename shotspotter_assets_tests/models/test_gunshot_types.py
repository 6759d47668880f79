from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.models import gunshot_types
from shotspotter_assets.models.forecaster_registry import NetworkSettings
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork
from shotspotter_assets_tests.models import hours
from shotspotter_assets_tests.models.hours import TEST, TRAIN, VALIDATION, counts, history, of_counts

THREE = gunshot_types.AlertRows(np.full(3, TEST.start), TEST.start + np.arange(3), np.arange(3))  # three alerts


@pytest.fixture(scope="module")
def fitted() -> gunshot_types.GunshotTypes:
    return gunshot_types.GunshotTypes.fit(history(), TRAIN, VALIDATION)


def forecast(model: gunshot_types.GunshotTypes, made: HourlyHistory) -> tuple[np.ndarray, np.ndarray]:
    alerts = gunshot_types.typed_alerts(made).within(TEST)
    rows = alerts.forecast_rows(made)
    return model.predict(made, rows), gunshot_types.trailing_mix(made, rows.issue)


def test_place_improves_on_the_trailing_mix(fitted):
    model, mix = forecast(fitted, history())
    alerts = gunshot_types.typed_alerts(history()).within(TEST)
    np.testing.assert_allclose(model.sum(axis=1), 1)
    assert gunshot_types.type_losses(model, alerts).sum() < gunshot_types.type_losses(mix, alerts).sum()


def test_alerts_without_a_type_and_alerts_from_the_day_on_change_nothing(fitted):
    changed = counts()
    changed[:, 3] += 2
    changed[TEST.start :] = 1
    made = of_counts(changed)
    found, expected = (fitted.predict(one, THREE) for one in (made, history()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(*(gunshot_types.trailing_mix(one, THREE.issue) for one in (made, history())))


def test_at_a_lead_the_days_in_between_change_nothing():
    ahead = replace(history(), lead=3)
    changed = counts()
    fitted = gunshot_types.GunshotTypes.fit(ahead, TRAIN, VALIDATION)
    day = TEST.start + 48
    changed[day - 48 :] = 1
    at = day + np.arange(3)
    issues = ahead.day_issues(at)
    assert (issues == day - 48).all()
    # The history may end where the lead begins.
    after = replace(of_counts(changed), lead=3)
    short = replace(history(day - 48), lead=3)
    rows = gunshot_types.AlertRows(issues, at, np.arange(3))
    expected, *found = (fitted.predict(one, rows) for one in (ahead, after, short))
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)


def test_a_networks_maps_of_types_give_their_mix(fitted):
    daily = hours.stored(counts()).daily(hours.COVERED)
    chances = np.array([0.5, 0.2, 0.1, 0.05])

    class Maps(FittedNetwork):
        def predict_maps(self, made, days):
            return np.tile(chances, (len(days), int(made.in_coverage.sum()), 1))

    network = Maps(NetworkSettings(), (), np.zeros(0), np.ones(0), chosen={})
    mixes = gunshot_types.type_mixes(fitted, {"network": network, "ewma": None}, history(), daily, THREE)
    assert list(mixes) == ["type_regression", "trailing_mix", "network"]
    np.testing.assert_allclose([mix().sum(axis=1) for mix in mixes.values()], 1)
    # The network of a city that forecasts another crime has no maps of gunshot types.
    robberies = replace(history(), city=hours.city(event_types={"robbery": ["x"]}, targets={"robbery": ["robbery"]}))
    assert "network" not in gunshot_types.type_mixes(fitted, {"network": network}, robberies, daily, THREE)
    days = daily.days(more=3)[[-5, -1]]
    mix = gunshot_types.network_mix(network, daily, days, np.array([0, 4]))
    expected = -np.log1p(-chances[1:])
    np.testing.assert_allclose(mix, np.tile(expected / expected.sum(), (2, 1)))


def test_labels_that_change_their_meaning_are_not_relied_on(fitted):
    changed = counts()
    # From the validation on, what was single or multiple is shuffled: place has no effect any more.
    random = np.random.default_rng(1)
    both = changed[VALIDATION.start :, :2].sum(axis=1, dtype=np.int64)
    single = random.binomial(both, 0.5)
    changed[VALIDATION.start :, 0] = single
    changed[VALIDATION.start :, 1] = both - single
    made = of_counts(changed)
    model = gunshot_types.GunshotTypes.fit(made, TRAIN, VALIDATION)
    assert model.regression_weight < fitted.regression_weight
    ours, mix = forecast(model, made)
    alerts = gunshot_types.typed_alerts(made).within(TEST)
    assert gunshot_types.type_losses(ours, alerts).sum() < 1.03 * gunshot_types.type_losses(mix, alerts).sum()


def test_a_type_that_never_occurred_is_not_impossible():
    changed = counts()
    changed[:, 1] += changed[:, 2]
    changed[:, 2] = 0
    made = of_counts(changed)
    ours, _ = forecast(gunshot_types.GunshotTypes.fit(made, TRAIN, VALIDATION), made)
    assert (ours > 0).all()
    assert ours[:, 2].max() < ours[:, :2].min()


def test_files_hold_it(fitted):
    loaded = gunshot_types.GunshotTypes.load(fitted.files())
    np.testing.assert_allclose(loaded.predict(history(), THREE), fitted.predict(history(), THREE))
    assert loaded.regression_weight == fitted.regression_weight


def test_a_city_without_types_is_refused():
    untyped = counts()
    untyped[:, 3] += untyped[:, :3].sum(axis=1)
    untyped[:, :3] = 0
    with pytest.raises(HourlyHistoryError, match="0 alerts"):
        gunshot_types.GunshotTypes.fit(of_counts(untyped), TRAIN, VALIDATION)
