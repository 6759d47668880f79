from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.alerts.sources.landing.merged import merge_files
from shotspotter_assets.alerts.sources.schema import PUBLISHED, RAW_SCHEMA
from shotspotter_assets.cities.box import Box

DAY = date(2024, 3, 2)
NOON = datetime(2024, 3, 2, 12, tzinfo=UTC)
BOX = Box(west=-77.0, south=38.0, east=-76.0, north=39.0)
GOOD = {"date": DAY, "time_utc": NOON, "longitude": -76.5, "latitude": 38.5, "gunshot_type": "SG", "is_separate": True}
MINUTES = st.lists(st.integers(0, 5), max_size=12)


def file(name: str, rows: list[dict[str, Any]], received: int = 0) -> pa.Table:
    at = NOON + timedelta(days=1, minutes=received)
    named = [{**GOOD, **row, "received_from": name, "received_at": at} for row in rows]
    return pa.Table.from_pylist(named, RAW_SCHEMA)


def merged(*files: pa.Table) -> Counter[str]:
    rows = merge_files(pa.concat_tables(files), BOX).select(PUBLISHED).to_pylist()
    return Counter(map(str, rows))


def without_id(minutes: list[int]) -> list[dict[str, Any]]:
    return [{"time_utc": NOON + timedelta(minutes=minute)} for minute in minutes]


@given(first=MINUTES, second=MINUTES)
def test_names_order_and_repetitions_of_files_do_not_matter(first: list[int], second: list[int]) -> None:
    rows = without_id(first), without_id(second)
    usual = merged(file("a", rows[0]), file("b", rows[1], 1))
    assert usual == merged(file("z", rows[1][::-1], 1), file("b", rows[0][::-1]))
    assert usual == merged(file("a", rows[0]), file("b", rows[1], 1), file("c", rows[0], 2), file("d", rows[1], 3))
    assert usual.total() == (Counter(first) | Counter(second)).total(), "as often as in the file with most of them"


@given(files=st.lists(st.integers(0, 2), min_size=1, max_size=9))
def test_a_split_of_rows_with_ids_does_not_matter(files: list[int]) -> None:
    rows = [{"source_id": str(at), "rounds": at} for at in range(len(files))]
    parts = [
        file(str(part), [row for row, at in zip(rows, files, strict=True) if at == part], part) for part in range(3)
    ]
    assert merged(*parts) == merged(file("whole", rows))


def test_of_two_versions_of_an_alert_the_last_one_in_the_box_counts() -> None:
    first = {"source_id": "a", "rounds": 1}
    second = {"source_id": "a", "rounds": 2}
    swapped = {**first, "longitude": 38.5, "latitude": -76.5}
    assert merged(file("b", [first, first]), file("a", [second], 1)) == merged(file("x", [second]))
    assert merged(file("b", [second]), file("a", [swapped], 1)) == merged(file("x", [second]))
    unreadable = {"source_id": "a", "time_utc": None, "as_received": "{}"}
    assert merged(file("b", [unreadable]), file("a", [second], 1)).total() == 2, "nobody can compare it"
