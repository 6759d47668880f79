"""When assets inside the graph are made again: late and corrected days of the last fortnight included."""

from datetime import timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.defs.automation.default_status import SENSOR_STATUS

LOOK_BACK: Final = timedelta(days=14)
"""Days older than this are repaired by hand: publishers relabel within days, and each day back costs every tick."""

RECENT = dg.AutomationCondition.in_latest_time_window(LOOK_BACK)

# What is requested goes on in the same run: each further run costs the start of a process.
CHANGED = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed()
    | dg.AutomationCondition.newly_missing()
    | dg.AutomationCondition.will_be_requested()
).with_label("an input changed")

CATCH_UP = (
    RECENT
    # Looked up before what has changed: a run that ends in between would look as if its input were not yet used.
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.any_deps_missing()
    # Within what is remembered too, or every tick would ask about every day of every city.
    & (dg.AutomationCondition.newly_missing() | (RECENT & CHANGED)).since_last_handled()
).with_label("an input of the last 14 days is new or has changed")
"""Not for the rows that a source gives again without a change: their data version stays the same."""

catch_up = dg.AutomationConditionSensorDefinition(
    name="catch_up",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=5,
    default_status=SENSOR_STATUS,
    # A backfill would wait for the daemon's next look at backfills, up to half a minute; a run per day is made anyway.
    emit_backfills=False,
    description="Makes the assets whose inputs of the last 14 days are new or have changed: late and corrected days too.",
)
"""Evaluates the conditions of all assets."""
