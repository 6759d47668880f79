"""Lets the cached status of an asset's partitions stand while nothing has happened to them, and be made quickly when something has.

Dagster keeps, for each asset, which partitions are made, up to an event. At each look it reads the list, sorts it and writes
it again, though no event has come since: seconds for hundred thousands of partitions, at each tick and each page. It is made anew
when there is a new city, though nothing has happened to the others, and then an object is made of each key to see whether it is
one: most of the time that it takes.
"""

from collections.abc import Iterator
from typing import Any, Final

from dagster import AssetRecordsFilter, MultiPartitionsDefinition, StaticPartitionsDefinition
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
known(
    "dagster._core.definitions.partitions.definition.multi:MultiPartitionsDefinition.get_serializable_unique_identifier",
    parameters="self",
    sources=("fa19a950e1a1",),
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
    if (
        stored_cache_value is None
        and asset_record is not None
        and isinstance(partitions_def, MultiPartitionsDefinition)
    ):
        stored_cache_value = _of_fewer_cities(
            instance, asset_key, partitions_def, asset_record.asset_entry.cached_status
        )
    # While a run is under way, its end changes what counts as failed or in progress.
    if stored_cache_value is not None and stored_cache_value.earliest_in_progress_materialization_event_id is None:
        made = asset_record.asset_entry.last_materialization_storage_id or 0
        planned = partition_status_cache.get_last_planned_storage_id(instance, asset_key, asset_record)
        if max(made, planned) == stored_cache_value.latest_storage_id:
            return stored_cache_value
    return STOCK(instance, asset_key, partitions_def, stored_cache_value, asset_record)


def _of_fewer_cities(instance: Any, asset_key: Any, partitions_def: MultiPartitionsDefinition, status: Any) -> Any:
    """The status that was stored before cities were added, as one of all of them; None where it was another change."""
    if status is None or not status.serialized_materialized_partition_subset:
        return None
    for added, fewer in _with_fewer_cities(partitions_def, status.serialized_materialized_partition_subset):
        if fewer.get_serializable_unique_identifier() == status.partitions_def_id:
            # A city may have been there before, and have been taken out in between.
            if any(_is_anything_made(instance, asset_key, partitions_def, city) for city in added):
                return None
            return status._replace(partitions_def_id=partitions_def.get_serializable_unique_identifier())
    return None


def _with_fewer_cities(
    partitions_def: MultiPartitionsDefinition, made: str
) -> Iterator[tuple[list[str], MultiPartitionsDefinition]]:
    """What the partitions may have been before: without the cities of which nothing is made, and without one of them."""
    cities, days = partitions_def.partitions_defs
    if not isinstance(cities.partitions_def, StaticPartitionsDefinition):
        return
    names = cities.partitions_def.get_partition_keys()
    unmade = [city for city in names if f'"{city}|' not in made]
    for added in [unmade, *([city] for city in unmade if len(unmade) > 1)]:
        if 0 < len(added) < len(names):
            fewer = StaticPartitionsDefinition([city for city in names if city not in added])
            yield added, MultiPartitionsDefinition({cities.name: fewer, days.name: days.partitions_def})


def _is_anything_made(instance: Any, asset_key: Any, partitions_def: MultiPartitionsDefinition, city: str) -> bool:
    _, days = partitions_def.partitions_defs
    keys = [f"{city}|{day}" for day in days.partitions_def.get_partition_keys()]
    return bool(instance.fetch_materializations(AssetRecordsFilter(asset_key, asset_partitions=keys), limit=1).records)


def _valid_texts(partitions_def: Any, partition_keys: set[str]) -> set[str]:
    if not isinstance(partitions_def, MultiPartitionsDefinition):
        return STOCK_VALID_KEYS(partitions_def, partition_keys)
    keys = [key for key in partition_keys if partitions_def.is_valid_key_format(key)]
    first, second = (
        {part for part in {key.split("|")[at] for key in keys} if dimension.partitions_def.has_partition_key(part)}
        for at, dimension in enumerate(partitions_def.partitions_defs)
    )
    return {key for key in keys if (parts := key.split("|"))[0] in first and parts[1] in second}
