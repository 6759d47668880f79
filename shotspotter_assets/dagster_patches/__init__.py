"""Every use of private Dagster, each with its reason, a guard (see `guard`) and tests against the stock."""

import os


def apply() -> None:
    """Patch this process; what loads the definitions calls it, and what opens the instance (see `instance`)."""
    from shotspotter_assets.dagster_patches import (
        abandoned_steps,
        input_records,
        one_day_ranges,
        partition_versions,
        remembered_keys,
        status_cache,
        window_memory,
    )

    abandoned_steps.apply()
    input_records.apply()
    one_day_ranges.apply()
    partition_versions.apply()
    remembered_keys.apply()
    status_cache.apply()
    window_memory.apply()
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")  # an open setting of Dagster's; 0 is its default
