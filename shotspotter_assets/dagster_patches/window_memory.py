"""Lets Dagster's processes remember time windows they have computed: without it, launching a backfill of years hangs.

To find the folds that a day belongs to, Dagster steps from window to window through the cron schedule of the folds, for
every day anew: a second of work for each day of a backfill. The windows of a schedule do not change, so a window
that was computed once is remembered. The module is imported with the instance's event log, and so in the web server
and the daemon too, where this happens.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from dagster import TimeWindowPartitionsDefinition

_computed = {
    name: getattr(TimeWindowPartitionsDefinition, name)
    for name in ("get_next_partition_window", "get_prev_partition_window")
}


@lru_cache(maxsize=10_000)
def _remembered(name: str, definition: TimeWindowPartitionsDefinition, moment: datetime, zone: str) -> Any:
    # The zone is part of the key because equal instants of different zones are equal moments.
    return _computed[name](definition, moment, respect_bounds=False)


def remember_windows() -> None:
    """Let all time-window definitions of this process remember their windows; calling it again changes nothing."""

    def remembering(name: str) -> Any:
        def window(
            self: TimeWindowPartitionsDefinition,
            moment: datetime,
            *arguments: Any,
            respect_bounds: bool = True,
            **named: Any,
        ) -> Any:
            # Bounds move with the clock, and are not remembered.
            if respect_bounds or arguments or named:
                return _computed[name](self, moment, *arguments, respect_bounds=respect_bounds, **named)
            return _remembered(name, self, moment, str(moment.tzinfo))

        return window

    for name in _computed:
        setattr(TimeWindowPartitionsDefinition, name, remembering(name))
