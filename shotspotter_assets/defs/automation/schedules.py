"""Weekly schedule of the models of all cities."""

from typing import Final

import dagster as dg

from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import Asset

WEEKLY_AT: Final = "0 16 * * 1"  # Mondays at 16:00 UTC, when the morning's runs are over


def definitions(settings: Settings) -> dg.Definitions:
    """Build the schedule."""
    cities = list(settings.cities.values())
    is_automated = any(city.is_automated for city in cities)

    @dg.schedule(
        cron_schedule=WEEKLY_AT,
        job=dg.define_asset_job("weekly_models", [Asset.SHARED_MODELS.value], description="Models of all cities."),
        default_status=dg.DefaultScheduleStatus.RUNNING if is_automated else dg.DefaultScheduleStatus.STOPPED,
        description="Fits the models of all cities on Mondays, if at least two cities share alerts.",
    )
    def weekly_shared_models(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not is_automated:
            return dg.SkipReason("No city is automated; write `automation: recent` in the city's file.")
        if sum(city.shared for city in cities) < 2:
            return dg.SkipReason("Fewer than two cities share their alerts; each starts from the packaged model.")
        week = context.scheduled_execution_time.date().isoformat()
        return dg.RunRequest(run_key=f"{Asset.SHARED_MODELS} {week}", partition_key=week)

    return dg.Definitions(schedules=[weekly_shared_models])
