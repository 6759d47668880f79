"""A store that reads each day of a window once."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.remembering_store import RememberingStore
from shotspotter_assets.storage.store import Partition, Store

FIRST = date(2024, 1, 1)


def write(store: Store, at: int, value: int, grid: str = "a") -> None:
    table = pa.table({"value": pa.array([value, value])}).replace_schema_metadata({"grid": grid, "known": str(value)})
    store.write_table(Partition("things", "town", "date", FIRST + timedelta(days=at)), "f.parquet", table)


@pytest.fixture
def store(tmp_path: Path) -> RememberingStore:
    store = RememberingStore(str(tmp_path))
    for at in range(6):
        write(store, at, at)
    return store


def window(store: Store, first: int, last: int) -> pa.Table:
    return store.read_window("things", "town", "f.parquet", *(FIRST + timedelta(days=at) for at in (first, last)))


def test_windows_are_those_of_a_store_that_remembers_nothing(store: RememberingStore, tmp_path: Path) -> None:
    for first, last in ((0, 3), (0, 4), (2, 3), (2, 5), (1, 1), (0, 5)):
        assert window(store, first, last).combine_chunks().equals(window(Store(str(tmp_path)), first, last))
        assert (window(store, first, last).schema.metadata or {})[b"grid"] == b"a"


def test_a_day_is_read_once_and_a_further_one_when_it_is_asked_for(store: RememberingStore) -> None:
    window(store, 0, 3)
    write(store, 2, 99)
    write(store, 4, 44)
    assert window(store, 1, 4)["value"].to_pylist() == [1, 1, 2, 2, 3, 3, 44, 44]
    with pytest.raises(MissingPartitionsError):
        window(store, 0, 7)


def test_a_day_of_another_grid_is_noticed(store: RememberingStore) -> None:
    window(store, 0, 3)
    write(store, 4, 4, grid="b")
    assert b"grid" not in (window(store, 0, 4).schema.metadata or {})
