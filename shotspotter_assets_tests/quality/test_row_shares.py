from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.quality.finding import share_finding
from shotspotter_assets.quality.row_shares import share_untyped
from shotspotter_assets_tests.quality.sound_city import FIRST, city_of, findings, firing, local_day, sound

ROWS = sound(seed=4)
AT = np.arange(len(ROWS))


@pytest.mark.parametrize(
    ("check", "rows", "expected"),
    [
        ("share_rejected", ROWS.assign(longitude=ROWS["longitude"].mask(AT % 20 == 0, 5.0)), "cannot be used (5.0%"),
        ("share_untyped", ROWS.assign(gunshot_type=ROWS["gunshot_type"].mask(AT % 10 == 0, None)), "(10.0%"),
        ("duplicates", pd.concat([ROWS, ROWS[::20]]), "came twice"),
    ],
    ids=["share_rejected", "share_untyped", "duplicates"],
)
def test_an_unusual_share_of_rows_is_found(check: str, rows: pd.DataFrame, expected: str) -> None:
    found = firing(rows)
    assert set(found) == {check}
    assert expected in found[check].message


def test_a_file_that_repeats_another_one_is_found() -> None:
    copied = ROWS[local_day(ROWS).between(date(2024, 3, 1), date(2024, 3, 31))]
    copied = copied.assign(time_utc=copied["time_utc"] + pd.Timedelta(seconds=1), source_id=None)
    found = firing(pd.concat([ROWS, copied.assign(received_from="march again.csv")]))
    assert "duplicates" in found
    assert set(found) <= {"duplicates", "level_change", "unusual_days"}, "twice the alerts of March are unusual"
    assert "of the points of file, march again.csv on 2024-03-0" in found["duplicates"].message


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
