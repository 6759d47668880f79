"""A city whose alerts stop is late; a city whose last known day is too old gets no forecast."""

from datetime import date, timedelta

import pytest
from shotspotter_assets.sources.unreadable import Unreadable

from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.on_time import Rhythm, alerts_on_time, readable_files
from shotspotter_assets_tests.quality.sound_city import CITY

NEWEST = date(2024, 12, 31)
LOUD, QUIET = [10] * 120, [int(at % 5 == 4) for at in range(120)]


def after(days: int, counts=LOUD, days_late: int | None = None, issued: date | None = None, **rule: int) -> Finding:
    """The finding some days after the last alerts of a city that publishes by a rule."""
    rhythm = Rhythm(newest=NEWEST, counts=counts, days_late=days_late)
    city = CITY.model_copy(update={"publication": Publication(**rule)})
    return alerts_on_time(rhythm, city, NEWEST + timedelta(days=days), issued)


def test_a_loud_city_is_late_after_days_that_a_quiet_one_may_be_silent() -> None:
    assert after(0).passed
    assert after(6).numbers == {"days_late": 6}
    assert after(6, QUIET).passed
    assert alerts_on_time(None, CITY, NEWEST).passed


def test_a_source_that_is_silent_for_a_year_has_ended() -> None:
    assert after(400).passed
    assert "has ended: its last alerts are of 2024-12-31" in after(400).message


@pytest.mark.parametrize("days_of_history", [31, 45, 100])
def test_a_young_city_that_falls_silent_is_late(days_of_history: int) -> None:
    assert after(30, [10] * days_of_history).numbers["days_late"] == 30


@pytest.mark.parametrize(("days_late", "passed"), [(10, True), (3, False)])
def test_days_that_are_not_due_yet_are_not_late(days_late: int, passed: bool) -> None:
    assert after(10, days_late=days_late).passed == passed, "as learned"
    due = date(2025, 1, 10)
    city = CITY.model_copy(update={"publication": Publication(days_late=days_late)})
    assert alerts_on_time(Rhythm(newest=NEWEST, counts=LOUD, days_late=None), city, due).passed == passed, "by the rule"


def test_a_last_known_day_that_is_too_old_for_a_forecast_is_named() -> None:
    found = after(20, days_late=60)
    assert found.numbers == {"lead": 21}
    assert "the day to forecast is 21 days after the last known day" in found.message
    assert after(20, days_late=60, longest_lead=21).passed
    quiet = after(20, QUIET, days_late=60, issued=NEWEST)
    assert quiet.numbers == {"lead": 21}
    assert "the forecast issued on 2024-12-31 is out of date" in quiet.message


def test_unreadable_files_are_named_with_their_errors() -> None:
    assert readable_files({}).passed
    found = readable_files({"in/b.csv": Unreadable(version="1", error="not a CSV file; land it again")})
    assert not found.passed
    assert "b.csv (not a CSV file; land it again)" in found.message
