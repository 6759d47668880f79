"""Partitions that say what is wrong with a key that they do not have.

`dg launch` checks a key before anything of this project runs, and answers an unknown one with a stack trace that does
not name what there is. It prints an error of Click's as one line, so that is what these partitions raise.
"""

from collections.abc import Mapping
from typing import Any

import click
import dagster as dg

from shotspotter_assets.dagster_patches.guard import known

known(
    "dagster._core.definitions.partitions.definition.partitions_definition:PartitionsDefinition.validate_partition_key",
    parameters="self, partition_key, context",
    sources=("71c6c30a865c",),
    purpose="a partition key that does not exist is explained in one line",
)


class UnknownPartitionError(click.ClickException):
    """A partition key names a city, a day or a fold that there is not; the message says what there is."""


class ExplainingCities(dg.StaticPartitionsDefinition):
    """Stock partitions of one dimension, the cities."""

    def validate_partition_key(self, partition_key: str, context: Any) -> None:
        """Refuse an unknown key."""
        _refuse_unknown(partition_key, {"city": self})


class ExplainingPartitions(dg.MultiPartitionsDefinition):
    """Stock partitions of two dimensions."""

    def validate_partition_key(self, partition_key: str, context: Any) -> None:
        """Refuse an unknown key."""
        _refuse_unknown(partition_key, {one.name: one.partitions_def for one in self.partitions_defs})


def _refuse_unknown(partition_key: str, dimensions: Mapping[str, dg.PartitionsDefinition]) -> None:
    parts = partition_key.split("|")
    if len(parts) == len(dimensions):
        named = zip(dimensions.items(), parts, strict=True)
        problems = [
            f"{name} {part!r} is none of {_listed(partitions)}"
            for (name, partitions), part in named
            if not partitions.has_partition_key(part)
        ]
    else:
        problems = [f"write {'|'.join(dimensions)}"]
    if problems:
        raise UnknownPartitionError(f"There is no partition {partition_key!r}: {'; '.join(problems)}.")


def _listed(partitions: dg.PartitionsDefinition) -> str:
    """All keys, but for those in the middle of a calendar."""
    keys = partitions.get_partition_keys()
    is_calendar = isinstance(partitions, dg.TimeWindowPartitionsDefinition) and len(keys) > 3
    return ", ".join([*keys[:2], "...", keys[-1]] if is_calendar else keys)
