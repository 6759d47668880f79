"""Lets a run over a range of one partition be a run of that partition.

Sensors ask for days by ranges. Dagster plans the checks of such a run for its one partition, but files their results
under none, so that the plans are never fulfilled: all checks of the asset read "Skipped", and none shows its partition.
"""

from typing import Any, Final

from dagster._core.execution.context.system import PlanExecutionContext

from shotspotter_assets.dagster_patches.guard import known

STOCK = known(
    "dagster._core.execution.context.system:PlanExecutionContext.has_partition_key.fget",
    parameters="self",
    sources=("297273037f36",),
    purpose="checks of a day that a sensor asked for are shown under that day",
)

RANGE_TAGS: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def apply() -> None:
    """Let all runs of this process know the one partition of their range."""
    PlanExecutionContext.has_partition_key = property(_has_partition_key)  # type: ignore[method-assign, assignment]


def _has_partition_key(context: Any) -> bool:
    first, last = map(context.get_tag, RANGE_TAGS)
    return STOCK(context) or (first is not None and first == last)
