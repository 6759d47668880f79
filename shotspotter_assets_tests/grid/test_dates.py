from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.cities.local_time import day_start, days_between
from shotspotter_assets.grid import dates
from shotspotter_assets.grid.dates import hours_of_days, local_dates, rows_of_days


@given(st.datetimes(datetime(1960, 1, 1), datetime(2060, 1, 1)))
def test_weekday_month_and_day_agree_with_the_standard_library(moment: datetime) -> None:
    day = moment.date()
    stamp = np.array([moment], dtype="datetime64[us]")
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


NEW_YORK = ZoneInfo("America/New_York")


def test_hours_of_the_days_of_the_change() -> None:
    days = days_between(date(2024, 3, 9), date(2024, 3, 11))
    assert hours_of_days(days, NEW_YORK).tolist() == [24, 23, 24]
    days = days_between(date(2024, 11, 2), date(2024, 11, 4))
    assert hours_of_days(days, NEW_YORK).tolist() == [24, 25, 24]
    assert hours_of_days([], NEW_YORK).tolist() == []


@given(
    instant=st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)),
    zone=st.sampled_from(["America/New_York", "Asia/Kolkata", "Pacific/Auckland", "UTC", "America/Sao_Paulo"]),
)
def test_local_date_agrees_with_the_standard_library(instant: datetime, zone: str) -> None:
    aware = instant.replace(tzinfo=UTC)
    column = pa.array([aware, None], pa.timestamp("us", "UTC"))
    expected = aware.astimezone(ZoneInfo(zone)).date()
    assert local_dates(column, ZoneInfo(zone)).to_pylist() == [expected, None]
    assert day_start(expected, ZoneInfo(zone)) <= aware < day_start(expected + timedelta(days=1), ZoneInfo(zone))


def test_rows_of_days_keeps_every_row_and_gives_empty_days_the_schema() -> None:
    days = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
    table = pa.table({"date": pa.array([days[0], days[2], days[2]], pa.date32()), "value": [1, 2, 3]})
    parts = rows_of_days(table, days)
    assert [part["value"].to_pylist() for part in parts.values()] == [[1], [], [2, 3]]
    assert {tuple(part.schema.names) for part in parts.values()} == {("value",)}
    assert np.sum([part.num_rows for part in parts.values()]) == table.num_rows
