"""Every use of private Dagster, each with its reason, a guard (see `guard`) and tests against the stock."""

import os


def apply() -> None:
    """Patch this process; every process that loads the definitions or opens the instance calls it, some twice."""
    from shotspotter_assets.dagster_patches import partition_versions, planned_checks, window_memory

    for patch in (partition_versions, planned_checks, window_memory):
        patch.apply()
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")  # an open setting of Dagster's; 0 is its default
