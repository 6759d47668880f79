from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest

from shotspotter_assets.evaluation.fold_tables import hour_forecasts, type_forecasts
from shotspotter_assets.models.forecaster import FitContext, Fitted, log_losses
from shotspotter_assets.models.forecaster_registry import NEXT_DAY, hourly_forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History, HourlyHistory, TooFewEventsError, after_warm_up, split_days
from shotspotter_assets.models.next_day.daily_inputs import next_day_inputs, ordinary_days, rows_to_fit
from shotspotter_assets.models.next_day.lag_baselines import lag_features
from shotspotter_assets.models.next_hours.hourly_inputs import CELL_FEATURES, Rows, cell_features, hour_profile
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.models.tuning.sagemaker_tuning_job import packed, unpacked
from shotspotter_assets_tests.models import hours
from shotspotter_assets_tests.models.histories import (
    CITY,
    COVERED,
    FAST,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    build,
    context_of,
    history,
    shared_start,
)
from shotspotter_assets_tests.models.tuning.tasks import task_of

GAP = range(120, 140)  # longer than a silence that counts as an outage
UNKNOWN = [*GAP, 94, 205, *range(220, 229), 265, 266]  # one of them is 4 July, some validate, some test


def masked(fill: int, unknown: list[int] | range = UNKNOWN) -> History:
    """The small city with unknown days, on which `fill` is counted in every cell."""
    whole = history()
    known = np.ones(TEST.stop, dtype=bool)
    known[list(unknown)] = False
    counts = whole.counts.copy()
    evening = whole.evening.copy()
    counts[~known] = fill
    evening[~known] = fill
    return replace(whole, counts=counts, evening=evening, is_known=known)


@cache
def stack_of_all(fill: int) -> FittedStack:
    """Every forecaster of the registry except the networks, as members of one stack."""
    members = tuple(name for name in NEXT_DAY if name != "stack" and name not in FAST)
    return build("stack", members=members).fit(masked(fill), TRAIN, VALIDATION, FitContext(shared=shared_start()))


@pytest.mark.parametrize("name", [name for name in NEXT_DAY if name not in FAST])
def test_counts_of_unknown_days_change_no_fit_and_no_forecast(name: str) -> None:
    def fitted(fill: int) -> Fitted:
        stack = stack_of_all(fill)
        return stack if name == "stack" else stack.members[name]

    zeros = fitted(0)
    huge = fitted(60_000)
    np.testing.assert_array_equal(zeros.validation_probability, huge.validation_probability)
    np.testing.assert_array_equal(zeros.predict(masked(0), TEST), huge.predict(masked(60_000), TEST))


def test_silence_is_not_taken_for_unknown_days() -> None:
    silent = replace(masked(0), is_known=None)
    for inputs_of in (next_day_inputs, lag_features):
        assert not np.allclose(inputs_of(silent, TEST).values, inputs_of(masked(0), TEST).values)


def test_a_history_without_unknown_days_has_no_mask() -> None:
    whole = replace(history(), is_known=np.ones(TEST.stop, dtype=bool))
    assert whole.is_known is None
    assert whole.data_sha256() == history().data_sha256()
    of_hours = hours.quiet(hours.FIRST_DAY, 48)
    assert replace(of_hours, is_known=np.ones(48, dtype=bool)).is_known is None


def test_the_fingerprint_covers_which_days_are_unknown() -> None:
    silent = replace(masked(0), is_known=None)
    assert masked(0).data_sha256() == masked(7).data_sha256() != silent.data_sha256()
    assert masked(0).data_sha256(UNKNOWN[-1]) != masked(0, UNKNOWN[:-2]).data_sha256(UNKNOWN[-1])
    assert masked(0).data_sha256(90) == silent.data_sha256(90) == masked(0).through(90).data_sha256()


def test_a_gap_leaves_everything_but_the_calendar_as_it_was_before_it() -> None:
    past = masked(7, GAP)
    starts = ("log_occupied", "log_alerts", "log_city", "log_days_since", "yesterday", "late_yesterday", "alerts_yest")
    for inputs_of in (next_day_inputs, lag_features):
        inputs = inputs_of(past, [GAP.start, GAP.stop])
        at = [number for number, name in enumerate(inputs.names) if name.startswith(starts)]
        assert len(at) > 20
        np.testing.assert_allclose(inputs.values[1][:, at], inputs.values[0][:, at], rtol=1e-6)
        # A history may also be cut off within the gap.
        cut = past.through(GAP.start + 5)
        np.testing.assert_array_equal(inputs_of(cut, [cut.next_day]).values, inputs_of(past, [cut.next_day]).values)
    persistence = build("persistence").fit(past, TRAIN, VALIDATION)
    before = persistence.predict(past, GAP)[0]
    after = persistence.predict(past, range(GAP.stop, GAP.stop + 1))[0]
    np.testing.assert_array_equal(before, after)
    assert [day for day in range(96, 270) if not ordinary_days(past)[day] and day not in GAP] == []
    assert set(rows_to_fit(past, np.arange(110, 150)).day) == {*range(110, 120), *range(140, 150)}


def test_unknown_first_days_are_like_a_later_start() -> None:
    first = 40
    end = TEST.stop
    past = masked(7, range(first))
    whole = history()
    start = FIRST_DAY + timedelta(days=first)
    later = replace(whole, first_day=start, counts=whole.counts[first:], evening=whole.evening[first:])
    days = np.arange(first, end + 1)
    for inputs_of in (next_day_inputs, lag_features):
        np.testing.assert_allclose(inputs_of(past, days).values, inputs_of(later, days - first).values, rtol=1e-6)
    windows = range(VALIDATION.start - first), range(VALIDATION.start - first, VALIDATION.stop - first)
    for name in ("never", "city_mean", "historical_mean", "persistence", "ewma", "ew_kde", "new_city"):
        expected = build(name).fit(later, *windows, context_of(name)).predict(later, range(220, end - first))
        found = build(name).fit(past, TRAIN, VALIDATION, context_of(name)).predict(past, range(260, end))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in NEXT_DAY if name not in FAST])
def test_unknown_last_validation_days_are_like_a_shorter_window(name: str) -> None:
    past = masked(7, range(250, 260))
    shorter = range(200, 250)
    found, expected = (build(name).fit(past, TRAIN, days, context_of(name)) for days in (VALIDATION, shorter))
    np.testing.assert_allclose(found.validation_probability[:50], expected.validation_probability, rtol=1e-9)
    if name != "stack":  # its weeks are counted from the end of the window
        np.testing.assert_allclose(found.predict(past, TEST), expected.predict(past, TEST), rtol=1e-9)


@pytest.mark.networks
def test_networks_see_the_cells_mean_on_unknown_days_and_learn_from_others() -> None:
    past = masked(7)
    network = build("conv_lstm", start="nothing", class_weight=1.0).fit(past, TRAIN, VALIDATION)
    days = np.array([day for day in VALIDATION if day not in UNKNOWN])
    observed = past.counts[days][:, :, COVERED].transpose(0, 2, 1) > 0
    of_maps = np.concatenate([observed.any(axis=2, keepdims=True), observed[..., :3]], axis=2)
    losses = log_losses(network.predict_maps(past, VALIDATION)[days - VALIDATION.start], of_maps)
    assert network.chosen["history"]["val_loss"] == [pytest.approx(losses.mean(), rel=1e-4)]
    steady = History(CITY, FIRST_DAY, np.repeat(history().counts[:1], 30, axis=0), COVERED)
    gap = replace(steady, is_known=np.arange(30) % 3 != 1)
    np.testing.assert_allclose(network.predict(gap, range(20, 30)), network.predict(steady, range(20, 30)), rtol=1e-5)


def test_windows_without_a_known_day_are_refused() -> None:
    with pytest.raises(ValueError, match=r"small_city.*range\(200, 260\)"):
        build("ewma").fit(masked(0, VALIDATION), TRAIN, VALIDATION)


def test_a_search_compares_settings_on_known_days() -> None:
    tasks = [task_of("ewma", masked(fill).through(VALIDATION.stop)) for fill in (0, 7)]
    assert len(tasks[0].observed) == len(VALIDATION) - 10
    assert tasks[0].loss({}) == tasks[1].loss({})
    assert unpacked(packed(tasks[0])).key == tasks[1].key != task_of("ewma").key


HOURLY_TRAIN = range(110 * 24)
HOURLY_VALIDATION = range(110 * 24, 140 * 24)
HOURLY_TEST = range(140 * 24, 160 * 24)
UNKNOWN_DAYS = [60, 61, 62, 120, 150, 151]


def hourly(fill: int, unknown: list[int] | range = UNKNOWN_DAYS, days: int = 160) -> HourlyHistory:
    whole = hours.history(days * 24)
    dates = np.datetime64(hours.FIRST_DAY) + np.array(unknown)
    known = ~np.isin(whole.clock.day[: len(whole)], dates)
    counts = whole.counts.copy()
    counts[~known] = fill
    return replace(whole, counts=counts, is_known=known)


def test_counts_of_unknown_days_change_no_forecast_of_hours_and_types() -> None:
    def forecasts(fill: int) -> list:
        windows = hourly(fill), HOURLY_TRAIN, HOURLY_VALIDATION
        names = ("hourly_stack", "climatology")
        context = FitContext(horizons=(2,))
        models = {name: hourly_forecaster(name).fit(*windows, context) for name in names}
        types = GunshotTypes.fit(*windows)
        daily = hours.stored(hours.counts(160)).daily(hours.COVERED)
        typed = type_forecasts(types, {}, windows[0], daily, HOURLY_TEST)
        return [hour_forecasts(windows[0], models, HOURLY_TEST, [2]), typed]

    zeros = forecasts(0)
    huge = forecasts(60_000)
    for one, other in zip(zeros, huge, strict=True):
        assert one.equals(other)
        days = {(day - hours.FIRST_DAY).days for day in one["date"].to_pylist()}
        assert days - {160} == set(range(140, 160)) - set(UNKNOWN_DAYS)


@pytest.mark.parametrize("name", ["climatology", "self_exciting"])
def test_unknown_last_validation_hours_are_like_a_shorter_window(name: str) -> None:
    # The clock was put forward once.
    whole, shorter = (range(HOURLY_VALIDATION.start, day * 24 - 1) for day in (140, 130))
    past = hourly(7, range(130, 140))
    fits = [
        hourly_forecaster(name).fit(past, HOURLY_TRAIN, window, FitContext(horizons=(2,)))
        for window in (whole, shorter)
    ]
    issues = past.issues(HOURLY_TEST, 2)
    np.testing.assert_allclose(*(fitted.predict(past, issues, 2) for fitted in fits), rtol=1e-6)


def test_unknown_first_hours_are_like_a_later_start() -> None:
    first = 28
    past = hourly(7, range(first), 100)
    whole = hours.history(100 * 24)
    later = replace(whole, first_day=whole.first_day + timedelta(days=first), counts=whole.counts[first * 24 :])
    np.testing.assert_allclose(hour_profile(past, range(2400)), hour_profile(later, range(2400 - first * 24)))
    rows = Rows(np.repeat(np.arange(40), 33), np.tile(np.arange(33), 40))
    starts = ((past, 2000), (later, 2000 - first * 24))
    found, expected = (cell_features(one, range(at, at + 40), rows, np.ones(168)) for one, at in starts)
    # The level of the city returns to the usual one in a gap.
    at = [number for number, name in enumerate(CELL_FEATURES) if not name.startswith("log_city")]
    np.testing.assert_allclose(found[:, at], expected[:, at], rtol=1e-4, atol=1e-6)


def test_a_history_without_covered_cells_is_refused():
    first_day = history(30).first_day
    counts = history(30).counts
    with pytest.raises(TooFewEventsError, match=r"small_city\.yaml: targets\.gunfire"):
        History(CITY, first_day, counts, np.zeros_like(COVERED))


def test_a_history_ends_with_its_window():
    whole = history()
    short = whole.through(100)
    assert len(short.counts) == len(short.evening) == len(short.days()) == 100
    assert whole.through(290) is whole


def test_the_last_days_before_the_cutoff_are_for_validation():
    assert split_days(400, 60, 16) == (range(340), range(340, 400))
    with pytest.raises(ValueError, match=r"60 days .* 51 days .* 9 "):
        split_days(60, 9, 16)


def test_the_first_days_of_all_history_are_left_out_but_for_half_of_them():
    assert after_warm_up(range(400), 60) == range(60, 400)
    assert after_warm_up(range(100, 400), 60) == range(100, 400)
    assert after_warm_up(range(80), 60) == range(40, 80)
