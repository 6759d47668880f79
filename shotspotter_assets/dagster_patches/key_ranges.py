"""Partitions of two dimensions that remember the keys of the last range that was asked for.

Dagster lists a run's whole range again for every partition whose metadata is added: 1,826 days would list three
million keys. Metadata of single partitions can be added in no other way.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from shotspotter_assets.dagster_patches.guard import known
from shotspotter_assets.dagster_patches.unknown_keys import ExplainingPartitions

STOCK = known(
    "dagster:MultiPartitionsDefinition.get_partition_keys_in_range",
    parameters="self, partition_key_range, dynamic_partitions_store",
    sources=("2f624885278f",),
    purpose="the keys of a run over years are listed once",
)


class RangeRememberingPartitions(ExplainingPartitions):
    """Partitions of two dimensions with a memory of the last range."""

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange, dynamic_partitions_store: Any = None
    ) -> Sequence[dg.MultiPartitionKey]:
        remembered = self.__dict__.setdefault("_remembered", {})
        if partition_key_range not in remembered:
            keys = STOCK(self, partition_key_range, dynamic_partitions_store)
            remembered.clear()
            remembered[partition_key_range] = keys
        return remembered[partition_key_range]
