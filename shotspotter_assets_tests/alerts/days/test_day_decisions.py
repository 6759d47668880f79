from datetime import date

import numpy as np

from shotspotter_assets.alerts.days.day_decisions import day_decisions
from shotspotter_assets.alerts.days.day_table import DayRows
from shotspotter_assets.alerts.days.day_words import Words
from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets_tests.alerts.checks.sound_city import CITY, FIRST

LAST = date(2024, 12, 31)
DAYS = days_between(FIRST, LAST)
USUAL = dict(zip(DAYS, np.random.default_rng(2).poisson(7, len(DAYS)).tolist(), strict=True))


def held(changes: dict[date, int], city: City = CITY, accepted: tuple[date, ...] = ()) -> list[date]:
    """The days that wait for a person's word in a city with seven alerts a day, some of which have other numbers."""
    rows = {day: DayRows(number) for day, number in (USUAL | changes).items() if number}
    decisions = day_decisions(city, [SourceReport()], Words(accepted=frozenset(accepted)), rows, LAST)
    assert all(decision.why.endswith(".") for decision in decisions.values()), "each reason is a sentence"
    return [day for day, decision in decisions.items() if decision.is_unusual]


def test_a_day_far_from_the_usual_is_held_until_it_is_accepted() -> None:
    loud = date(2023, 9, 20)
    assert held({}) == []
    assert held({loud: 130}) == []
    assert held({loud: 400}) == [loud]
    assert held({loud: 2_503}) == [loud]
    assert held({loud: 2_503}, accepted=(loud,)) == []


def test_each_day_of_a_defect_is_held() -> None:
    defect = days_between(date(2023, 9, 18), date(2023, 10, 4))
    assert held(dict.fromkeys(defect, 2_503)) == defect


def test_fireworks_are_judged_by_those_of_earlier_years() -> None:
    before = dict.fromkeys([FIRST, date(2023, 7, 4), date(2023, 7, 5), date(2023, 12, 31)], 1_200)
    assert held(before) == [], "no earlier year"
    after = [date(2024, 7, 4), date(2024, 7, 5), date(2024, 12, 31)]
    assert held(before | dict.fromkeys(after, 2_503)) == []
    assert held(before | dict.fromkeys(after, 250_300)) == after
    assert held(before | {date(2024, 7, 9): 400}) == [date(2024, 7, 9)], "fireworks raise no ordinary level"


def test_the_first_weeks_of_a_city_pass() -> None:
    assert held({date(2023, 1, 20): 2_503}) == []


def test_a_burst_of_a_thin_city_passes() -> None:
    thin = dict(zip(DAYS, np.random.default_rng(3).poisson(0.3, len(DAYS)).tolist(), strict=True))
    assert held(thin | {date(2023, 9, 20): 8}) == []
    assert held(thin | {date(2023, 9, 20): 60}) == [date(2023, 9, 20)]
