from datetime import date, timedelta

import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.quality.overdue_cities import overdue_cities
from shotspotter_assets.quality.usual import usual_volume
from shotspotter_assets_tests.quality.sound_city import CITY


def test_overdue_cities_are_named() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    loud = usual_volume(dict.fromkeys(days, 10), days, CITY)
    thin = usual_volume({day: day.toordinal() % 5 // 4 for day in days}, days, CITY)
    yesterday = days[-1] + timedelta(days=6)
    found = overdue_cities(
        {"loud": loud, "thin": thin, "none": None}, dict.fromkeys(("loud", "thin", "none"), yesterday)
    )
    assert not found.passed
    assert found.numbers == {"days_late_loud": 6}
    assert "loud (6 days" in found.message
    later = days[-1] + timedelta(days=400)
    ended = overdue_cities({"loud": loud}, {"loud": later})
    assert ended.passed
    assert "Ended more than a year ago: loud" in ended.message
    assert overdue_cities({"loud": loud}, {"loud": days[-1]}).passed


@pytest.mark.parametrize("days_of_history", [31, 45, 60, 75, 100])
def test_a_young_city_that_falls_silent_is_overdue(days_of_history: int) -> None:
    days = days_between(date(2024, 1, 8), date(2024, 1, 7) + timedelta(days=days_of_history))
    young = usual_volume(dict.fromkeys(days, 10), days, CITY)
    assert not overdue_cities({"young": young}, {"young": days[-1] + timedelta(days=30)}).passed


def test_a_city_that_publishes_late_by_its_rule_is_not_overdue_before_its_time() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    usual, yesterday = usual_volume(dict.fromkeys(days, 10), days, CITY), days[-1] + timedelta(days=10)
    assert overdue_cities({"late": usual}, {"late": yesterday}, {"late": 10}, {"late": 14}).passed
    assert not overdue_cities({"late": usual}, {"late": yesterday}, {"late": 3}, {"late": 14}).passed


def test_a_city_whose_last_known_day_is_too_old_for_a_forecast_is_named() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    usual, yesterday = usual_volume(dict.fromkeys(days, 10), days, CITY), days[-1] + timedelta(days=20)
    found = overdue_cities({"quarterly": usual}, {"quarterly": yesterday}, {"quarterly": 60}, {"quarterly": 14})
    assert not found.passed
    assert found.numbers == {"lead_quarterly": 21}
    assert "the day to forecast is 21 days after" in found.message
    assert overdue_cities({"quarterly": usual}, {"quarterly": yesterday}, {"quarterly": 60}, {"quarterly": 21}).passed


def test_a_quiet_city_is_named_too_as_its_rule_says_that_its_days_are_yet_to_come() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    quiet = usual_volume({day: day.toordinal() % 5 // 4 for day in days}, days, CITY)
    newest = max(day for day in days if day.toordinal() % 5 == 4)
    found = overdue_cities(
        {"quiet": quiet}, {"quiet": newest + timedelta(days=20)}, {"quiet": 60}, {"quiet": 14}, {"quiet": newest}
    )
    assert found.numbers == {"lead_quiet": 21}
    assert f"21 days after its last known day; the forecast issued on {newest} is out of date" in found.message
    # Where the silence is known to be one, it is no lead.
    assert overdue_cities({"quiet": quiet}, {"quiet": newest + timedelta(days=20)}, {}, {"quiet": 14}).passed
