from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.grid.dates import WEEK_HOURS
from shotspotter_assets.models.forecaster import HORIZONS, FittedHourly, log_losses
from shotspotter_assets.models.forecaster_registry import hourly_forecaster
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.hourly_forecaster import predict_all
from shotspotter_assets.models.stack import HOURLY_MEMBERS, FittedStack, combined_hours
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, of_counts
from shotspotter_assets_tests.models.next_hours.test_next_hours import fit
from shotspotter_assets_tests.models.next_hours.test_next_hours import fitted as fitted_once
from shotspotter_assets_tests.models.test_stack import Known

BEFORE = range(100 * 24)
WEIGHED = range(100 * 24, 240 * 24)
LATER = range(240 * 24, 360 * 24)


def town() -> tuple[HourlyHistory, Array]:
    """(history, true probability) of a busy city whose places differ, and whose rates fall to half after a while."""
    random = np.random.default_rng(0)
    hours = LATER.stop
    cells = int(COVERED.sum())
    fall = np.where(np.arange(hours) < 180 * 24, 1.0, 0.5)
    truth = np.clip(random.gamma(0.7, 0.05, cells) * fall[:, None], 1e-4, 0.9)
    alerts = np.zeros((hours, 4, cells), np.uint16)
    alerts[:, 0] = random.random(truth.shape) < truth
    return HourlyHistory(history().city, history().first_day, alerts, COVERED), truth


PAST, TRUTH = town()
FLAT = np.broadcast_to(TRUTH[:1].mean(), TRUTH.shape)
STEADY = np.broadcast_to(TRUTH[0], TRUTH.shape)


def stack_of(past: HourlyHistory = PAST, **forecasts: Array) -> FittedStack:
    """The stack of one hour."""
    members = {name: FittedHourly({1: Known(p, p[past.issues(WEIGHED, 1)])}) for name, p in forecasts.items()}
    return combined_hours(members, past, BEFORE, WEIGHED, (1,)).models[1]


def later(stack: FittedStack, past: HourlyHistory = PAST) -> Array:
    return stack.predict(past, past.issues(LATER, 1))


@pytest.fixture(scope="module")
def fitted() -> FittedHourly:
    return fitted_once("hourly_stack")


@pytest.mark.parametrize("horizon", [1, 4])
def test_it_is_no_worse_than_any_member(fitted, horizon):
    issues = history().issues(TEST, horizon)
    observed = history().occupied_within(horizon)[issues]
    stack = fitted.models[horizon]
    models = (stack, *stack.members.values())
    own, *others = (log_losses(model.predict(history(), issues), observed).mean() for model in models)
    assert own < 1.01 * min(others)


def test_the_level_follows_a_city_that_changes():
    forecast = later(stack_of(next_hours=STEADY, self_exciting=STEADY))
    observed = PAST.occupied[LATER.start :]
    assert STEADY[LATER.start :].sum() / observed.sum() > 1.8
    assert forecast[30 * 24 :].sum() / observed[30 * 24 :].sum() == pytest.approx(1, abs=0.1)


def test_the_weights_of_an_hour_rest_on_weeks_that_are_over():
    stack = stack_of(next_hours=TRUTH, self_exciting=FLAT)
    noise = PAST.counts.copy()
    cut = LATER.start + 3 * WEEK_HOURS
    noise[cut:, 0] = np.random.default_rng(3).random(noise[cut:, 0].shape) < 0.3
    before = later(stack)
    after = later(stack, replace(PAST, counts=noise))
    changed = np.flatnonzero((before != after).any(axis=1))
    # The last hour before an issue may be running, so the week counts from the hour after.
    assert changed[0] == cut + WEEK_HOURS + 1 - LATER.start
    noise[WEIGHED.start + 3 * WEEK_HOURS :] = 1
    assert stack_of(replace(PAST, counts=noise), next_hours=TRUTH, self_exciting=FLAT).chosen != stack.chosen


def test_hours_forecast_one_by_one_have_the_weights_of_all():
    stack = stack_of(next_hours=TRUTH, self_exciting=FLAT)
    issue = LATER.start + 2 * WEEK_HOURS + 30
    one = stack.predict(replace(PAST, counts=PAST.counts[:issue]), np.array([issue]))
    np.testing.assert_allclose(one[0], later(stack)[issue - LATER.start], rtol=1e-12)


def test_firework_nights_move_no_weights_and_mix_in_the_regression():
    loud = PAST.counts.copy()
    night = WEIGHED.start + np.flatnonzero(PAST.clock.fireworks[WEIGHED.start : WEIGHED.stop])
    loud[night, 0] = 1
    stack, other = (stack_of(past, next_hours=TRUTH, self_exciting=FLAT) for past in (PAST, replace(PAST, counts=loud)))
    assert stack.chosen == other.chosen
    early = replace(stack, learned_until=PAST.starts[night[0]])
    nearly_sure = np.where(np.isin(np.arange(len(TRUTH)), night)[:, None], 0.9, TRUTH)
    sure = replace(early, members={**stack.members, "next_hours": Known(nearly_sure)})
    assert (sure.predict(PAST, night) > 0.45).all()
    assert (early.predict(PAST, night) < 0.4).all()


def test_the_number_of_alerts_is_off_by_as_much_as_the_probability(fitted):
    for horizon, model in fitted.models.items():
        issues = history().issues(TEST, horizon)
        probability = fitted.predict(history(), issues, horizon)
        expected = model.counts.distribution(probability, np.zeros((len(issues), 1), bool)).expected
        came = sum(int(history().alerts[issues + step].sum()) for step in range(horizon))
        level = probability.sum() / history().occupied_within(horizon)[issues].sum()
        assert expected.sum() / came == pytest.approx(level, rel=0.05)


def test_a_stored_stack_forecasts_the_same(fitted):
    files = fitted.files()
    own = ("model.json", "next_hours.model.json", "self_exciting.model.json")
    assert {f"{horizon}h.{name}" for horizon in (1, 4) for name in own} == set(files)
    again = hourly_forecaster("hourly_stack").load(files)
    assert again.chosen == fitted.chosen
    for horizon in (1, 4):
        assert list(again.models[horizon].members) == list(HOURLY_MEMBERS)
        issues = history().issues(TEST, horizon)
        found, expected = (model.predict(history(), issues, horizon) for model in (again, fitted))
        np.testing.assert_array_equal(found, expected)
        assert again.models[horizon].counts == fitted.models[horizon].counts


def test_a_silent_validation_window_is_refused():
    silent = counts()
    silent[VALIDATION.start : VALIDATION.stop] = 0
    with pytest.raises(HourlyHistoryError, match="made_up_city, validation hours"):
        fit("hourly_stack", of_counts(silent), 1)


def test_a_coverage_that_has_changed_since_the_fit_is_forecast():
    of_fit = COVERED.copy()
    of_fit[3, 3] = of_fit[4, 5] = False
    alerts = counts()
    past = HourlyHistory(history().city, history().first_day, alerts[:, :, of_fit], of_fit)
    fitted = hourly_forecaster("hourly_stack").fit(past, TRAIN, VALIDATION)
    before, after = (predict_all(fitted, later, TEST.start + 5) for later in (past, of_counts(alerts)))
    joined = ~of_fit[COVERED]
    assert after.shape == (len(HORIZONS), COVERED.sum())
    assert ((after > 0) & (after < 1)).all()
    # The other cells are forecast as they were, except for what the new neighbours and their share of the city's rate tell.
    np.testing.assert_allclose(after[:, ~joined], before, rtol=0.25)
