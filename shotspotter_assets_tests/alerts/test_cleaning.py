from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shotspotter_assets.alerts.cleaning import REASONS, clean_alerts, location_ids, unaccounted_rows
from shotspotter_assets.alerts.incidents import MAX_METRES, MAX_MINUTES, incident_numbers
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.alerts.spellings import type_codes, unknown_spellings
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import load_city
from shotspotter_assets.storage.catalogue import CLEANED, REJECTED
from shotspotter_assets_tests.conftest import TEST_CITIES, real_alerts

CITY = load_city(TEST_CITIES / "landing_city.yaml")
DAY = date(2024, 3, 2)
IN_APRIL = datetime(2024, 4, 1, tzinfo=UTC)
IN_2070 = datetime(2070, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "date": DAY, "time_utc": datetime(2024, 3, 2, 12, tzinfo=UTC), "longitude": -76.5, "latitude": 38.5,
    "gunshot_type": "Single_Gunshot", "rounds": 2, "source_id": "a", "received_from": "file",
}  # fmt: skip
NO_ID = {"source_id": None}


def raw(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{**GOOD, "received_row": at, **row} for at, row in enumerate(rows)], RAW_SCHEMA)


def stacked(days: dict[date, Any], part: str) -> pa.Table:
    tables = {day: getattr(result, part) for day, result in days.items()}
    dated = (table.append_column("date", pa.repeat(pa.scalar(day), len(table))) for day, table in tables.items())
    return pa.concat_tables(dated)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"time_utc": None}, "no_time"),
        ({"time_utc": None, "as_received": '{"when": "soon"}'}, "no_time"),
        ({"time_utc": None, "as_received": "only,three,fields"}, "broken_row"),
        ({"time_utc": None, "as_received": "[" * 100_000}, "broken_row"),
        ({"time_utc": datetime(1970, 1, 1, tzinfo=UTC)}, "impossible_date"),
        ({"time_utc": IN_2070}, "impossible_date"),
        ({"time_utc": IN_2070, "received_at": datetime(2024, 3, 3, tzinfo=UTC)}, "future_date"),
        ({"time_utc": datetime(2024, 3, 5, tzinfo=UTC), "received_at": IN_APRIL}, "impossible_date"),
        ({"time_utc": datetime(2019, 1, 1, tzinfo=UTC)}, "before_start"),
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
    assert cleaned.rejected.schema == REJECTED.schema
    assert cleaned.rejected["reason"].to_pylist() == [reason]
    assert cleaned.rejected["received_row"].to_pylist() == [1]
    assert cleaned.account.rejected == {reason: 1}
    assert reason in REASONS


def test_columns_of_a_cleaned_alert() -> None:
    later = {
        "time_utc": datetime(2024, 3, 2, 13, tzinfo=UTC), "gunshot_type": "#REF!", "source_id": None, "rounds": None,
    }  # fmt: skip
    cleaned = clean_alerts(raw(later, {}), [DAY], CITY)[DAY]
    assert cleaned.alerts.schema == CLEANED.schema
    assert cleaned.alerts["user_id"].to_pylist() == [2024030200000, 2024030200001]
    assert cleaned.alerts["gunshot_type"].to_pylist() == [0, None]
    assert cleaned.alerts["incident_id"].to_pylist() == [2024030200000, 2024030200001]
    assert cleaned.account.unknown_types == {"#REF!": 1}
    assert cleaned.account.untyped == 1


def test_exact_duplicates_are_dropped_and_near_ones_kept() -> None:
    rows = [{}, {}, {"source_id": "b"}, {"rounds": 3}, {"gunshot_type": None}, {"gunshot_type": None}]
    account = clean_alerts(raw(*rows), [DAY], CITY)[DAY].account
    assert (account.received, account.cleaned, account.duplicates, account.equal_rows) == (6, 2, 4, 0)
    table = raw(*({**row, **NO_ID, "is_separate": True} for row in rows))
    account = clean_alerts(table, [DAY], CITY)[DAY].account
    assert (account.received, account.cleaned, account.duplicates, account.equal_rows) == (6, 6, 0, 3)


FILES = st.lists(st.lists(st.tuples(*[st.integers(0, 1)] * 3), max_size=8), min_size=1, max_size=4)


@given(files=FILES, keeps=st.booleans(), names=st.permutations(range(4)))
def test_equal_rows_count_as_often_as_in_the_file_with_most(
    files: list[list[tuple[int, int, int]]], keeps: bool, names: list[int]
) -> None:
    rows = []
    most = Counter[tuple[int, int]]()
    for name, events in zip(names, files, strict=False):
        most |= Counter(event[:2] for event in (events if keeps else set(events)))
        for hour, place, rounds in events:
            where = {"longitude": -76.5 + 1e-5 * place, "received_from": f"{name}.csv", "is_separate": keeps}
            rows.append({**NO_ID, **where, "time_utc": GOOD["time_utc"] + timedelta(hours=hour), "rounds": rounds})
    cleaned = clean_alerts(raw(*rows), [DAY], CITY)[DAY]
    seconds, longitude = (cleaned.alerts[name].to_pylist() for name in ("time_utc", "longitude"))
    found = ((time.hour - 12, round((east + 76.5) * 1e5)) for time, east in zip(seconds, longitude, strict=True))
    assert Counter(found) == most
    assert cleaned.account.duplicates == len(rows) - most.total()
    assert unaccounted_rows(raw(*rows), stacked({DAY: cleaned}, "alerts"), stacked({DAY: cleaned}, "rejected")) == {}


def test_all_rows_of_a_day_with_too_many_are_rejected() -> None:
    ids = pa.array([str(at) for at in range(100_001)])
    table = raw({}).take(pa.array(np.zeros(len(ids), dtype=np.int64)))
    table = table.set_column(RAW_SCHEMA.names.index("source_id"), "source_id", ids)
    assert clean_alerts(table, [DAY], CITY)[DAY].account.rejected == {"too_many": 100_001}
    assert clean_alerts(table.slice(2), [DAY], CITY)[DAY].account.cleaned == 99_999


NOONS = [datetime(2024, 3, day, 12, tzinfo=UTC) for day in (2, 3)]
CHOICES: dict[str, list[Any]] = {
    "date": [DAY, date(2024, 3, 3)], "time_utc": [None, *NOONS, datetime(1970, 1, 1, tzinfo=UTC)],
    "longitude": [None, -76.5, -76.4, 38.5, 0.0], "latitude": [None, 38.5, -76.5], "gunshot_type": [None, "SG", "weird"],
    "rounds": [None, 1], "source_id": [None, "a"], "received_from": ["file", "other"], "is_separate": [None, True],
}  # fmt: skip
a_row = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()})


@given(rows=st.lists(a_row, max_size=30), order=st.randoms(use_true_random=False))
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


MIDNIGHT = datetime(2024, 3, 3, 5, tzinfo=UTC)
"""The beginning of 3 March in New York."""
bursts = st.lists(
    st.tuples(
        st.one_of(st.integers(-20, 20), st.integers(1420, 1460), st.integers(-2000, 2000)),
        st.integers(0, 6),
        st.sampled_from(["SG", "MG", "Robbery", None]),
    ),
    max_size=40,
)


@given(bursts)
def test_a_range_of_days_is_cleaned_as_day_by_day(alerts: list[tuple[int, int, str | None]]) -> None:
    city = CITY.model_copy(update={"event_types": {"robbery": ("robbery",)}})
    rows = []
    for minute, place, kind in alerts:
        moment = MIDNIGHT + timedelta(minutes=minute)
        where = {"longitude": -76.5 + place * 0.0008, "gunshot_type": kind}
        rows.append({"date": moment.astimezone(city.zone).date(), "time_utc": moment, **where})
    table = raw(*rows)
    days = days_between(date(2024, 3, 1), date(2024, 3, 5))
    together = clean_alerts(table, days, city)
    for day in days:
        two_days = table.filter(pc.is_in(table["date"], pa.array([day - timedelta(days=1), day])))
        alone = clean_alerts(two_days, [day], city)[day]
        assert alone.alerts.equals(together[day].alerts)
        assert alone.account == together[day].account
        begun = pc.equal(alone.alerts["incident_id"], alone.alerts["user_id"])
        assert alone.account.incidents == pc.sum(begun, min_count=0).as_py()


def test_events_other_than_gunshots_are_an_incident_each_and_no_fireworks() -> None:
    city = CITY.model_copy(update={"event_types": {"robbery": ("Robbery",), "homicide": ("HOMICIDE",)}})
    july = {"date": date(2024, 7, 4), "time_utc": datetime(2024, 7, 4, 12, tzinfo=UTC)}
    names = zip("abcd", ("ROBBERY", "homicide", "SG", "MG"), strict=True)
    kinds = [{"gunshot_type": kind, **july, "source_id": at} for at, kind in names]
    alerts = clean_alerts(raw(*kinds), [date(2024, 7, 4)], city)[date(2024, 7, 4)].alerts
    assert alerts["gunshot_type"].to_pylist() == [4, 5, 0, 1]
    assert [number % 100_000 for number in alerts["incident_id"].to_pylist()] == [0, 1, 2, 2]
    assert alerts["is_holiday_fireworks"].to_pylist() == [False, False, True, True]


@pytest.mark.parametrize("zone", ["America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_rows_of_another_local_day_than_their_filing_day_are_rejected(zone: str) -> None:
    city = CITY.model_copy(update={"time_zone": zone, "start": date(2017, 1, 1)})
    # On 15 October 2017 the clocks of Sao Paulo went from 00:00 to 01:00, so that day begins at 01:00.
    days = days_between(date(2017, 10, 14), date(2017, 10, 16))
    half_hours = [datetime(2017, 10, 14, tzinfo=UTC) + timedelta(minutes=30 * at) for at in range(96)]
    rows = [{**NO_ID, "date": day, "time_utc": moment} for moment in half_hours for day in days]
    cleaned = clean_alerts(raw(*rows), days, city)
    for day in days:
        expected = [moment for moment in half_hours if moment.astimezone(city.zone).date() == day]
        assert cleaned[day].alerts["time_utc"].to_pylist() == expected
        assert cleaned[day].account.rejected == {"impossible_date": len(half_hours) - len(expected)}


@pytest.mark.parametrize("loses", ["alerts", "rejected"])
def test_the_recount_notices_a_lost_row(loses: str) -> None:
    table = raw({}, {"source_id": "b"}, {"source_id": "c", "longitude": None})
    cleaned = clean_alerts(table, [DAY], CITY)
    parts = {part: stacked(cleaned, part) for part in ("alerts", "rejected")}
    parts[loses] = parts[loses].slice(1)
    assert DAY in unaccounted_rows(table, parts["alerts"], parts["rejected"])


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=20))
def test_location_ids_turn_back_into_points(points: list[tuple[float, float]]) -> None:
    longitude, latitude = np.array(points).T
    north, east = np.divmod(location_ids(longitude, latitude), 2**32)
    assert np.abs(east / 1e7 - 180 - longitude).max() <= 0.6e-7
    assert np.abs(north / 1e7 - 90 - latitude).max() <= 0.6e-7


OTHER_FILE = {"received_from": "other", "received_at": datetime(2024, 3, 4, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("copy", "alerts"),
    [
        ({}, 1),
        ({"time_utc": GOOD["time_utc"] + timedelta(hours=1), "rounds": 9}, 1),
        ({"source_id": "b"}, 2),
        ({**NO_ID, "time_utc": GOOD["time_utc"] + timedelta(milliseconds=300), "longitude": -76.500_001}, 1),
        ({**NO_ID, "time_utc": GOOD["time_utc"] + timedelta(seconds=1)}, 2),
        ({**NO_ID, "longitude": -76.5001}, 2),
        ({**NO_ID, "gunshot_type": "MG"}, 2),
    ],
    ids=["exact", "same id", "other id", "no id, same place", "other second", "other point", "other type"],
)
def test_an_alert_of_two_files_is_counted_once(copy: dict[str, Any], alerts: int) -> None:
    table = raw({"received_at": datetime(2024, 3, 3, tzinfo=UTC)}, {**OTHER_FILE, **copy})
    for rows in (table, table.take([1, 0])):
        cleaned = clean_alerts(rows, [DAY], CITY)[DAY]
        assert cleaned.account.cleaned == alerts
        rounds = copy.get("rounds", 2) if alerts == 1 else 2
        assert cleaned.alerts.filter(pc.equal(cleaned.alerts["rounds"], rounds)).num_rows == alerts, (
            "the last row counts"
        )
        assert unaccounted_rows(rows, stacked({DAY: cleaned}, "alerts"), stacked({DAY: cleaned}, "rejected")) == {}


SPELLINGS = {
    "Single_Gunshot": 0, "Single Gunshot": 0, "SINGLE GUNSHOT": 0, "single-gunshot": 0, " Single  Gunshots ": 0, "SG": 0,
    "Multiple_Gunshots": 1, "Multiple Gunshots": 1, "MULTIPLE GUNSHOTS": 1, "MG": 1,
    "Gunshot_or_Firecracker": 2, "GUNSHOT OR FIRECRACKER": 2, "Possible Gunfire": 2, "Probable_Gunfire": 2, "pg": 2,
    "Single Gun-shot": 0, "Multiple Gunshot": 1, "Multiple Gun-shot or Firecracker": 2, "0": 0, "1": 1, "2": 2,
    "3": None, "#REF!": None, "": None, None: None,
}  # fmt: skip


def codes(texts: list[str | None], city: City = CITY) -> list[int | None]:
    found: list[int | None] = type_codes(column(texts), city).to_pylist()
    return found


def column(texts: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.string())])


def test_spellings() -> None:
    assert codes(list(SPELLINGS)) == list(SPELLINGS.values())


def test_a_citys_own_spellings_and_events_come_first() -> None:
    own = {"Shots, Confirmed": 1, "PG": None, "Robbery of Gun": 0}
    events = {"robbery": ("ROBBERY", "Robbery of gun"), "shots fired call": ("SG",)}
    city = CITY.model_copy(update={"gunshot_spellings": own, "event_types": events})
    texts = ["shots,_confirmed", "pg", "PG", "robbery", "ROBBERY-OF-GUN", "sg", "MG", "theft", None]
    assert codes(texts, city) == [1, None, None, 4, 0, 5, 1, None, None]
    # What the city's file calls no known type is not unknown.
    assert unknown_spellings(column(texts), type_codes(column(texts), city), city) == {"theft": 1}
    assert unknown_spellings(column(texts), type_codes(column(texts), CITY), CITY) == {
        "shots,_confirmed": 1, "robbery": 1, "ROBBERY-OF-GUN": 1, "theft": 1,
    }  # fmt: skip


ACOUSTIC = ["washington_dc", "washington_dc_2006_2013", "springfield_ma_hourly", "san_francisco_ca", "camden_nj_dateonly",
            "goldsboro_nc", "brockton_ma", "oakland_ca", "cincinnati_oh", "fresno_ca", "wilmington_nc"]  # fmt: skip


@pytest.mark.parametrize("file", ACOUSTIC)
def test_every_spelling_of_the_real_files_has_a_code(file: str) -> None:
    spellings = pq.read_table(real_alerts(file), columns=["alert_type"])["alert_type"].cast(pa.string())
    assert type_codes(spellings, CITY).null_count == spellings.null_count


def by_double_loop(day: np.ndarray, seconds: np.ndarray, metres: np.ndarray) -> list[int]:
    """Each day's alerts joined with those of their day and the day before, by spreading the first until it rests."""
    found = np.arange(len(seconds))
    for today in set(day.tolist()):
        among = np.flatnonzero((day == today) | (day == today - 1))
        first = {int(at): int(at) for at in among}
        for _ in among:
            for a in among:
                for b in among:
                    near = np.hypot(*(metres[a] - metres[b])) <= MAX_METRES
                    if near and abs(seconds[a] - seconds[b]) <= 60 * MAX_MINUTES:
                        first[a] = first[b] = min(first[a], first[b])
        for at in np.flatnonzero(day == today):
            found[at] = first[at]
    return found.tolist()


alerts_of_three_days = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=9
)


@settings(max_examples=50, deadline=None)
@given(alerts=alerts_of_three_days)
@example(alerts=[(1199, 0, 0), (1499, 0, 0)])
@example(alerts=[(400, 0, 0), (600, 0, 0), (800, 0, 0), (999, 0, 0), (1100, 0, 0)])  # reaches back one day
@example(alerts=[(450, 0, 0), (450, 4, 0), (510, 2, 0)])  # apart before midnight
def test_components_agree_with_a_double_loop(alerts: list[tuple[int, int, int]]) -> None:
    seconds, x, y = np.array(sorted(alerts), dtype=float).T
    day = (seconds // 500).astype(np.int64)
    metres = np.column_stack([60 * x, 77 * y])
    assert incident_numbers(day, seconds, metres).tolist() == by_double_loop(day, seconds, metres)


def test_many_alerts_of_one_hour_at_few_points_need_little_memory() -> None:
    # All pairs of 60,000 alerts at 3 points would be 600 million.
    seconds = np.zeros(60_000)
    metres = np.column_stack([np.repeat([0.0, 110.0, 11_000.0], 20_000), np.zeros(60_000)])
    found = incident_numbers(np.zeros(60_000, dtype=int), seconds, metres)
    assert np.unique(found).tolist() == [0, 40_000]
