from datetime import date

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.quality.quarters import level_change
from shotspotter_assets.quality.usual import special_days, usual_volume
from shotspotter_assets_tests.quality.sound_city import CITY, FIRST, LAST, city_of, firing, local_day, sound


def test_a_burst_is_an_unusual_day() -> None:
    rows, at = sound(seed=4), np.arange(150)
    times = pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(at * 20, "s")
    burst = rows[:150].assign(time_utc=times, source_id=[f"b{number}" for number in at])
    found = firing(pd.concat([rows, burst]))
    assert set(found) == {"unusual_days"}
    assert "2024-03-09 (1" in found["unusual_days"].message


def test_all_unusual_days_are_counted() -> None:
    rows = sound(seed=3)
    days = [date(2024, 3, day) for day in (4, 7, 12, 15, 20, 26)]
    burst = rows[local_day(rows).isin(days)]
    more = [burst.assign(time_utc=burst["time_utc"] + pd.Timedelta(seconds=at), source_id=None) for at in range(1, 16)]
    message = firing(pd.concat([rows, *more]))["unusual_days"].message
    assert message.startswith("6 days far from the usual volume: 2024-03-04 (")
    assert "2024-03-20 (" in message
    assert "), and 1 more. Ask the publisher" in message
    assert "2024-03-26" not in message


def test_missing_weeks_are_silent_days() -> None:
    rows = sound(seed=4)
    gaps = [(date(2024, 3, 1), date(2024, 3, 20)), (date(2024, 5, 1), date(2024, 5, 9))]
    for gap in gaps:
        rows = rows[~local_day(rows).between(*gap)]
    found = firing(rows)
    assert set(found) == {"silent_days"}
    expected = "from 2024-03-01 to 2024-03-20 (20 days); from 2024-05-01 to 2024-05-09 (9 days): the usual rate"
    assert expected in found["silent_days"].message


def test_a_loud_independence_day_is_found() -> None:
    rows = sound(seed=4)
    many = pd.concat([rows[local_day(rows) == date(2024, 7, 4)]] * 200)
    offset = pd.to_timedelta(np.arange(len(many)) % 3600, "s")
    found = firing(pd.concat([rows, many.assign(time_utc=many["time_utc"] + offset, source_id=None)]))
    assert set(found) == {"firework_days"}
    assert "July 2024" in found["firework_days"].message


ROWS = sound(seed=4)
BEFORE = local_day(ROWS) < date(2024, 3, 1)


@pytest.mark.parametrize(
    ("check", "missing", "says", "also"),
    [
        ("level_change", BEFORE & (np.arange(len(ROWS)) % 5 > 0), "the quarter to 2024-12-31", set()),
        ("new_area", BEFORE & (ROWS["longitude"] >= -76.9), "cells without one in the year before", {"level_change"}),
    ],
)
def test_a_changed_level_and_a_grown_area_are_found(check: str, missing: pd.Series, says: str, also: set[str]) -> None:
    found = firing(ROWS[~missing])
    assert says in found[check].message
    assert set(found) <= {check, "unusual_days", *also}, "the first days of a new level are unusual"


@pytest.mark.parametrize("gap", [(date(2023, 1, 1), date(2023, 6, 30)), (date(2023, 4, 10), date(2023, 8, 1))])
def test_a_gap_of_the_year_before_is_no_change_of_the_level(gap: tuple[date, date]) -> None:
    rows = sound(seed=3)
    city = city_of(rows[~local_day(rows).between(*gap)])
    for day in (date(2024, 4, 29), date(2024, 6, 10), date(2024, 9, 16), date(2024, 11, 25)):
        assert level_change(city.window([day])).passed, day


def test_holidays_are_expected_to_be_unusual() -> None:
    days = days_between(FIRST, LAST)
    counts = dict.fromkeys(days, 10)
    special = special_days(days, "US")
    named = {day for day, holiday in zip(days, special, strict=True) if holiday}
    assert {date(2024, 7, 4), date(2024, 1, 1), date(2024, 11, 28), date(2024, 7, 6)} <= named
    assert date(2024, 3, 9) not in named
    assert np.nanmax(usual_volume(counts, days, CITY).mean) == pytest.approx(10)


@pytest.mark.parametrize(("per_day", "is_missing"), [(10, True), (1, True), (0.2, False)])
def test_early_silences_are_judged_by_the_days_after_them(per_day: float, is_missing: bool) -> None:
    days = days_between(FIRST, LAST)
    number = np.random.default_rng(0).poisson(per_day, len(days))
    number[-1] = 1
    for start, stop in ((0, 25), (40, 65)):
        number[start:stop] = 0
    usual = usual_volume(dict(zip(days, number.tolist(), strict=True)), days, CITY)
    missing = usual.all_silences()
    assert missing[:25].all() == is_missing
    assert missing[40:65].all() == is_missing
    assert not missing[66:].any()
