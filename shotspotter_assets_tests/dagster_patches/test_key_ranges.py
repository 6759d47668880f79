"""Remembered ranges of keys are the listed ones, and are listed once for a run that adds metadata day by day."""

from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.dagster_patches import key_ranges
from shotspotter_assets.dagster_patches.key_ranges import RangeRememberingPartitions

DIMENSIONS = {
    "city": dg.StaticPartitionsDefinition(["oakland", "washington_dc"]),
    "date": dg.DailyPartitionsDefinition("2018-01-01", end_date="2018-04-01"),
}
CITY_DATES = RangeRememberingPartitions(DIMENSIONS)


def test_keys_are_those_that_dagster_lists() -> None:
    january = dg.PartitionKeyRange("oakland|2018-01-01", "oakland|2018-01-31")
    march = dg.PartitionKeyRange("oakland|2018-03-01", "washington_dc|2018-03-31")
    for key_range in (january, march, march, january):
        keys = CITY_DATES.get_partition_keys_in_range(key_range)
        assert keys == dg.MultiPartitionsDefinition(DIMENSIONS).get_partition_keys_in_range(key_range)
        assert keys[0] == key_range.start
        assert keys[-1] == key_range.end


def test_a_run_over_many_days_lists_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[dg.PartitionKeyRange] = []
    stock = key_ranges.STOCK

    def spy(self: Any, key_range: dg.PartitionKeyRange, store: Any = None) -> Any:
        listed.append(key_range)
        return stock(self, key_range, store)

    monkeypatch.setattr(key_ranges, "STOCK", spy)

    @dg.asset(partitions_def=RangeRememberingPartitions(DIMENSIONS), backfill_policy=dg.BackfillPolicy.single_run())
    def counted(context: dg.AssetExecutionContext) -> None:
        for number, key in enumerate(context.partition_keys):
            context.add_asset_metadata({"number": number}, partition_key=key)

    first, last = "oakland|2018-01-01", "oakland|2018-02-28"
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([counted], instance=instance, tags=tags)
    numbers = [event.materialization.metadata["number"].value for event in result.get_asset_materialization_events()]
    assert sorted(numbers) == list(range(59))
    assert listed == [dg.PartitionKeyRange(first, last)]


def test_a_set_of_keys_that_was_read_before_is_not_read_again() -> None:
    cities, stock = RangeRememberingPartitions(DIMENSIONS), dg.MultiPartitionsDefinition(DIMENSIONS)
    texts = [
        stock.empty_subset().with_partition_keys([f"oakland|2018-01-{day:02}"]).serialize()
        for day in range(1, key_ranges.MAX_REMEMBERED_SETS + 2)
    ]
    for text in (*texts, texts[-1], texts[0]):
        assert cities.deserialize_subset(text) == stock.deserialize_subset(text)
    last = cities.deserialize_subset(texts[-1])
    assert cities.deserialize_subset(str(texts[-1].encode(), "utf-8")) is last
    further = last.with_partition_keys(["oakland|2018-03-01"])
    assert len(further) == len(last) + 1 == 2
    assert cities.deserialize_subset(texts[-1]) == stock.deserialize_subset(texts[-1])
    assert len(cities.__dict__["_remembered_sets"]) == key_ranges.MAX_REMEMBERED_SETS
