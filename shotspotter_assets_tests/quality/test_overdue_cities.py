from datetime import date, timedelta

import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.overdue_cities import overdue_cities
from shotspotter_assets.quality.rhythm import Rhythm
from shotspotter_assets.quality.usual import Usual, usual_volume
from shotspotter_assets_tests.quality.sound_city import CITY


def city(**rule: int) -> City:
    """A city that publishes by a rule; without one, what is learned counts."""
    return CITY.model_copy(update={"publication": Publication(**rule)})


def judged(
    usual: Usual, yesterday: date, issued: date | None = None, days_late: int | None = None, **rule: int
) -> Finding:
    """The finding of one city, whose name is `it`, with its rhythm as it is kept."""
    rhythm = Rhythm.of(usual, days_late)
    assert rhythm is not None
    kept = Rhythm.model_validate_json(rhythm.model_dump_json())
    return overdue_cities({"it": kept}, {"it": city(**rule)}, {"it": yesterday}, lambda _: issued)


def test_overdue_cities_are_named() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    loud = usual_volume(dict.fromkeys(days, 10), days, CITY)
    thin = usual_volume({day: day.toordinal() % 5 // 4 for day in days}, days, CITY)
    yesterday = days[-1] + timedelta(days=6)
    names = ("loud", "thin", "none")
    rhythms = {"loud": Rhythm.of(loud), "thin": Rhythm.of(thin), "none": None}
    found = overdue_cities(rhythms, dict.fromkeys(names, city()), dict.fromkeys(names, yesterday))
    assert not found.passed
    assert found.numbers == {"days_late_loud": 6}
    assert "loud (6 days" in found.message
    later = days[-1] + timedelta(days=400)
    ended = judged(loud, later)
    assert ended.passed
    assert "Ended more than a year ago: it" in ended.message
    assert judged(loud, days[-1]).passed


@pytest.mark.parametrize("days_of_history", [31, 45, 60, 75, 100])
def test_a_young_city_that_falls_silent_is_overdue(days_of_history: int) -> None:
    days = days_between(date(2024, 1, 8), date(2024, 1, 7) + timedelta(days=days_of_history))
    young = usual_volume(dict.fromkeys(days, 10), days, CITY)
    assert judged(young, days[-1] + timedelta(days=30)).numbers["days_late_it"] == 30


def test_a_city_that_publishes_late_by_its_rule_is_not_overdue_before_its_time() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    usual, yesterday = usual_volume(dict.fromkeys(days, 10), days, CITY), days[-1] + timedelta(days=10)
    assert judged(usual, yesterday, days_late=10).passed
    assert not judged(usual, yesterday, days_late=3).passed
    by_rule = Rhythm.of(usual)
    for days_late, passed in ((10, True), (3, False)):
        rule = {"late": city(days_late=days_late)}
        assert overdue_cities({"late": by_rule}, rule, {"late": yesterday}).passed is passed


def test_a_city_whose_last_known_day_is_too_old_for_a_forecast_is_named() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    usual, yesterday = usual_volume(dict.fromkeys(days, 10), days, CITY), days[-1] + timedelta(days=20)
    found = judged(usual, yesterday, days_late=60)
    assert not found.passed
    assert found.numbers == {"lead_it": 21}
    assert "the day to forecast is 21 days after" in found.message
    assert judged(usual, yesterday, days_late=60, longest_lead=21).passed


def test_a_quiet_city_is_named_too_as_its_rule_says_that_its_days_are_yet_to_come() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    quiet = usual_volume({day: day.toordinal() % 5 // 4 for day in days}, days, CITY)
    newest = max(day for day in days if day.toordinal() % 5 == 4)
    found = judged(quiet, newest + timedelta(days=20), newest, days_late=60)
    assert found.numbers == {"lead_it": 21}
    assert f"21 days after its last known day; the forecast issued on {newest} is out of date" in found.message
    # Where the silence is known to be one, it is no lead.
    assert judged(quiet, newest + timedelta(days=20)).passed
