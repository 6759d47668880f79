"""Remembered keys are those that Dagster makes, and a mapping of a fortnight of many cities makes each once."""

import pickle
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster_shared.check import CheckError

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.dagster_patches import remembered_keys
from shotspotter_assets.partitions import LAST_FORTNIGHT, build_partitions
from shotspotter_assets_tests.conftest import TEST_CITIES


@pytest.fixture(autouse=True)
def remembering() -> Iterator[None]:
    remembered_keys.apply()
    remembered_keys.apply()
    remembered_keys._made.cache_clear()
    yield
    remembered_keys._made.cache_clear()


def test_a_key_is_the_one_that_dagster_makes() -> None:
    for keys in ({"city": "x", "date": "2024-01-01"}, {"date": "2024-01-01", "city": "x"}, {"b": "1", "a": "2|3"}):
        stock = remembered_keys.STOCK(dg.MultiPartitionKey, keys)
        for found in (dg.MultiPartitionKey(keys), dg.MultiPartitionKey(keys), pickle.loads(pickle.dumps(stock))):
            assert (found, type(found), found.keys_by_dimension) == (stock, dg.MultiPartitionKey, keys)
            assert found.dimension_keys == stock.dimension_keys
    assert (
        dg.MultiPartitionKey({"a": "1", "b": "2"}).keys_by_dimension
        != dg.MultiPartitionKey({"c": "1", "b": "2"}).keys_by_dimension
    )  # though they read the same


@pytest.mark.parametrize("wrong", ["x|2024-01-01", {"city": 1}, {1: "x"}, None])
def test_what_is_no_key_is_refused_as_by_dagster(wrong: Any) -> None:
    with pytest.raises(CheckError):
        remembered_keys.STOCK(dg.MultiPartitionKey, wrong)
    with pytest.raises(CheckError):
        dg.MultiPartitionKey(wrong)


def test_the_days_that_a_fortnight_is_made_from_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = build_partitions(load_cities(TEST_CITIES)).city_date
    days = [f"2024-03-{day:02}" for day in range(1, 15)]
    wanted = partitions.empty_subset().with_partition_keys(f"{city}|{day}" for city in TOWNS for day in days)
    made: list[Any] = []
    stock = remembered_keys.STOCK

    def spy(cls: Any, keys: Any) -> Any:
        made.append(keys)
        return stock(cls, keys)

    monkeypatch.setattr(remembered_keys, "STOCK", spy)
    found = LAST_FORTNIGHT.get_upstream_mapped_partitions_result_for_partitions(wanted, partitions, partitions)
    needed = {f"{city}|{day}" for city in TOWNS for day in [*days, *(f"2024-02-{day}" for day in range(17, 30))]}
    assert needed <= set(found.partitions_subset.get_partition_keys())
    assert len(made) <= 2 * len(found.partitions_subset)


TOWNS = ("tiny_city", "landing_city")
