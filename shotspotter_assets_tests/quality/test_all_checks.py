from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.quality.all_checks import ALL_CHECKS, all_findings
from shotspotter_assets.quality.quarters import level_change
from shotspotter_assets.quality.shares import share_untyped
from shotspotter_assets_tests.quality.sound_city import FIRST, LAST, city_of, firing, local_day, sound


def test_sound_data_raise_nothing() -> None:
    for seed, per_day in ((1, 12.0), (2, 1.0), (3, 60.0)):
        rows = sound(per_day, seed)
        assert firing(rows) == {}
        for day in (date(2024, 3, 9), date(2024, 7, 4), date(2024, 12, 31)):
            assert firing(rows, days=[day]) == {}


def spoil(rows: pd.DataFrame, check: str) -> tuple[pd.DataFrame, str]:
    day, march = local_day(rows), date(2024, 3, 1)
    later = day >= march
    if check == "share_rejected":
        return rows.assign(
            longitude=rows["longitude"].where(np.arange(len(rows)) % 20 > 0, 5.0)
        ), "cannot be used (5.0%"
    if check == "share_untyped":
        return rows.assign(gunshot_type=rows["gunshot_type"].where(np.arange(len(rows)) % 10 > 0, None)), "(10.0%"
    if check == "duplicates":
        return pd.concat([rows, rows[::20]]), "came twice"
    if check == "a repeated file":
        copied = rows[(day >= march) & (day <= date(2024, 3, 31))]
        copied = copied.assign(
            time_utc=copied["time_utc"] + pd.Timedelta(seconds=1), source_id=None, received_from="march again.csv"
        )
        return pd.concat([rows, copied]), "of the points of file, march again.csv on 2024-03-0"
    if check == "unusual_days":
        burst = rows[:150].assign(
            time_utc=pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(np.arange(150) * 20, "s"),
            source_id=[f"b{at}" for at in range(150)],
        )
        return pd.concat([rows, burst]), "2024-03-09 (1"
    if check == "silent_days":
        return rows[(day < march) | (day > date(2024, 3, 20))], "2024-03-01 to 2024-03-20 (20 days)"
    if check == "firework_days":
        many = pd.concat([rows[day == date(2024, 7, 4)]] * 200)
        offset = pd.to_timedelta(np.arange(len(many)) % 3600, "s")
        return pd.concat([rows, many.assign(time_utc=many["time_utc"] + offset, source_id=None)]), "July 2024"
    if check == "level_change":
        return rows[later | (np.arange(len(rows)) % 5 == 0)], "the quarter to 2024-12-31"
    if check == "new_area":
        return rows[later | (rows["longitude"] < -76.9)], "cells without one in the year before"
    if check == "points":
        at = np.arange(len(rows)) % 15 == 0
        return rows.assign(
            longitude=rows["longitude"].mask(at, -76.85), latitude=rows["latitude"].mask(at, 38.85)
        ), "38.850000, -76.850000"
    rows = rows[day < LAST]
    return rows.assign(time_utc=rows["time_utc"] + pd.Timedelta(hours=5)), "5 hours too late"


@pytest.mark.parametrize(
    "check", [*(name for name in ALL_CHECKS if name != "share_outside_coverage"), "a repeated file"]
)
def test_what_was_spoiled_is_found_and_named(check: str) -> None:
    rows, expected = spoil(sound(seed=4), check)
    found = firing(rows)
    check = "duplicates" if check == "a repeated file" else check
    assert check in found
    assert expected in found[check].message
    # A level that jumps makes its first days unusual, and so does a new area.
    also = {"level_change", "unusual_days"} if check in {"new_area", "level_change", "duplicates"} else set()
    assert set(found) <= {check} | also


@pytest.mark.parametrize("gap", [(date(2023, 1, 1), date(2023, 6, 30)), (date(2023, 4, 10), date(2023, 8, 1))])
def test_a_gap_of_the_year_before_is_no_change_of_the_level(gap: tuple[date, date]) -> None:
    rows = sound(seed=3)
    city = city_of(rows[~local_day(rows).between(*gap)])
    for day in (date(2024, 4, 29), date(2024, 6, 10), date(2024, 9, 16), date(2024, 11, 25)):
        window = city.window([day])
        assert level_change(window).passed, day


def test_a_source_that_leaves_out_some_types_is_told_so_all_the_time() -> None:
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
def test_rows_without_a_usable_date_are_not_too_many_on_the_first_day(time: datetime | None) -> None:
    rows = sound(seed=3)
    undated = rows[:30].assign(time_utc=pd.Series([time] * 30, dtype=rows["time_utc"].dtype))
    city = city_of(pd.concat([rows, undated, undated.assign(received_from="again.csv")]))
    for days in (None, [FIRST]):
        found = all_findings(city.window(days))
        assert {name for name, finding in found.items() if not finding.passed} == set()
        assert found["share_rejected"].numbers["undated"] == 60
    many = city_of(pd.concat([rows, *[undated] * 10]))
    assert not all_findings(many.window())["share_rejected"].passed


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


def test_a_check_passes_where_it_has_nothing_to_check() -> None:
    first_days = [FIRST + timedelta(days=at) for at in range(5)]
    found = all_findings(city_of(sound(1.0, seed=3)).window(first_days))
    assert all(finding.passed for finding in found.values())
    for name in ("unusual_days", "silent_days", "level_change", "new_area"):
        assert found[name].message.startswith("Not enough days"), name
    assert found["points"].message.startswith("Fewer than 20 incidents")
    assert found["clock"].message.startswith("Fewer than 100 alerts")
    empty = sound(1.0, seed=3)
    empty = empty[local_day(empty) > first_days[-1]]
    assert all_findings(city_of(empty).window(first_days))["share_rejected"].message == "No rows to check."
