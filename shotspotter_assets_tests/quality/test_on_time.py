from datetime import date, timedelta

import pytest

from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.on_time import alerts_on_time, readable_files, usable_days
from shotspotter_assets.sources.day_table import Day, DayState, DayTable
from shotspotter_assets_tests.quality.sound_city import CITY

NEWEST = date(2024, 12, 31)
LOUD, QUIET = [10] * 120, [int(at % 5 == 4) for at in range(120)]


def a_day(rows: int, state: DayState = "known", why: str = "") -> Day:
    return Day(state, why, rows, rows if state == "held_back" else 0, "", None, {})


def after(
    days: int, counts: list[int] = LOUD, days_late: int = 0, issued: date | None = None, lead: int = 14
) -> Finding:
    """The finding some days after the last alerts of a city whose rows are due some days after their day."""
    table = DayTable({NEWEST - timedelta(days=back): a_day(rows) for back, rows in enumerate(reversed(counts))})
    city = CITY.model_copy(update={"publication": Publication(longest_lead=lead)})
    yesterday = NEWEST + timedelta(days=days)
    return alerts_on_time(table, city, yesterday, yesterday - timedelta(days=days_late), issued)


def test_a_loud_city_is_late_after_days_that_a_quiet_one_may_be_silent() -> None:
    assert after(0).passed
    assert after(6).numbers == {"days_late": 6}
    assert after(6, QUIET).passed
    assert alerts_on_time(DayTable(), CITY, NEWEST, NEWEST).passed


def test_a_source_that_is_silent_for_a_year_has_ended() -> None:
    assert after(400).passed
    assert "has ended: its last alerts are of 2024-12-31" in after(400).message


@pytest.mark.parametrize("days_of_history", [31, 45, 100])
def test_a_young_city_that_falls_silent_is_late(days_of_history: int) -> None:
    assert after(30, [10] * days_of_history).numbers["days_late"] == 30


@pytest.mark.parametrize(("days_late", "passed"), [(10, True), (3, False)])
def test_days_that_are_not_due_yet_are_not_late(days_late: int, passed: bool) -> None:
    assert after(10, days_late=days_late).passed == passed


def test_a_last_known_day_that_is_too_old_for_a_forecast_is_named() -> None:
    found = after(20, days_late=60)
    assert found.numbers == {"lead": 21}
    assert "the day to forecast is 21 days after the last known day" in found.message
    assert after(20, days_late=60, lead=21).passed
    quiet = after(20, QUIET, days_late=60, issued=NEWEST)
    assert quiet.numbers == {"lead": 21}
    assert "the forecast issued on 2024-12-31 is out of date" in quiet.message


def test_days_held_back_are_named_with_their_reasons() -> None:
    assert usable_days(DayTable({NEWEST: a_day(4)})).passed
    days = {NEWEST - timedelta(days=back): a_day(4, "held_back", "4 swapped_point.") for back in range(2)}
    found = usable_days(DayTable({NEWEST - timedelta(days=2): a_day(4), **days}))
    assert not found.passed
    assert found.message.startswith("2 days held back:")
    assert "2024-12-30 to 2024-12-31: 4 swapped_point." in found.message
    assert set(found.days) == set(days)


def test_rows_of_days_held_back_are_no_sign_of_life() -> None:
    table = {NEWEST - timedelta(days=back): a_day(10, "known" if back > 5 else "held_back") for back in range(120)}
    assert not alerts_on_time(DayTable(table), CITY, NEWEST, NEWEST).passed


def test_unusable_files_are_named_with_their_errors() -> None:
    assert readable_files({}).passed
    found = readable_files({"in/b.csv": "not a CSV file; land it again"})
    assert not found.passed
    assert "b.csv (not a CSV file; land it again)" in found.message
