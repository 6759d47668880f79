"""A data version of its own for every partition that one run makes.

Dagster gives all partitions of a run the same data version, so after a run over a range either none or all of what was
made from them counts as stale (dagster-io/dagster#34013, #18649). `MaterializeResult` takes one version, events that
the body logs itself are followed by Dagster's own, and a run for each day takes hours for a backfill. So the function
that makes a step's events is replaced: an event whose metadata has `DATA_VERSION` gets it as its data version.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.execution.plan import execute_step

from shotspotter_assets.dagster_patches.guard import known

DATA_VERSION: Final = "data_version"
"""Name of the metadata entry."""

STOCK = known(
    "dagster._core.execution.plan.execute_step:_get_output_asset_events",
    parameters="asset_key, asset_partitions, output, output_def, io_manager_metadata, step_context, execution_type",
    sources=("0ac11bd7e5d1", "31a8a2754554"),
    purpose="each day that a run makes has its own data version",
)


def apply() -> None:
    """Let all steps of this process look for data versions in the metadata of their partitions."""
    execute_step._get_output_asset_events = _with_own_versions


def add_version(context: dg.AssetExecutionContext, partition_key: str, version: str) -> None:
    """Set the data version of a partition that the run makes; what was made from it is stale once it changes."""
    context.add_asset_metadata({DATA_VERSION: version}, partition_key=partition_key)


def _with_own_versions(*arguments: Any, **named: Any) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    for event in STOCK(*arguments, **named):
        version = event.metadata.get(DATA_VERSION)
        if version is None:
            yield event
        else:
            own = {DATA_VERSION_TAG: str(version.value), DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
            yield event._replace(tags={**(event.tags or {}), **own})
