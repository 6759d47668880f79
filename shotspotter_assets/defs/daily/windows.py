"""How the days of the live chain depend on each other, and when automation makes them again."""

import warnings
from typing import Final

import dagster as dg

from shotspotter_assets.defs.automation.conditions import (
    CHANGED,
    CHANGED_WHILE_MADE,
    HANDLED,
    LOOK_BACK,
    NEWLY_MISSING,
    RECENT,
    when_settled,
)


def _days(first: int, last: int) -> dg.MultiPartitionMapping:
    """Days of the same city from `first` to `last`, counted from the day that is made."""
    window = dg.TimeWindowPartitionMapping(
        start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True
    )
    return dg.MultiPartitionMapping(
        {
            "city": dg.DimensionPartitionMapping("city", dg.IdentityPartitionMapping()),
            "date": dg.DimensionPartitionMapping("date", window),
        }
    )


# Dagster calls these features beta; the pinned version and the tests of the windows stand for them.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    LAST_FORTNIGHT: Final = _days(1 - LOOK_BACK.days, 0)
    """All days to the day are read; changes of the last ones are what automation looks for."""

    DAY_BEFORE: Final = _days(-1, -1)
    """A day is scored with the forecast that was issued the day before."""

    ALL_DAYS: Final = dg.MultiToSingleDimensionPartitionMapping("city")

# Within the window, as what is missing of all days of all cities takes seconds to list.
_open = RECENT & (dg.AutomationCondition.missing() | dg.AutomationCondition.in_latest_time_window())

_wanted = (NEWLY_MISSING | (_open & CHANGED)).since(HANDLED)

_label = "missing, or the latest day and an input has changed"

ISSUE_ONCE: Final = when_settled(_open & _wanted, _label)
"""What was issued on a past day stays as it was: its outcome is known, and the scores must be of what was said before."""

TRAIN_ONCE: Final = when_settled(_open & (_wanted | CHANGED_WHILE_MADE), _label)
"""The same for what takes long to make: a correction may come meanwhile."""
