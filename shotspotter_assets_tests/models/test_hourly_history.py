from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets_tests.models.hours import COVERED, FIRST_DAY, city, counts, history, quiet


def test_the_clock_is_the_citys_own_on_days_of_23_and_25_hours():
    spring = quiet(date(2021, 3, 14), 23).clock
    autumn = quiet(date(2021, 11, 7), 25).clock
    assert spring.hour[:25].tolist() == [0, 1, *range(3, 24), 0, 1]
    assert autumn.hour[:27].tolist() == [0, 1, 1, *range(2, 24), 0, 1]
    assert spring.hour_of_week[:2].tolist() == [144, 145]
    assert spring.hour_of_week[23] == 0
    assert autumn.day[[24, 25]].tolist() == [date(2021, 11, 7), date(2021, 11, 8)]


def test_last_year_is_the_same_hour_of_the_same_date():
    year = quiet(date(2020, 2, 1), 24 * 800)
    clock = year.clock
    hour = year.hour_at(datetime(2021, 7, 5, 1, tzinfo=UTC))
    assert year.starts[clock.last_year[hour]] == np.datetime64("2020-07-05T01:00:00")
    assert clock.fireworks[hour]
    assert clock.firework_peak[hour] == pytest.approx(2.0 ** (-3 / 3))


def test_fireworks_peak_at_new_year_from_both_sides():
    year = quiet(date(2021, 12, 30), 24 * 4)
    peaks = year.clock.firework_peak[
        year.hour_at(datetime(2022, 1, 1, 5, tzinfo=UTC)) + np.array([-25, -6, -3, 0, 3, 24])
    ]
    assert peaks == pytest.approx([0, 0.25, 0.5, 1, 0.5, 0])


def test_occupied_within_looks_ahead_over_the_horizon_only():
    made = history()
    for horizon in (1, 4):
        occupied = made.occupied_within(horizon)
        assert len(occupied) == len(made) - horizon + 1
        for hour in (0, 100, len(occupied) - 1):
            np.testing.assert_array_equal(occupied[hour], (made.alerts[hour : hour + horizon] > 0).any(axis=0))


def test_issues_and_days_follow_the_local_clock():
    made = quiet(date(2021, 11, 6), 24 + 25 + 24)
    issues = made.issues(range(len(made)), 4)
    assert made.clock.hour[issues].tolist() == [0, 4, 8, 12, 16, 20] * 3
    assert issues[-1] + 4 == len(made)
    hours = np.array([0, 23, 24, 48, 49, 72])
    assert made.day_issues(hours).tolist() == [0, 0, 24, 24, 49, 49]
    ahead = replace(made, lead=2)
    assert ahead.day_issues(hours).tolist() == [0, 0, 0, 0, 24, 24]
    assert ahead.clock.day[[len(ahead) + 24, -1]].astype(str).tolist() == ["2021-11-10", "2021-11-11"]


def test_days_without_hours_and_a_coverage_of_another_grid_are_refused():
    with pytest.raises(HourlyHistoryError, match=r"made_up_city.*time_precision: day"):
        history(time_precision="day")
    with pytest.raises(HourlyHistoryError, match="coverage"):
        HourlyHistory(city(), FIRST_DAY, counts(2)[:, :, COVERED], COVERED[:5])
