"""The stored tables of what the sensors have seen."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.sources.arrivals import SEEN_SCHEMA, Unreadable
from shotspotter_assets.sources.seen import SeenTable, read_unreadable, unreadable_versions
from shotspotter_assets.storage.store import Partition, Store

ROWS = [
    {"file": "a.csv", "file_version": "1", "day": date(2024, 3, 1), "day_version": "x", "asked": True},
    {"file": "a.csv", "file_version": "1", "day": date(2024, 3, 2), "day_version": "y", "asked": False},
    {"file": "b.csv", "file_version": "2", "asked": False, "error": "it is damaged"},
]
TABLE = pa.Table.from_pylist(ROWS, SEEN_SCHEMA)


@pytest.fixture
def city() -> City:
    return next(iter(load_cities().values()))


def test_a_changed_table_is_the_next_generation_and_the_one_before_last_goes(tmp_path: Path, city: City) -> None:
    store = Store(str(tmp_path))
    seen = SeenTable(store, city, "landing", 0)
    assert seen.table.num_rows == 0
    for rows in (1, 2, 2, 3):
        seen.keep(TABLE.slice(0, rows))
    assert seen.generation == 3
    assert [SeenTable(store, city, "landing", generation).table.num_rows for generation in range(5)] == [0, 0, 2, 3, 0]


def test_unreadable_files_are_those_of_the_landing_sensor(tmp_path: Path, city: City) -> None:
    store = Store(str(tmp_path))
    SeenTable(store, city, "polled", 0).keep(TABLE)
    assert read_unreadable(store, city.name) == {}
    seen = SeenTable(store, city, "landing", 0)
    seen.keep(TABLE)
    assert seen.unreadable() == read_unreadable(store, city.name)
    assert list(seen.unreadable()) == ["b.csv"]
    assert read_unreadable(store, city.name) == {"b.csv": Unreadable("2", "it is damaged")}
    assert unreadable_versions(store, city.name) == {"b.csv": "2"}
    stored = store.read_bytes(Partition("arrivals", city.name), "unreadable.json")
    assert stored == b'{"b.csv": {"version": "2", "error": "it is damaged"}}'


def test_a_table_from_before_days_were_marked_as_asked_is_read(tmp_path: Path, city: City) -> None:
    store = Store(str(tmp_path))
    store.write_table(Partition("arrivals", city.name), "landing_1.parquet", TABLE.drop_columns(["asked"]))
    assert SeenTable(store, city, "landing", 1).table["asked"].to_pylist() == [True, True, False]
