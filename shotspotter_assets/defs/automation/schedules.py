"""Daily clocks: of cities whose live source is polled, one schedule per time zone, and of the look for late cities."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs.automation.automated_cities import NO_CITY, automated, schedule_status
from shotspotter_assets.defs.automation.runs import DAILY_ASSETS, DAILY_CHAIN, is_received, not_known, requests_of
from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import needs_clock
from shotspotter_assets.storage.file_names import ALL_CITIES

AT: Final = "30 6 * * *"
"""Half past six local: gunfire peaks around midnight, and publishers load the night's alerts in the early hours."""


SHARED_AT: Final = "0 16 * * 1"
"""Mondays at 16:00 UTC, when the morning's runs are over."""


def definitions(settings: Settings) -> dg.Definitions:
    """All schedules."""
    late_cities = dg.schedule(
        cron_schedule="0 15 * * *",
        target=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("raw_alerts"), "late_cities")),
        default_status=schedule_status(settings.cities.values()),
        description="Looks for late cities at 15:00 UTC: where no source gives anything, no run of raw_alerts would do so.",
    )
    polled: dict[str, list[City]] = {}
    for city in settings.cities.values():
        if needs_clock(city):
            polled.setdefault(city.time_zone, []).append(city)
    daily = [_daily_schedule(zone, cities) for zone, cities in polled.items()]
    weekly = dg.schedule(
        cron_schedule=SHARED_AT,
        target=dg.AssetSelection.assets("shared_models"),
        default_status=schedule_status(settings.cities.values()),
        description="Fits the models of all cities on Mondays, on the days before; of fewer than two cities there are none.",
    )
    return dg.Definitions(schedules=[*daily, late_cities(late_cities_clock), weekly(weekly_shared_models)])


def _daily_schedule(zone: str, cities: Sequence[City]) -> dg.ScheduleDefinition:
    """The clock of the polled cities of a time zone."""

    @dg.schedule(
        name=f"daily_{zone.lower().replace('/', '_').replace('-', '_').replace('+', '_')}",
        cron_schedule=AT,
        execution_timezone=zone,
        target=DAILY_CHAIN,
        default_status=schedule_status(cities),
        description=f"Asks at 06:30 {zone} for the day before of {', '.join(city.name for city in automated(cities) or cities)}"
        ", unless a sensor has: a day without alerts must be made too.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        day = context.scheduled_execution_time.date() - timedelta(days=1)
        if not automated(cities):
            yield dg.SkipReason(NO_CITY)
        for city in automated(cities):
            yield from _requests(context.instance, city, day)

    return daily


def _requests(instance: dg.DagsterInstance, city: City, day: date) -> Iterator[dg.RunRequest]:
    """The day that is over, and days without rows that were not known and by the city's rule are now."""
    in_service = city.start <= day <= (city.end or day)
    if not in_service:
        return
    days = [] if is_received(instance, city.name, day) else [day]
    complete, before = (city.publication.complete_through(day + timedelta(days=at)) for at in (1, 0))
    if complete is not None and before is not None and before < complete:
        due = [before + timedelta(days=at + 1) for at in range((complete - before).days)]
        days += [late for late in not_known(instance, city.name, due) if late not in days]
    under_way = UnderWay.of(instance).days(city.name, DAILY_ASSETS) if days else set()
    yield from requests_of(city.name, {day: "" for day in days if day not in under_way}, "by the clock")


def late_cities_clock(
    context: dg.ScheduleEvaluationContext, cities: dg.ResourceParam[Cities]
) -> dg.RunRequest | dg.SkipReason:
    """One run of the check, which is of all automated cities whatever its day."""
    if not automated(cities.values()):
        return dg.SkipReason(NO_CITY)
    served = next((city for city in automated(cities.values()) if city.end is None), None)
    if served is None:
        return dg.SkipReason("No city is served any more.")
    day = max(served.start, context.scheduled_execution_time.date() - timedelta(days=2))  # over in every time zone
    # By tags: a partition of a run without assets is refused as one of nothing.
    return dg.RunRequest(tags=range_tags(served.name, day, day))


def weekly_shared_models(
    context: dg.ScheduleEvaluationContext, cities: dg.ResourceParam[Cities]
) -> dg.RunRequest | dg.SkipReason:
    """The present week, once: what waits or has failed is not asked for again, as the models of the week before stay in force."""
    if not automated(cities.values()):
        return dg.SkipReason(NO_CITY)
    if sum(city.shared for city in cities.values()) < 2:
        return dg.SkipReason("No two cities share their alerts; each starts at the models that come with the package.")
    week = context.scheduled_execution_time.date()
    return dg.RunRequest(run_key=key_of(ALL_CITIES, week), tags=range_tags(ALL_CITIES, week, week))
