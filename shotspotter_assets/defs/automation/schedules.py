"""The schedule of the models of all cities."""

from typing import Final

import dagster as dg

from shotspotter_assets.defs.automation.automated import NO_CITY, automated, schedule_status
from shotspotter_assets.settings import Settings

WEEKLY_AT: Final = "0 16 * * 1"
"""Mondays at 16:00 UTC, when the morning's runs are over."""


def definitions(settings: Settings) -> dg.Definitions:
    """Build the schedule."""
    cities = list(settings.cities.values())

    @dg.schedule(
        cron_schedule=WEEKLY_AT,
        target=dg.AssetSelection.assets("shared_models"),
        default_status=schedule_status(cities),
        description="Fits the models of all cities on Mondays, on the days before; at least two cities must share alerts.",
    )
    def weekly_shared_models(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not automated(cities):
            return dg.SkipReason(NO_CITY)
        if sum(city.shared for city in cities) < 2:
            return dg.SkipReason("Fewer than two cities share their alerts; each starts from the packaged model.")
        week = context.scheduled_execution_time.date().isoformat()
        return dg.RunRequest(run_key=f"shared_models {week}", partition_key=week)

    return dg.Definitions(schedules=[weekly_shared_models])
