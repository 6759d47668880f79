"""Cleaning: what is kept, what is rejected and why, and that no row is lost."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.cleaning.alerts import (
    CLEANED_SCHEMA,
    REASONS,
    REJECTED_SCHEMA,
    TooManyAlertsError,
    clean_alerts,
    location_ids,
    location_points,
)
from shotspotter_assets.cleaning.conservation import unaccounted_rows
from shotspotter_assets.cleaning.gunshot_types import gunshot_type_codes
from shotspotter_assets.sources.landing import LandingFolder
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
DAY = date(2024, 3, 2)
GOOD: dict[str, Any] = {
    "date": DAY,
    "time_utc": datetime(2024, 3, 2, 12, tzinfo=UTC),
    "longitude": -76.5,
    "latitude": 38.5,
    "gunshot_type": "Single_Gunshot",
    "rounds": 2,
    "source_id": "a",
    "received_from": "file",
}


def raw(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{**GOOD, "received_row": at, **row} for at, row in enumerate(rows)], RAW_SCHEMA)


def stacked(days: dict[date, Any], part: str) -> pa.Table:
    tables = [
        getattr(result, part).append_column("date", pa.repeat(pa.scalar(day), getattr(result, part).num_rows))
        for day, result in days.items()
    ]
    return pa.concat_tables(tables)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"time_utc": None}, "no_time"),
        ({"time_utc": datetime(1970, 1, 1, tzinfo=UTC)}, "impossible_date"),
        ({"time_utc": datetime(2070, 1, 1, tzinfo=UTC)}, "impossible_date"),
        ({"longitude": None}, "no_point"),
        ({"latitude": None}, "no_point"),
        ({"longitude": 38.5, "latitude": -76.5}, "swapped_point"),
        ({"longitude": -75.999}, "outside_box"),
        ({"latitude": 0.0, "longitude": 0.0}, "outside_box"),
    ],
)
def test_unusable_row_is_rejected_with_its_reason(row: dict[str, Any], reason: str) -> None:
    cleaned = clean_alerts(raw({}, row), [DAY], CITY)[DAY]
    assert cleaned.alerts.num_rows == 1
    assert cleaned.rejected.schema == REJECTED_SCHEMA
    assert cleaned.rejected["reason"].to_pylist() == [reason]
    assert cleaned.rejected["received_row"].to_pylist() == [1]
    assert cleaned.account.rejected == {reason: 1}
    assert reason in REASONS


def test_columns_of_a_cleaned_alert() -> None:
    later = {
        "time_utc": datetime(2024, 3, 2, 13, tzinfo=UTC),
        "gunshot_type": "#REF!",
        "source_id": None,
        "rounds": None,
    }
    cleaned = clean_alerts(raw(later, {}), [DAY], CITY)[DAY]
    assert cleaned.alerts.schema == CLEANED_SCHEMA
    assert cleaned.alerts["user_id"].to_pylist() == [2024030200000, 2024030200001]
    assert cleaned.alerts["gunshot_type"].to_pylist() == [0, None]
    assert cleaned.alerts["incident_id"].to_pylist() == [2024030200000, 2024030200001]
    assert cleaned.account.unknown_types == {"#REF!": 1}
    assert cleaned.account.untyped == 1


def test_exact_duplicates_are_dropped_and_near_ones_kept() -> None:
    rows = [{}, {}, {"source_id": "b"}, {"rounds": 3}, {"gunshot_type": None}, {"gunshot_type": None}]
    account = clean_alerts(raw(*rows), [DAY], CITY)[DAY].account
    assert (account.received, account.cleaned, account.duplicates) == (6, 4, 2)


def test_a_day_without_alerts_has_empty_tables_with_the_schema() -> None:
    cleaned = clean_alerts(raw(), [DAY], CITY)[DAY]
    assert cleaned.alerts.schema == CLEANED_SCHEMA
    assert cleaned.rejected.schema == REJECTED_SCHEMA
    assert cleaned.account.received == cleaned.alerts.num_rows == cleaned.rejected.num_rows == 0


def test_edges_of_the_box_belong_to_it() -> None:
    corners = [{"longitude": x, "latitude": y} for x in (-77.0, -76.0) for y in (38.0, 39.0)]
    assert clean_alerts(raw(*corners), [DAY], CITY)[DAY].account.cleaned == 4


def test_too_many_alerts_on_a_day_are_refused() -> None:
    table = raw({}).take(pa.array(np.zeros(100_001, dtype=np.int64)))
    table = table.set_column(
        RAW_SCHEMA.names.index("source_id"), "source_id", pa.array([str(at) for at in range(100_001)])
    )
    with pytest.raises(TooManyAlertsError, match=r"landing_city, 2024-03-02: 100,001"):
        clean_alerts(table, [DAY], CITY)


rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "date": st.sampled_from([DAY, date(2024, 3, 3)]),
            "time_utc": st.sampled_from(
                [
                    None,
                    datetime(2024, 3, 2, 12, tzinfo=UTC),
                    datetime(2024, 3, 3, 12, tzinfo=UTC),
                    datetime(1970, 1, 1, tzinfo=UTC),
                ]
            ),
            "longitude": st.sampled_from([None, -76.5, -76.4, 38.5, 0.0]),
            "latitude": st.sampled_from([None, 38.5, -76.5]),
            "gunshot_type": st.sampled_from([None, "SG", "weird"]),
            "rounds": st.sampled_from([None, 1]),
            "source_id": st.sampled_from([None, "a"]),
        }
    ),
    max_size=30,
)


@given(rows=rows_strategy, order=st.randoms(use_true_random=False))
def test_rows_are_conserved_and_their_order_does_not_matter(rows: list[dict[str, Any]], order: Any) -> None:
    days = [DAY, date(2024, 3, 3)]
    table = raw(*rows)
    cleaned = clean_alerts(table, days, CITY)
    for result in cleaned.values():
        account = result.account
        assert account.received == account.cleaned + account.duplicates + sum(account.rejected.values())
    assert sum(result.account.received for result in cleaned.values()) == len(rows)
    assert unaccounted_rows(table, stacked(cleaned, "alerts"), stacked(cleaned, "rejected")) == {}
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)
    again = clean_alerts(table.take(pa.array(shuffled, pa.int64())), days, CITY)
    assert all(again[day].alerts.equals(cleaned[day].alerts) for day in days)
    alone = {day: clean_alerts(table, [day], CITY)[day] for day in days}
    assert all(alone[day].alerts.equals(cleaned[day].alerts) for day in days)


@pytest.mark.parametrize("loses", ["alerts", "rejected"])
def test_the_recount_notices_a_lost_row(loses: str) -> None:
    table = raw({}, {"source_id": "b"}, {"longitude": None})
    cleaned = clean_alerts(table, [DAY], CITY)
    parts = {part: stacked(cleaned, part) for part in ("alerts", "rejected")}
    parts[loses] = parts[loses].slice(1)
    assert DAY in unaccounted_rows(table, parts["alerts"], parts["rejected"])


@given(st.lists(st.tuples(st.floats(-77, -76), st.floats(38, 39)), min_size=1, max_size=20))
def test_location_ids_turn_back_into_points(points: list[tuple[float, float]]) -> None:
    longitude, latitude = np.array(points).T
    back = location_points(location_ids(longitude, latitude, CITY.box), CITY.box)
    assert np.abs(back[0] - longitude).max() <= 0.5 / 65535 + 1e-9
    assert np.abs(back[1] - latitude).max() <= 0.5 / 65535 + 1e-9


def test_location_ids_hold_the_latitude_in_the_high_bits() -> None:
    west_north, east_south = location_ids(np.array([-77.0, -76.0]), np.array([39.0, 38.0]), CITY.box)
    assert (west_north, east_south) == (0xFFFF0000, 0x0000FFFF)


SPELLINGS = {
    "Single_Gunshot": 0, "Single Gunshot": 0, "SINGLE GUNSHOT": 0, "SG": 0,
    "Multiple_Gunshots": 1, "Multiple Gunshots": 1, "MULTIPLE GUNSHOTS": 1, "MG": 1,
    "Gunshot_or_Firecracker": 2, "GUNSHOT OR FIRECRACKER": 2, "Possible Gunfire": 2, "Probable Gunfire": 2, "PG": 2,
    "#REF!": None, "": None, None: None,
}  # fmt: skip


def test_type_spellings() -> None:
    codes = gunshot_type_codes(pa.chunked_array([pa.array(list(SPELLINGS), pa.string())]))
    assert codes.to_pylist() == list(SPELLINGS.values())


ACOUSTIC = ["washington_dc", "washington_dc_2006_2013", "springfield_ma_hourly", "san_francisco_ca", "camden_nj_dateonly",
            "goldsboro_nc", "brockton_ma"]  # fmt: skip


@pytest.mark.parametrize("file", ACOUSTIC)
def test_every_spelling_of_the_real_files_has_a_code(real_data: Path, file: str) -> None:
    spellings = pq.read_table(real_data / f"{file}.parquet", columns=["alert_type"])["alert_type"]
    assert gunshot_type_codes(spellings).null_count == spellings.null_count


def test_real_alerts_of_washington(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "washington_dc.parquet").symlink_to(real_data / "washington_dc.parquet")
    washington = load_city(TEST_CITIES / "washington_dc.yaml")
    days = days_between(date(2014, 1, 1), date(2018, 12, 31))
    cleaned = clean_alerts(
        LandingFolder(washington, fs.LocalFileSystem(), str(tmp_path)).read(days[0], days[-1]), days, washington
    )
    alerts = pa.concat_tables([result.alerts for result in cleaned.values()])
    # SOURCES.md: 32,980 rows, all typed and within the box; 3-5 July and 31 December/1 January as counted there.
    assert alerts.num_rows == 32_980
    assert alerts["gunshot_type"].null_count == 0
    assert [alerts["gunshot_type"].to_pylist().count(code) for code in (0, 1, 2)] == [11_604, 18_517, 2_859]
    assert len(set(alerts["user_id"].to_pylist())) == alerts.num_rows
    july = sum(cleaned[date(2014, 7, day)].account.cleaned for day in (3, 4, 5))
    assert july == 4_405
