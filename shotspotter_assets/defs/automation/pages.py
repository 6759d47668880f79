"""The sensor that has the pages of a city made again once what they show is new."""

import json
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs.automation.automated_cities import NO_CITY, automated, sensor_status
from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.defs.daily.city_pages import MADE_FROM
from shotspotter_assets.settings import Settings

PAGES: Final = dg.AssetKey("city_pages")
WATCHED: Final = tuple(dg.AssetKey(name) for name in MADE_FROM)
MAX_RECORDS: Final = 1000
"""Materialisations of an asset that one tick looks at; the next one goes on."""


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor."""
    sensor = dg.sensor(
        name="new_pages",
        target=dg.AssetSelection.assets(PAGES),
        minimum_interval_seconds=120,  # a run starts a process, and nobody reads a page each minute
        default_status=sensor_status(settings.cities),
        description="Has the pages of an automated city made when its runs are over and have made something new.",
    )
    return dg.Definitions(sensors=[sensor(new_pages)])


def new_pages(context: dg.SensorEvaluationContext, cities: dg.ResourceParam[Cities]) -> dg.SensorResult:
    """One run for each automated city of which something is new, once no run of the city is under way.

    The cursor holds up to where the materialisations were seen, and the cities whose pages are due.
    """
    names = {city.name for city in automated(cities.values())}
    if not names:
        return dg.SensorResult(skip_reason=NO_CITY)
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    seen: dict[str, int] = cursor.get("seen", {})
    due = set(cursor.get("due", ())) if context.cursor else _with_something_made(context.instance)
    for asset in WATCHED:
        name = asset.to_user_string()
        for storage_id, city in _materialised(context.instance, asset, seen.get(name)):
            seen[name] = storage_id
            due.add(city)
        seen.setdefault(name, 0)
    busy = _cities_under_way(context.instance)
    requests = [
        dg.RunRequest(
            run_key=f"pages of {city} after {max(seen.values(), default=0)}",
            partition_key=city,
            asset_selection=[PAGES],
        )
        for city in sorted(due & names - busy)
    ]
    waiting = sorted(due & names & busy)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None
        if requests
        else f"Pages wait for runs of {', '.join(waiting)}."
        if waiting
        else "Nothing is new.",
        cursor=json.dumps({"seen": seen, "due": waiting}),
    )


def _with_something_made(instance: dg.DagsterInstance) -> set[str]:
    """Cities that have something to show."""
    return {key.partition("|")[0] for asset in WATCHED for key in instance.get_materialized_partitions(asset)}


def _materialised(instance: dg.DagsterInstance, asset: dg.AssetKey, after: int | None) -> Iterator[tuple[int, str]]:
    """(storage id, city) of materialisations after one, the oldest first; of the first look, the newest alone."""
    wanted = dg.AssetRecordsFilter(asset_key=asset, after_storage_id=after)
    first_look = after is None
    records = instance.fetch_materializations(
        wanted, limit=1 if first_look else MAX_RECORDS, ascending=not first_look
    ).records
    for record in records:
        if record.partition_key is not None:
            yield record.storage_id, record.partition_key.partition("|")[0]


def _cities_under_way(instance: dg.DagsterInstance) -> set[str]:
    under_way = UnderWay.of(instance)
    keys = {key for asset in (*WATCHED, PAGES) for key in under_way.keys(asset)}
    return {key.partition("|")[0] for key in keys}
