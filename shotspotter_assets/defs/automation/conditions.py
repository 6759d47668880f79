"""Automation conditions: late and corrected days, folds whose cutoff has passed, reports and pages that are out of date.

All are built from Dagster's own conditions, so that its daemon evaluates them.
"""

from datetime import timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.partitions import LOOK_BACK_DAYS

AC = dg.AutomationCondition

RECENT_FOLD_DAYS: Final = 366
"""`automation: recent` trains the folds of one year, so that every season is tested."""

CHAIN_TAGS: Final = {"shotspotter/daily_chain": "true"}
"""Tags of a run that builds the whole daily chain of a day."""

_SETTLED: Final = ~AC.any_deps_match((AC.missing() & ~AC.will_be_requested()) | AC.in_progress()) & ~AC.in_progress()
"""The inputs are there, and no run writes them or the asset."""


def corrected_days(city: City) -> dg.AutomationCondition | None:
    """Rebuild a day of the last fortnight when it is missing or a version of its inputs has changed."""
    return _when(city, _changes(AC.in_latest_time_window(timedelta(days=LOOK_BACK_DAYS))))


def newest_day(city: City) -> dg.AutomationCondition | None:
    """The same for the newest day only: what was issued on a past day stays as it was."""
    return _when(city, _changes(AC.in_latest_time_window()))


def complete_folds(city: City) -> dg.AutomationCondition | None:
    """Start a fold when all days of its input window are on the grid, and again when one of them is corrected.

    A correction while a fold is being built starts it once more afterwards: only a further request settles it.
    """
    changed = AC.any_deps_match(AC.data_version_changed() | AC.will_be_requested())
    missing = (AC.missing() & ~AC.any_deps_missing()).newly_true()
    wanted = (missing | changed).since(AC.newly_requested()) & _SETTLED
    if city.automation == "recent":
        wanted = AC.in_latest_time_window(timedelta(days=RECENT_FOLD_DAYS)) & wanted
    return _when(city, wanted.with_label("the days of the fold are known, or one of them was corrected"))


def updated_inputs(city: City) -> dg.AutomationCondition | None:
    """Rebuild an asset without partitions once runs that updated its inputs are over."""
    updated = AC.any_deps_match(AC.newly_updated()).since(AC.newly_requested() | AC.newly_updated())
    return _when(city, updated & ~AC.any_deps_in_progress() & ~AC.in_progress())


def _changes(window: dg.AutomationCondition) -> dg.AutomationCondition:
    # A run of the daily chain builds what depends on its assets itself; a tick in the middle of it may not see that yet.
    outside_chain = ~AC.any_new_update_has_run_tags(tag_values=CHAIN_TAGS)
    changed = AC.any_deps_match((AC.data_version_changed() & outside_chain) | AC.will_be_requested())
    handled = AC.newly_requested() | AC.newly_updated()
    missing = (window & AC.missing()).newly_true()
    return window & (missing | (window & changed)).since(handled) & _SETTLED


def _when(city: City, condition: dg.AutomationCondition) -> dg.AutomationCondition | None:
    return condition if city.is_automated else None
