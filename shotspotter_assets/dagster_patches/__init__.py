"""Every use of private Dagster, each with its reason, a guard (see `guard`) and tests against the stock."""

import os
import sys


def apply() -> None:
    """Patch this process; every process that loads the definitions or opens the instance calls it, some twice."""
    from shotspotter_assets.dagster_patches import partition_versions, window_memory

    for patch in (partition_versions, window_memory):
        patch.apply()
    if "dagster._core.storage.event_log.sql_event_log" in sys.modules:
        # Where no event log is opened, SQLAlchemy need not be loaded: it takes half as long as a bare Dagster.
        from shotspotter_assets.dagster_patches import planned_checks

        planned_checks.apply()
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")  # an open setting of Dagster's; 0 is its default
