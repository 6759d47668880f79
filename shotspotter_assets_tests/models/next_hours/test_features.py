from datetime import UTC, date, datetime

import numpy as np
import pytest

from shotspotter_assets.models.next_hours.features import (
    CELL_FEATURES,
    HourlyHistory,
    HourlyHistoryError,
    Rows,
    ahead,
    calendar,
    cell_features,
    hour_profile,
    issues_of_days,
    recursive_mean,
    window_features,
)
from shotspotter_assets_tests.models.hours import COVERED, FIRST_DAY, city, counts, history

CELLS = int(COVERED.sum())


def quiet(first_day: date, hours: int) -> HourlyHistory:
    return HourlyHistory(city(), first_day, np.zeros((hours, 4, 6, 6), np.uint16), COVERED)


@pytest.mark.parametrize("half_life", [1.0, 30.0, np.inf])
@pytest.mark.parametrize("hours", [range(1, 40), range(17, 40), range(39, 40)])
def test_recursive_mean_is_its_definition(half_life, hours):
    values = np.random.default_rng(0).poisson(0.5, (40, 3)).astype(np.float32)
    for at, hour in enumerate(hours):
        weights = 2.0 ** (-(hour - 1 - np.arange(hour)) / half_life)
        expected = weights @ values[:hour] / weights.sum()
        np.testing.assert_allclose(recursive_mean(values, hours, half_life)[at], expected, rtol=1e-4)


def test_the_clock_is_the_citys_own_on_days_of_23_and_25_hours():
    spring, autumn = calendar(quiet(date(2021, 3, 14), 23)), calendar(quiet(date(2021, 11, 7), 25))
    assert spring.hour[:25].tolist() == [0, 1, *range(3, 24), 0, 1]
    assert autumn.hour[:27].tolist() == [0, 1, 1, *range(2, 24), 0, 1]
    assert spring.hour_of_week[:2].tolist() == [144, 145]
    assert spring.hour_of_week[23] == 0


def test_last_year_is_the_same_hour_of_the_same_date():
    year = quiet(date(2020, 2, 1), 24 * 800)
    clock = calendar(year)
    hour = year.hour_at(datetime(2021, 7, 5, 1, tzinfo=UTC))
    assert year.starts[clock.last_year[hour]] == np.datetime64("2020-07-05T01:00:00")
    assert clock.fireworks[hour]
    assert clock.peak[hour] == pytest.approx(2.0 ** (-3 / 3))


def test_occupied_within_looks_ahead_over_the_horizon_only():
    of = history()
    for horizon in (1, 4):
        seen = of.occupied_within(horizon)
        assert len(seen) == len(of) - horizon + 1
        for hour in (0, 100, len(seen) - 1):
            np.testing.assert_array_equal(seen[hour], (of.alerts[hour : hour + horizon] > 0).any(axis=0))


def test_issues_follow_the_local_clock_and_end_within_the_hours():
    of = quiet(date(2021, 11, 6), 24 + 25 + 24)
    clock = calendar(of)
    issues = issues_of_days(clock, range(len(of)), 4)
    assert clock.hour[issues].tolist() == [0, 4, 8, 12, 16, 20] * 3
    assert issues[-1] + 4 == len(of)


def features(of: HourlyHistory, hours: range) -> np.ndarray:
    clock = calendar(of)
    rows = Rows(np.repeat(np.arange(len(hours)), CELLS), np.tile(np.arange(CELLS), len(hours)))
    profile = hour_profile(of, clock, range(24 * 100), 1.0)
    ours = window_features(of, hours, 4, profile, clock)[rows.hour]
    return np.concatenate([cell_features(of, hours, rows, profile, clock), ours], axis=1)


def test_no_feature_knows_the_hour_it_is_issued_at_or_later_ones():
    changed = counts()
    changed[3000:] = 5
    before, after = (
        features(history(), range(2990, 3001)),
        features(HourlyHistory(city(), FIRST_DAY, changed, COVERED), range(2990, 3001)),
    )
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(
        features(history(), range(3000, 3002)),
        features(HourlyHistory(city(), FIRST_DAY, changed, COVERED), range(3000, 3002)),
    )


def test_one_hour_alone_has_the_features_that_it_has_among_others():
    many, one = features(history(), range(2000, 2101)), features(history(), range(2100, 2101))
    np.testing.assert_allclose(many[-CELLS:], one, rtol=1e-3, atol=1e-5)


def test_a_recent_alert_shows_in_its_cell_and_less_in_its_neighbours():
    made = np.zeros((3000, 4, 6, 6), np.uint16)
    made[2999, 0, 3, 3] = 1
    of = HourlyHistory(city(), FIRST_DAY, made, COVERED)
    near = features(of, range(3000, 3001))[:, CELL_FEATURES.index("alerts_1_hours_within_0.8_cells")]
    cell = {(row, column): at for at, (row, column) in enumerate(np.argwhere(COVERED).tolist())}
    assert near[cell[3, 3]] > near[cell[3, 4]] > near[cell[3, 5]] > 0


def test_profile_follows_the_hours_and_ahead_is_their_mean():
    of = history()
    profile = hour_profile(of, calendar(of), range(24 * 200), 1.0)
    assert profile.shape == (168,)
    assert profile.mean() == pytest.approx(1.0)
    assert profile.reshape(7, 24)[:, 20].min() > 2 * profile.reshape(7, 24)[:, 9].max()
    np.testing.assert_allclose(ahead(np.array([1.0, 2, 6]), 2), [1.5, 4])


def test_a_city_that_publishes_days_only_is_refused():
    with pytest.raises(HourlyHistoryError, match=r"made_up_city.*no hour"):
        history(time_precision="day")


def test_a_coverage_of_another_grid_is_refused():
    with pytest.raises(HourlyHistoryError, match="coverage"):
        HourlyHistory(city(), FIRST_DAY, counts(2), COVERED[:5])
