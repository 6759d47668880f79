"""Lets Dagster remember the moves from window to window of a schedule: without it, launching a backfill of years hangs.

To find the folds that a day belongs to, Dagster steps through the cron schedule of the folds a hundred times, for
every day anew: 0.1 seconds of work for each day of a backfill, in the web server and in the daemon. The windows of a
schedule do not change, so a move that was computed once is remembered. That cron is slow here is known as
dagster-io/dagster#17429. Smaller offsets are no way out: a fold needs all days before its cutoff.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from dagster._core.definitions.partitions.mapping import time_window

from shotspotter_assets.dagster_patches.guard import known

STOCK = known(
    "dagster._core.definitions.partitions.mapping.time_window:_offsetted_datetime",
    parameters="partitions_def, dt, offset",
    sources=("c4530aadf7a7",),
    purpose="a launch of years of days takes seconds, not minutes",
)


def apply() -> None:
    """Let all mappings of time windows in this process remember their moves."""
    time_window._offsetted_datetime = _remembered


def _remembered(partitions_def: Any, dt: datetime, offset: int) -> datetime:
    # Moments that compare as equal may be different instants (when clocks go back) or have different zones.
    return _computed(partitions_def, dt, offset, dt.timestamp(), str(dt.tzinfo))


@lru_cache(maxsize=10_000)
def _computed(partitions_def: Any, moment: datetime, offset: int, _instant: float, _zone: str) -> datetime:
    return STOCK(partitions_def, moment, offset)
