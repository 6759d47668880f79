from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.calendar.dates import hours_of_days, local_dates, rows_of_days
from shotspotter_assets.calendar.local_time import day_start, days_between

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
