"""Cities whose runs start automatically, and the runs that have not ended."""

from collections.abc import Iterable
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City

NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."
_ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def automated(cities: Iterable[City]) -> list[City]:
    """Return the cities whose `automation` is not `manual`."""
    return [city for city in cities if city.is_automated]


def assets_under_way(instance: dg.DagsterInstance, city: City) -> set[str]:
    """Return the names of the city's assets that runs under way write."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))
    keys = {key for run in runs for key in run.asset_selection or ()}
    return {key.path[-1] for key in keys if key.path[0] == city.name}
