"""Schedules: the day before of polled cities each morning, and the models of all cities each week."""

from datetime import timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.automation.arrivals import NOT_AUTOMATED, newest_day_request
from shotspotter_assets.defs.automation.automated import NO_CITY, automated, schedule_status
from shotspotter_assets.defs.city_assets import daily_chain
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import needs_clock
from shotspotter_assets.storage.file_names import ALERTS_FILE

DAILY_AT: Final = "30 6 * * *"
"""06:30 local time: gunfire peaks around midnight, and publishers load the night's alerts in the early hours."""

WEEKLY_AT: Final = "0 16 * * 1"
"""Mondays at 16:00 UTC, when the morning's runs are over."""


def definitions(settings: Settings) -> dg.Definitions:
    """All schedules."""
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

    daily = [_daily_schedule(city) for city in cities if needs_clock(city)]
    return dg.Definitions(schedules=[*daily, weekly_shared_models])


def _daily_schedule(city: City) -> dg.ScheduleDefinition:
    """The schedule of a city that has a source without files."""

    @dg.schedule(
        name=f"{city.name}_daily",
        cron_schedule=DAILY_AT,
        execution_timezone=city.time_zone,
        target=daily_chain(city),
        default_status=schedule_status([city]),
        description="Builds the day before, unless a sensor did: a day without alerts must be built too.",
    )
    def daily(context: dg.ScheduleEvaluationContext, store: StoreResource) -> dg.RunRequest | dg.SkipReason:
        day = context.scheduled_execution_time.date() - timedelta(days=1)
        if not city.is_automated:
            return dg.SkipReason(NOT_AUTOMATED)
        if not city.start <= day <= (city.end or day):
            return dg.SkipReason(f"{day} is outside the city's service.")
        if day in store.open().days_present("raw_alerts", city.name, ALERTS_FILE):
            return dg.SkipReason(f"{day} is built.")
        return newest_day_request(city, day, "schedule")

    return daily
