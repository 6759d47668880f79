import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.checks.all_checks import ALL_CHECKS, all_findings
from shotspotter_assets.alerts.checks.finding import share_finding
from shotspotter_assets.alerts.checks.row_shares import share_untyped
from shotspotter_assets.alerts.checks.usual import special_days, usual_volume
from shotspotter_assets.alerts.checks.volume import level_change, new_area
from shotspotter_assets.alerts.checks.window import BLOCK_DAYS, Block, Window
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.grid.dates import rows_of_days
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS, REJECTED
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.checks.sound_city import (
    CITY,
    FIRST,
    LAST,
    city_of,
    findings,
    firing,
    local_day,
    sound,
)


def test_a_burst_is_an_unusual_day() -> None:
    rows = sound(seed=4)
    at = np.arange(150)
    times = pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(at * 20, "s")
    burst = rows[:150].assign(time_utc=times, source_id=[f"b{number}" for number in at])
    found = firing(pd.concat([rows, burst]))
    assert set(found) == {"unusual_days"}
    assert "2024-03-09 (1" in found["unusual_days"].message


def test_a_kept_warning_names_no_day_that_may_become_known() -> None:
    rows = sound(seed=4)
    at = np.arange(150)
    burst = rows[:150].assign(time_utc=pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(at * 20, "s"))
    window = replace(city_of(pd.concat([rows, burst])).window(), unknown=frozenset([LAST]))
    finding = findings(window)["unusual_days"]
    assert not finding.passed
    assert str(LAST) not in finding.message


def test_a_day_held_back_is_named_as_not_checked() -> None:
    window = city_of(sound(seed=4)).window()
    held_back = replace(window, unknown=frozenset([LAST]))
    before, after = (findings(one)["unusual_days"] for one in (window, held_back))
    assert "not checked" not in before.message
    assert after.numbers["checked_days"] == int(before.numbers["checked_days"]) - 1
    assert f"Not known, so not checked: {LAST}." in after.message


def test_unusable_rows_are_named_by_file_and_line() -> None:
    rows = sound(seed=4)
    rows.loc[12, "longitude"] = 5.0
    found = findings(city_of(rows).window())["share_rejected"]
    assert found.passed
    assert "Unusable: file, row 12 (the point lies outside the city's box)." in found.message


def test_all_unusual_days_are_counted() -> None:
    rows = sound(seed=3)
    days = [date(2024, 3, day) for day in (4, 7, 12, 15, 20, 26)]
    burst = rows[local_day(rows).isin(days)]
    more = [burst.assign(time_utc=burst["time_utc"] + pd.Timedelta(seconds=at), source_id=None) for at in range(1, 16)]
    message = firing(pd.concat([rows, *more]))["unusual_days"].message
    assert message.startswith("6 days far from the usual volume: 2024-03-04 (")
    assert "2024-03-20 (" in message
    assert ") and 1 more. Ask the publisher" in message
    assert "2024-03-26" not in message


def test_missing_weeks_are_silent_days() -> None:
    rows = sound(seed=4)
    gaps = [(date(2024, 3, 1), date(2024, 3, 20)), (date(2024, 5, 1), date(2024, 5, 9))]
    for gap in gaps:
        rows = rows[~local_day(rows).between(*gap)]
    found = firing(rows)
    assert set(found) == {"silent_days"}
    expected = "on 2024-03-01 to 2024-03-20 (20 days); 2024-05-01 to 2024-05-09 (9 days): the usual rate"
    assert expected in found["silent_days"].message


def test_a_short_history_says_that_no_day_was_checked() -> None:
    rows = sound(seed=4)
    days = days_between(FIRST, FIRST + timedelta(days=19))
    message = findings(city_of(rows, CITY).window(days))["unusual_days"].message
    assert "No day was checked: each needs" in message
    assert "among the days before it that this run read" in message


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
        ("level_change", BEFORE & (np.arange(len(ROWS)) % 5 > 0), "ordinary day of the quarter to 2024-12-31", set()),
        (
            "new_area",
            BEFORE & (ROWS["longitude"] >= -76.9),
            "cells without one on ordinary days of the year before",
            {"level_change"},
        ),
    ],
)
def test_a_changed_level_and_a_grown_area_are_found(check: str, missing: pd.Series, says: str, also: set[str]) -> None:
    found = firing(ROWS[~missing])
    assert says in found[check].message
    assert set(found) <= {check, "unusual_days", *also}, "the first days of a new level are unusual"


def test_a_held_back_day_is_no_new_area() -> None:
    day = date(2024, 11, 20)
    at = np.arange(400)
    times = pd.Timestamp("2024-11-20 12:00Z") + pd.to_timedelta(at * 60, "s")
    corner = ROWS[:400].assign(time_utc=times, source_id=None, longitude=-77 + at / 8000, latitude=38.8 + at % 9 / 200)
    window = city_of(pd.concat([ROWS, corner])).window()
    assert not new_area(window).passed
    assert new_area(replace(window, unknown=frozenset({day}))).passed


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
    assert np.nanmax(usual_volume(counts, days, CITY.holidays).mean) == pytest.approx(10)


@pytest.mark.parametrize(("per_day", "is_missing"), [(10, True), (1, True), (0.2, False)])
def test_early_silences_are_judged_by_the_days_after_them(per_day: float, is_missing: bool) -> None:
    days = days_between(FIRST, LAST)
    number = np.random.default_rng(0).poisson(per_day, len(days))
    number[-1] = 1
    for start, stop in ((0, 25), (40, 65)):
        number[start:stop] = 0
    usual = usual_volume(dict(zip(days, number.tolist(), strict=True)), days, CITY.holidays)
    missing = usual.all_silences()
    assert missing[:25].all() == is_missing
    assert missing[40:65].all() == is_missing
    assert not missing[66:].any()


AT = np.arange(len(ROWS))
WITHOUT_IDS = pd.concat([ROWS, ROWS[::20]]).assign(source_id=None, is_separate=True)


@pytest.mark.parametrize(
    ("check", "rows", "expected"),
    [
        ("share_rejected", ROWS.assign(longitude=ROWS["longitude"].mask(AT % 20 == 0, 5.0)), "cannot be used (5.0%"),
        ("share_untyped", ROWS.assign(gunshot_type=ROWS["gunshot_type"].mask(AT % 10 == 0, None)), "(10.0%"),
        ("duplicates", pd.concat([ROWS, ROWS[::20]]), "came twice"),
        ("equal_rows", WITHOUT_IDS, "equal another row without an id and count as separate events (4.8%"),
    ],
    ids=["share_rejected", "share_untyped", "duplicates", "equal_rows"],
)
def test_an_unusual_share_of_rows_is_found(check: str, rows: pd.DataFrame, expected: str) -> None:
    found = firing(rows)
    assert set(found) == {check}
    assert expected in found[check].message


def test_equal_rows_that_the_citys_file_keeps_are_no_finding() -> None:
    source = CITY.source.model_copy(update={"equal_rows": "keep"})
    found = findings(city_of(WITHOUT_IDS, CITY.model_copy(update={"source": source})).window())["equal_rows"]
    assert found.passed
    assert "equal another row" in found.message


def test_a_source_that_leaves_out_some_types_fails_every_day() -> None:
    rows = sound(seed=3)
    none = np.random.default_rng(0).random(len(rows))
    city = city_of(rows.assign(gunshot_type=rows["gunshot_type"].mask(none < 0.08)))
    some = city_of(rows.assign(gunshot_type=rows["gunshot_type"].mask(none < 0.02)))
    days = [date(2024, 6, 3) + timedelta(days=at) for at in range(0, 60, 5)]
    assert not any(share_untyped(city.window([day])).passed for day in days)
    assert all(share_untyped(some.window([day])).passed for day in days)
    # Mended for a quarter, it is no longer reported.
    mended = rows["gunshot_type"].mask((none < 0.08) & (local_day(rows) < date(2024, 6, 3)))
    window = city_of(rows.assign(gunshot_type=mended)).window([date(2024, 9, 2)])
    assert share_untyped(window).passed


@pytest.mark.parametrize("time", [None, datetime(2030, 5, 1, tzinfo=UTC)])
def test_undated_rows_are_not_too_many_on_the_first_day(time: datetime | None) -> None:
    rows = sound(seed=3)
    undated = rows[:30].assign(time_utc=pd.Series([time] * 30, dtype=rows["time_utc"].dtype))
    city = city_of(pd.concat([rows, undated, undated.assign(received_from="again.csv")]))
    for days in (None, [FIRST]):
        found = findings(city.window(days))
        assert {name for name, finding in found.items() if not finding.passed} == set()
        assert found["share_rejected"].numbers["undated"] == 60
    many = city_of(pd.concat([rows, *[undated] * 10]))
    assert not findings(many.window())["share_rejected"].passed


def test_more_bad_rows_than_rows_fail() -> None:
    assert not share_finding({FIRST: 9}, {FIRST: 5}, 0.01, "cannot be used", "Build the day again.").passed


MARCH = days_between(date(2024, 3, 1), date(2024, 3, 31))


def test_blocks_are_years_back_from_the_end() -> None:
    days = days_between(FIRST, LAST)
    table = pa.table({})

    def blocks(checked: list[date], stored: list[date]) -> list[Block]:
        return Window(CITY, checked, stored, table, table, table).blocks()

    assert blocks(days, days) == [Block(FIRST, date(2024, 1, 1)), Block(date(2024, 1, 2), LAST)]
    assert blocks(days[-1:], days) == [Block(LAST - timedelta(days=BLOCK_DAYS - 1), LAST)]
    assert blocks(days[-1:], days[-10:]) == [Block(days[-10], LAST)]


def test_stored_days_make_the_window_of_their_tables(tmp_path: Path) -> None:
    city = city_of(sound(seed=3))
    store = Store(str(tmp_path))
    for file, tables in (
        (RAW_ROWS, rows_of_days(city.raw.sort_by("date"), city.days)),
        (CLEANED, {day: cleaned.alerts for day, cleaned in city.cleaned.items()}),
        (REJECTED, {day: cleaned.rejected for day, cleaned in city.cleaned.items()}),
    ):
        store.write_tables(file, tables, CITY.name)
    window = Window.load(store, CITY, MARCH)
    assert all_findings(window) == all_findings(city.window(MARCH))


def test_sound_data_raise_no_warning() -> None:
    for seed, per_day in ((1, 12.0), (2, 1.0), (3, 30.0)):
        city = city_of(sound(per_day, seed))
        for days in (None, [date(2024, 3, 9)], [date(2024, 7, 4)], [date(2024, 12, 31)]):
            found = findings(city.window(days))
            assert [name for name, finding in found.items() if not finding.passed] == []


def test_a_check_passes_where_it_has_nothing_to_check() -> None:
    first_days = [FIRST + timedelta(days=at) for at in range(5)]
    found = findings(city_of(sound(1.0, seed=3)).window(first_days))
    assert all(finding.passed for finding in found.values())
    for name in ("unusual_days", "silent_days", "level_change", "new_area"):
        assert found[name].message.startswith(("No day was checked", "Not enough days")), name
    assert found["points"].message.startswith("Fewer than 20 incidents")
    assert found["clock"].message.startswith("Fewer than 100 alerts")
    empty = sound(1.0, seed=3)
    empty = empty[local_day(empty) > first_days[-1]]
    assert findings(city_of(empty).window(first_days))["share_rejected"].message == "No rows to check."


def test_the_docs_list_all_checks_in_order() -> None:
    section = (CHECKOUT / "docs" / "data.md").read_text().partition("## The checks")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ALL_CHECKS)
