"""The sensors that evaluate the automation conditions of all assets."""

import dagster as dg

from shotspotter_assets.defs.automation.automated import (
    CORRECTIONS_PRIORITY,
    FOLDS_PRIORITY,
    PRIORITY_TAG,
    sensor_status,
)
from shotspotter_assets.defs.city_assets import FOLD_ASSETS
from shotspotter_assets.partitions import asset_key
from shotspotter_assets.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """One sensor for days and pages and one for folds: runs of new days go before runs of folds in the queue."""
    cities, status = settings.cities.values(), sensor_status(settings.cities)
    folds = dg.AssetSelection.assets(*(asset_key(city, name) for city in cities for name in FOLD_ASSETS))
    return dg.Definitions(
        sensors=[
            dg.AutomationConditionSensorDefinition(
                "corrected_days",
                target=dg.AssetSelection.all(include_sources=False) - folds,
                run_tags={PRIORITY_TAG: CORRECTIONS_PRIORITY},
                minimum_interval_seconds=10,
                default_status=status,
                emit_backfills=False,  # the daemon would look at a backfill after up to half a minute
                description="Rebuilds what depends on new or corrected days of the last fortnight, and outdated pages.",
            ),
            dg.AutomationConditionSensorDefinition(
                "complete_folds",
                target=folds,
                run_tags={PRIORITY_TAG: FOLDS_PRIORITY},
                minimum_interval_seconds=30,
                default_status=status,
                emit_backfills=False,
                description="Trains folds whose cutoff has passed, and reports them when their test window is over.",
            ),
        ]
    )
