from datetime import date, timedelta

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.sources.known_days import known_days, silence_chance

FIRST = date(2026, 1, 1)


def a_city(kind: str = "landing", **publication: object) -> City:
    source = {"kind": kind} | ({"columns": {"time": "t"}} if kind == "landing" else {})
    return City.model_validate(
        {
            "name": "dale",
            "time_zone": "America/New_York",
            "start": FIRST,
            "box": {"west": -77, "south": 38, "east": -76, "north": 39},
            "source": source,
            "publication": publication,
        }
    )


def through(city: City, rate: float, silent: int, states: dict[int, str] | None = None) -> int:
    """The last known day, as days after the last one with rows."""
    counts = np.r_[np.random.default_rng(1).poisson(rate, 300), 1, np.zeros(silent, dtype=np.int64)]
    newest = FIRST + timedelta(days=300)
    stored = {newest + timedelta(days=at): state for at, state in (states or {}).items()}
    return (known_days(city, FIRST, counts, stored).through - newest).days


def test_a_day_of_silence_of_a_city_of_twenty_alerts_is_not_known() -> None:
    assert through(a_city(), 20, 0) == 0
    assert through(a_city(), 20, 1) == 0
    assert through(a_city(), 20, 53) == 0


def test_silence_that_was_plausible_is_no_longer_when_it_lasts() -> None:
    assert through(a_city(), 2, 2) == 2
    assert through(a_city(), 2, 10) == 0


def test_a_city_with_an_alert_a_week_is_not_taken_for_dead() -> None:
    assert through(a_city(), 1 / 7, 30) == 30
    assert through(a_city(), 1 / 7, 150) == 0


def test_the_answer_of_a_gateway_and_of_a_simulation_is_complete() -> None:
    assert through(a_city(days_late=0), 20, 5) == 5
    assert through(a_city("simulated"), 20, 5) == 5


def test_days_that_the_rule_says_are_yet_to_come_are_not_known_however_plausible_silence_is() -> None:
    assert through(a_city(days_late=3), 1 / 7, 10) == 7
    assert through(a_city(period_days=14), 1 / 7, 20) == 7
    assert through(a_city(days_late=3), 20, 10) == 0


def test_what_was_stored_as_answered_is_known_and_what_was_stored_as_unknown_is_not() -> None:
    assert through(a_city(), 20, 2, {1: "answered", 2: "silent"}) == 1
    assert through(a_city(), 1 / 7, 3, {2: "unknown", 3: "silent"}) == 1


def test_a_city_without_any_alert_is_known_to_have_none() -> None:
    assert silence_chance(np.zeros(0, dtype=np.int64), 40) == 1


def test_one_day_of_fireworks_does_not_make_silence_plausible() -> None:
    counts = np.random.default_rng(1).poisson(20, 300)
    assert silence_chance(np.r_[counts, 900, counts[:20]], 1) < 1e-3


@pytest.mark.parametrize(
    ("rule", "asked_on", "complete"),
    [
        ({"days_late": 0}, "2026-11-23", "2026-11-22"),
        ({"days_late": 3}, "2026-11-23", "2026-11-19"),
        ({"every": "quarter"}, "2026-11-23", "2026-09-30"),
        ({"every": "quarter"}, "2027-01-01", "2026-12-31"),
        ({"every": "quarter", "days_late": 10}, "2027-01-10", "2026-09-30"),
        ({"every": "month"}, "2026-11-23", "2026-10-31"),
        ({"every": "week"}, "2026-11-23", "2026-11-22"),
        ({"every": "week"}, "2026-11-22", "2026-11-15"),
        ({"period_days": 14, "days_late": 1}, "2026-11-23", "2026-11-08"),
    ],
)
def test_a_rule_names_the_last_day_that_has_to_be_there(rule: dict[str, object], asked_on: str, complete: str) -> None:
    asked = date.fromisoformat(asked_on)
    assert Publication.model_validate(rule).complete_through(asked) == date.fromisoformat(complete)
