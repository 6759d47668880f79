"""Lets Dagster remember the windows of a schedule: without it, launching a backfill of years hangs.

To find the folds that a day belongs to, Dagster steps through the cron schedule of the folds a hundred times, and then once
more through all folds found, for every day anew: in the web server when the backfill is launched, and twice in the daemon.
Neither the ticks of a schedule nor the moves from window to window change, so both are remembered. That cron is slow here is
known as dagster-io/dagster#17429. Smaller offsets are no way out: a fold needs all days before its cutoff.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final

from dagster._core.definitions.partitions.definition import time_window as definition
from dagster._core.definitions.partitions.mapping import time_window as mapping

from shotspotter_assets.dagster_patches.guard import known

_PURPOSE: Final = "a launch of years of days takes seconds, not minutes"

STOCK_MOVE = known(
    "dagster._core.definitions.partitions.mapping.time_window:_offsetted_datetime",
    parameters="partitions_def, dt, offset",
    sources=("c4530aadf7a7",),
    purpose=_PURPOSE,
)
STOCK_TICKS = known(
    "dagster._utils.schedules:cron_string_iterator",
    parameters="start_timestamp, cron_string, execution_timezone, ascending, start_offset",
    sources=("60cbd66ac39a",),
    purpose=_PURPOSE,
)
known(
    "dagster._utils.schedules:reverse_cron_string_iterator",
    parameters="end_timestamp, cron_string, execution_timezone",
    sources=("a053f0950817",),
    purpose=_PURPOSE,
)


def apply() -> None:
    """Let all partitions by time windows in this process, and their mappings, remember the windows."""
    # mypy takes what a module has imported for no part of it.
    definition.cron_string_iterator = ticks_from  # type: ignore[assignment, attr-defined]
    definition.reverse_cron_string_iterator = ticks_to  # type: ignore[attr-defined]
    mapping._offsetted_datetime = _remembered


def ticks_from(start_timestamp: float, cron_string: str, execution_timezone: str | None) -> Iterator[datetime]:
    """The ticks of a schedule at an instant and after it."""
    year = datetime.fromtimestamp(start_timestamp, UTC).year
    ticks = _ticks(cron_string, execution_timezone, year)
    yield from ticks[bisect_left(ticks, start_timestamp, key=datetime.timestamp) :]
    while True:
        year += 1
        yield from _ticks(cron_string, execution_timezone, year)


def ticks_to(end_timestamp: float, cron_string: str, execution_timezone: str | None) -> Iterator[datetime]:
    """The ticks of a schedule at an instant and before it, the last one first."""
    year = datetime.fromtimestamp(end_timestamp, UTC).year
    ticks = _ticks(cron_string, execution_timezone, year)
    yield from reversed(ticks[: bisect_right(ticks, end_timestamp, key=datetime.timestamp)])
    while True:
        year -= 1
        yield from reversed(_ticks(cron_string, execution_timezone, year))


@lru_cache(maxsize=1_000)
def _ticks(cron_string: str, execution_timezone: str | None, year: int) -> list[datetime]:
    """Those of a year of UTC, sorted."""
    first, end = (datetime(start, 1, 1, tzinfo=UTC).timestamp() for start in (year, year + 1))
    return list(takewhile(lambda tick: tick.timestamp() < end, STOCK_TICKS(first, cron_string, execution_timezone)))


def _remembered(partitions_def: Any, dt: datetime, offset: int) -> datetime:
    # Moments that compare as equal may be different instants (when clocks go back) or have different zones.
    return _computed(partitions_def, dt, offset, dt.timestamp(), str(dt.tzinfo))


@lru_cache(maxsize=10_000)
def _computed(partitions_def: Any, moment: datetime, offset: int, _instant: float, _zone: str) -> datetime:
    return STOCK_MOVE(partitions_def, moment, offset)
