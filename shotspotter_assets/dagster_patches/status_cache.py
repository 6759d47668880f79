"""Lets the cached status of an asset's partitions stand while nothing has happened to them, and be made quickly when something has.

Dagster keeps, for each asset, which partitions are made, up to an event. At each look it reads the list, sorts it and writes
it again, though no event has come since: seconds for hundred thousands of partitions, at each tick and each page. It is made anew
when there is a new city, and then an object is made of each key to see whether it is one: most of the time that it takes.
"""

from typing import Any, Final

from dagster import MultiPartitionsDefinition
from dagster._core.storage import partition_status_cache

from shotspotter_assets.dagster_patches.guard import known

_PURPOSE: Final = "a tick of many cities ends in time"

STOCK: Final = known(
    "dagster._core.storage.partition_status_cache:_build_status_cache",
    parameters="instance, asset_key, partitions_def, stored_cache_value, asset_record",
    sources=("bb95c041897a",),
    purpose=_PURPOSE,
)
known(
    "dagster._core.storage.partition_status_cache:get_and_update_asset_status_cache_value",
    parameters="instance, asset_key, partitions_def, dynamic_partitions_loader, loading_context",
    sources=("ecfbf48fca82",),
    purpose=_PURPOSE,
)
STOCK_VALID_KEYS: Final = known(
    "dagster._core.storage.partition_status_cache:get_validated_partition_keys",
    parameters="partitions_def, partition_keys",
    sources=("fae19eb1ff41", "2b99e1c79d4c"),
    purpose=_PURPOSE,
)


def apply() -> None:
    """Let all looks of this process leave what has not changed as it is."""
    partition_status_cache._build_status_cache = _unless_unchanged
    partition_status_cache.get_validated_partition_keys = _valid_texts


def _unless_unchanged(
    instance: Any, asset_key: Any, partitions_def: Any, stored_cache_value: Any, asset_record: Any
) -> Any:
    # While a run is under way, its end changes what counts as failed or in progress.
    if stored_cache_value is not None and stored_cache_value.earliest_in_progress_materialization_event_id is None:
        made = asset_record.asset_entry.last_materialization_storage_id or 0
        planned = partition_status_cache.get_last_planned_storage_id(instance, asset_key, asset_record)
        if max(made, planned) == stored_cache_value.latest_storage_id:
            return stored_cache_value
    return STOCK(instance, asset_key, partitions_def, stored_cache_value, asset_record)


def _valid_texts(partitions_def: Any, partition_keys: set[str]) -> set[str]:
    if not isinstance(partitions_def, MultiPartitionsDefinition):
        return STOCK_VALID_KEYS(partitions_def, partition_keys)
    keys = [key for key in partition_keys if partitions_def.is_valid_key_format(key)]
    first, second = (
        {part for part in {key.split("|")[at] for key in keys} if dimension.partitions_def.has_partition_key(part)}
        for at, dimension in enumerate(partitions_def.partitions_defs)
    )
    return {key for key in keys if (parts := key.split("|"))[0] in first and parts[1] in second}
