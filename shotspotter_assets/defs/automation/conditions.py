"""When assets inside the graph are made again: late and corrected days of the last fortnight included."""

from datetime import timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.defs.automation.automated_cities import sensor_status
from shotspotter_assets.partitions import LOOK_BACK_DAYS
from shotspotter_assets.settings import Settings

# The calendar's newest day, which is UTC's, may not be over in a city: it is one more.
RECENT: Final = dg.AutomationCondition.in_latest_time_window(timedelta(days=LOOK_BACK_DAYS + 1))

# What is remembered from tick to tick is of the window alone, or it would grow with every day of every city.
NEWLY_MISSING = (RECENT & dg.AutomationCondition.missing()).newly_true().with_label("newly missing")

# What is requested goes on in the same run: each further run costs the start of a process.
CHANGED = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed() | NEWLY_MISSING | dg.AutomationCondition.will_be_requested()
).with_label("an input changed")

HANDLED = RECENT & (
    dg.AutomationCondition.newly_requested()
    | dg.AutomationCondition.newly_updated()
    | dg.AutomationCondition.initial_evaluation()
)

# Such a run may have read its inputs before: that it ends does not settle the change, only a further run does. For assets
# that take long and are not made in one run with their inputs, as it cannot be told which run an input is of: of several
# partitions that change between two looks, Dagster knows only the last one's.
CHANGED_WHILE_MADE = (
    (
        RECENT
        & (dg.AutomationCondition.in_progress() | dg.AutomationCondition.newly_updated())
        & dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    )
    .since(RECENT & (dg.AutomationCondition.newly_requested() | dg.AutomationCondition.initial_evaluation()))
    .with_label("an input changed while a run was under way")
)


def when_settled(wanted: dg.AutomationCondition, label: str) -> dg.AutomationCondition:
    """`wanted`, of the last days whose inputs are there, once neither they nor the asset are being made."""
    return (
        RECENT
        # Looked up before what has changed: a run that ends in between would look as if its input were not yet used.
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.any_deps_missing()
        & wanted
    ).with_label(label)


CATCH_UP = when_settled(
    (NEWLY_MISSING | (RECENT & CHANGED)).since(HANDLED), "an input of the last 14 days is new or has changed"
)
"""Not for the rows that a source gives again without a change: their data version stays the same."""

# Within the window, as what is missing of all days of all cities takes seconds to list.
_open = RECENT & (dg.AutomationCondition.missing() | dg.AutomationCondition.in_latest_time_window())

_wanted = (NEWLY_MISSING | (_open & CHANGED)).since(HANDLED)

_label = "missing, or the latest day and an input has changed"

ISSUE_ONCE: Final = when_settled(_open & _wanted, _label)
"""What was issued on a past day stays as it was: its outcome is known, and the scores must be of what was issued before."""

TRAIN_ONCE: Final = when_settled(_open & (_wanted | CHANGED_WHILE_MADE), _label)
"""The same for what takes long to make: a correction may come meanwhile."""


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor that evaluates the conditions of all assets."""
    catch_up = dg.AutomationConditionSensorDefinition(
        name="catch_up",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=5,
        default_status=sensor_status(settings.cities),
        # A backfill would wait for the daemon's next look at backfills, up to half a minute; a run per day is made anyway.
        emit_backfills=False,
        description="Makes the assets whose inputs of the last 14 days are new or have changed: late and corrected days too.",
    )
    return dg.Definitions(sensors=[catch_up])
