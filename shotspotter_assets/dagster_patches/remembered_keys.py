"""Lets Dagster remember keys of two dimensions instead of making the same ones anew.

A tick of the automation conditions maps the days of the last fortnight of each city to the days that they are made from, which
makes half a million keys of a few thousand different ones: half of its time with 200 cities.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from dagster import MultiPartitionKey

from shotspotter_assets.dagster_patches.guard import known

MAX_REMEMBERED: Final = 50_000
"""Some 30 MB; three months of 500 cities."""

STOCK: Final = known(
    "dagster._core.definitions.partitions.utils.multi:MultiPartitionKey.__new__",
    parameters="cls, keys_by_dimension",
    sources=("2673973897e6",),
    purpose="a tick of many cities ends in time",
)


def apply() -> None:
    """Let all keys of this process that are equal be one."""
    MultiPartitionKey.__new__ = _remembered  # type: ignore[method-assign]  # the patch


def _remembered(cls: type[MultiPartitionKey], keys_by_dimension: Mapping[str, str]) -> Any:
    if isinstance(keys_by_dimension, Mapping):
        return _made(cls, tuple(keys_by_dimension.items()))
    return STOCK(cls, keys_by_dimension)  # which says what is wrong


@lru_cache(maxsize=MAX_REMEMBERED)
def _made(cls: type[MultiPartitionKey], keys: tuple[tuple[str, str], ...]) -> Any:
    return STOCK(cls, dict(keys))
