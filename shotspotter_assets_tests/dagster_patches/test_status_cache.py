"""The status of partitions is that which Dagster finds, after whatever happened, and stands while nothing happens."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.storage import partition_status_cache
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from shotspotter_assets.dagster_patches import status_cache

PARTITIONS = dg.MultiPartitionsDefinition(
    {
        "city": dg.StaticPartitionsDefinition(["a", "b"]),
        "date": dg.DailyPartitionsDefinition("2024-01-01", "2024-02-01"),
    }
)
KEY = dg.AssetKey("made")


@dg.asset(partitions_def=PARTITIONS)
def made(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("fails"):
        raise ValueError("as asked")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    status_cache.apply()
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def status(instance: dg.DagsterInstance) -> Any:
    """The status, which is the one that Dagster would find."""
    found = get_and_update_asset_status_cache_value(instance, KEY, PARTITIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_status_cache, "_build_status_cache", status_cache.STOCK)
        assert get_and_update_asset_status_cache_value(instance, KEY, PARTITIONS) == found
    return found


def materialise(instance: dg.DagsterInstance, day: str, **tags: str) -> None:
    key = dg.MultiPartitionKey({"city": "a", "date": day})
    dg.materialize([made], instance=instance, partition_key=key, tags=tags, raise_on_error=False)


def test_what_happens_is_found_and_nothing_is_read_again_where_nothing_did(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(instance) is None
    materialise(instance, "2024-01-01")
    first = status(instance)
    assert keys_of(first.serialized_materialized_partition_subset) == {"a|2024-01-01"}
    materialise(instance, "2024-01-02", fails="yes")
    failed = status(instance)
    assert keys_of(failed.serialized_failed_partition_subset) == {"a|2024-01-02"}
    materialise(instance, "2024-01-02")
    mended = status(instance)
    assert keys_of(mended.serialized_failed_partition_subset) == set()
    assert keys_of(mended.serialized_materialized_partition_subset) == {"a|2024-01-01", "a|2024-01-02"}

    def refuse(*_: Any) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(DefaultPartitionsSubset, "from_serialized", refuse)
        patch.setattr(DefaultPartitionsSubset, "serialize", refuse)
        assert get_and_update_asset_status_cache_value(instance, KEY, PARTITIONS) == mended
    instance.wipe_assets([KEY])
    assert status(instance) is None


def test_a_run_under_way_is_looked_at_until_it_ends(instance: dg.DagsterInstance) -> None:
    materialise(instance, "2024-01-01")
    status(instance)
    job = dg.Definitions(assets=[made]).resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(
        job,
        tags={"dagster/partition": "a|2024-01-03"},
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({KEY}),
    )
    planned = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value, job_name=run.job_name,
        event_specific_data=AssetMaterializationPlannedData(KEY, partition="a|2024-01-03"),
    )  # fmt: skip
    instance.report_dagster_event(planned, run.run_id)
    assert keys_of(status(instance).serialized_in_progress_partition_subset) == {"a|2024-01-03"}
    instance.report_run_failed(run)
    ended = status(instance)
    assert keys_of(ended.serialized_in_progress_partition_subset) == set()
    assert keys_of(ended.serialized_failed_partition_subset) == {"a|2024-01-03"}


def keys_of(serialized: str) -> set[str]:
    return set(PARTITIONS.deserialize_subset(serialized).get_partition_keys())


def test_keys_that_are_none_any_more_are_left_out_as_by_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    status_cache.apply()
    keys = {"a|2024-01-01", "b|2024-01-31", "b|2024-02-01", "c|2024-01-01", "a", "a|b|c", "2024-01-01|a", "a|today"}
    valid = partition_status_cache.get_validated_partition_keys(PARTITIONS, keys)
    assert valid == {"a|2024-01-01", "b|2024-01-31"} == status_cache.STOCK_VALID_KEYS(PARTITIONS, keys)
    assert partition_status_cache.get_validated_partition_keys(PARTITIONS, set()) == set()
    cities = dg.StaticPartitionsDefinition(["a", "b"])
    assert partition_status_cache.get_validated_partition_keys(cities, {"b", "c"}) == {"b"}
    monkeypatch.setattr(dg.MultiPartitionKey, "__new__", lambda *_: pytest.fail("an object of a key"))
    assert partition_status_cache.get_validated_partition_keys(PARTITIONS, keys) == valid


def of_cities(*cities: str) -> dg.MultiPartitionsDefinition:
    days = dg.DailyPartitionsDefinition("2024-01-01", "2024-02-01")
    return dg.MultiPartitionsDefinition({"city": dg.StaticPartitionsDefinition(cities), "date": days})


def made_of(instance: dg.DagsterInstance, partitions: dg.MultiPartitionsDefinition) -> set[str]:
    """What is shown as made, which is what Dagster finds that reads all events."""
    found: Any = get_and_update_asset_status_cache_value(instance, KEY, partitions)
    record = next(iter(instance.get_asset_records([KEY])))
    assert status_cache.STOCK(instance, KEY, partitions, None, record) == found
    return set(partitions.deserialize_subset(found.serialized_materialized_partition_subset).get_partition_keys())


def report(instance: dg.DagsterInstance, key: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=key))


def test_after_new_cities_the_events_of_the_others_are_not_read_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a|2024-01-01", "b|2024-01-02"):
        report(instance, key)
    keys = {"a|2024-01-01", "b|2024-01-02"}
    assert made_of(instance, of_cities("a", "b")) == keys
    read = type(instance.event_log_storage).get_materialized_partitions

    def of_new_events(*arguments: Any, after_cursor: int | None = None, **named: Any) -> Any:
        assert after_cursor is not None, "all events are read"
        return read(*arguments, after_cursor=after_cursor, **named)

    def refresh(*cities: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(type(instance.event_log_storage), "get_materialized_partitions", of_new_events)
            get_and_update_asset_status_cache_value(instance, KEY, of_cities(*cities))

    refresh("a", "b", "new")
    assert made_of(instance, of_cities("a", "b", "new")) == keys
    # One more while nothing is made of the last, then two at once.
    refresh("a", "b", "new", "newer")
    assert made_of(instance, of_cities("a", "b", "new", "newer")) == keys
    report(instance, "new|2024-01-03")
    report(instance, "newer|2024-01-03")
    keys |= {"new|2024-01-03", "newer|2024-01-03"}
    assert made_of(instance, of_cities("a", "b", "new", "newer")) == keys
    refresh("a", "b", "new", "newer", "c", "d")
    assert made_of(instance, of_cities("a", "b", "new", "newer", "c", "d")) == keys


def test_a_city_that_comes_back_has_what_was_made_of_it(instance: dg.DagsterInstance) -> None:
    for key in ("a|2024-01-01", "b|2024-01-02"):
        report(instance, key)
    assert made_of(instance, of_cities("a", "b")) == {"a|2024-01-01", "b|2024-01-02"}
    assert made_of(instance, of_cities("a")) == {"a|2024-01-01"}
    assert made_of(instance, of_cities("a", "b")) == {"a|2024-01-01", "b|2024-01-02"}
    assert made_of(instance, of_cities("b", "c")) == {"b|2024-01-02"}
