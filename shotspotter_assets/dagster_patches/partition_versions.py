"""A data version of its own for every partition that one run makes.

Dagster gives all partitions of a run the same data version, so after a run over a range either none or all of what was
made from them counts as stale. Importing this module replaces the function that makes a step's events: an event whose
metadata has `DATA_VERSION` (see `add_version`) gets it as its data version. It uses a private function of Dagster; a
test compares the events.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.execution.plan import execute_step

DATA_VERSION: Final = "data_version"
"""Name of the metadata entry."""

_events_of_an_output = execute_step._get_output_asset_events


def add_version(context: dg.AssetExecutionContext, partition_key: str, version: str) -> None:
    """Say which data version the partition has that the run makes; what was made from it is stale once it changes."""
    context.add_asset_metadata({DATA_VERSION: version}, partition_key=partition_key)


def _with_own_versions(*arguments: Any, **named: Any) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    for event in _events_of_an_output(*arguments, **named):
        version = event.metadata.get(DATA_VERSION)
        if version is None:
            yield event
        else:
            own = {DATA_VERSION_TAG: str(version.value), DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
            yield event._replace(tags={**(event.tags or {}), **own})


execute_step._get_output_asset_events = _with_own_versions
