from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.calendar import dates
from shotspotter_assets.calendar.local_time import days_between


@given(st.datetimes(datetime(1960, 1, 1), datetime(2060, 1, 1)))
def test_weekday_month_and_day_agree_with_the_standard_library(moment: datetime) -> None:
    day, stamp = moment.date(), np.array([moment], dtype="datetime64[us]")
    assert dates.WEEKDAYS[dates.weekdays(stamp)[0]] == f"{day:%A}".lower()
    assert dates.hours_of_week(stamp)[0] == day.weekday() * 24 + moment.hour
    assert dates.days_of_year(stamp)[0] == day.timetuple().tm_yday - 1
    assert dates.month_days(stamp)[0] == day.month * 100 + day.day
    if (day.month, day.day) != (2, 29):
        assert dates.same_date_last_year(stamp)[0] == np.datetime64(day.replace(year=day.year - 1))


def test_weeks_begin_on_monday() -> None:
    monday = np.datetime64("2024-07-01")
    assert np.diff(dates.weeks(monday + np.arange(-7, 14))).nonzero()[0].tolist() == [6, 13]


def test_firework_days_are_those_of_independence_day_and_new_year() -> None:
    days = days_between(date(2023, 12, 1), date(2024, 11, 30))
    fires = dates.is_holiday_fireworks(np.array(days, "datetime64[D]"))
    found = [day for day, is_loud in zip(days, fires, strict=True) if is_loud]
    assert {(day.month, day.day) for day in found} == set(dates.FIREWORK_DAYS)
    assert len(found) == len(dates.FIREWORK_DAYS)


def test_public_holidays_are_those_of_the_country_and_its_part() -> None:
    days = np.array(["2024-01-01", "2024-04-16", "2024-07-04"], "datetime64[D]")
    assert np.isin(days, dates.public_holidays("US", days)).tolist() == [True, False, True]
    assert np.isin(days, dates.public_holidays("US-DC", days)).tolist() == [True, True, True]
    assert len(dates.public_holidays("US", days[:0])) == 0


@pytest.mark.parametrize("year", [2021, 2022])
def test_a_holiday_observed_in_the_year_before_is_known(year: int) -> None:
    new_year = date(year, 1, 1)
    observed = new_year - timedelta(days=1) if new_year.weekday() == 5 else new_year
    assert np.datetime64(observed) in dates.public_holidays("US", np.array([observed], "datetime64[D]"))
