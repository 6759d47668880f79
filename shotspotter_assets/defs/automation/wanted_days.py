"""Which days of a look are made by themselves: what the city's file allows, without those that are made already."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.automation.runs import DAILY_ASSETS, without_received
from shotspotter_assets.partitions import LOOK_BACK_DAYS, key_of
from shotspotter_assets.sources.registry import Arrival
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE

if TYPE_CHECKING:
    from shotspotter_assets.sources.looks import Look
    from shotspotter_assets.storage.store import Store

MAX_GAP_DAYS: Final = 366
"""Days that have passed since the last one that was made are made up for, if they are no more than these."""


@dataclass(frozen=True)
class WantedDays:
    """The days of one look.

    Attributes:
        wanted: days to ask for, with their versions.
        made: days that were made from the same rows.
        left_out: days that are too old and were never made, sorted.
    """

    wanted: Mapping[date, str]
    made: Set[date]
    left_out: list[date]


def wanted_days(
    instance: dg.DagsterInstance, store: "Store", found: "Look", arrival: Arrival, under_way: Set[date]
) -> WantedDays:
    """What is to become of the days of a look; days under way are in none of the three."""
    from shotspotter_assets.sources.looks import last_day_over
    from shotspotter_assets.sources.stored_days import stored_from_same_rows

    city = found.seen.city
    last = last_day_over(city)
    served = {day: version for day, version in found.days.items() if day >= city.start and day not in under_way}
    if not served and arrival == "landed":
        return WantedDays({}, set(), [])
    stored = store.days_present("raw_alerts", city.name, ALERTS_FILE) & store.days_present(
        "grid_tensors", city.name, GRID_FILE
    )
    made = stored_from_same_rows(store, city.name, found.table, served.keys() & stored)
    if made:
        known = instance.get_materialized_partitions(DAILY_ASSETS[-1])
        made = {day for day in made if key_of(city.name, day) in known}
    wanted = {day: version for day, version in served.items() if day not in made}
    first = _first_wanted(city, stored, last)
    old = {day for day in wanted if day < first}
    if arrival == "polled":
        wanted = dict(without_received(instance, city.name, wanted))
        # A look at a live source names the days of its last months; those before them are there too.
        old |= {city.start + timedelta(days=at) for at in range((first - city.start).days)} - under_way
    left_out = old - stored
    wanted = {day: version for day, version in wanted.items() if day not in left_out}
    return WantedDays(wanted, made, sorted(left_out))


def _first_wanted(city: City, stored: Set[date], last: date) -> date:
    """The first day that is made although it never was before."""
    if city.automation == "history":
        return city.start
    recent = last - timedelta(days=LOOK_BACK_DAYS - 1)
    newest = max(stored, default=date.min)
    return min(recent, newest + timedelta(days=1)) if (last - newest).days <= MAX_GAP_DAYS else recent


def left_out_note(city: City, days: list[date]) -> str:
    """What a tick says of days that are left out."""
    first, last = key_of(city.name, days[0]), key_of(city.name, days[-1])
    return (
        f"{city.name}: {len(days):,} days from {days[0]} to {days[-1]} are older than the last {LOOK_BACK_DAYS} days and were "
        f"never made; automation leaves them out (automation: {city.automation}). To make them, materialise raw_alerts, "
        "cleaned_alerts and grid_tensors for these days: dg launch --assets raw_alerts,cleaned_alerts,grid_tensors "
        f"--partition-range '{first}...{last}'. {_past_forecasts(city, days[0], days[-1])}"
    )


def no_forecast_note(city: City, newest: date) -> str:
    """What a tick says of a city whose newest day is too old for a forecast."""
    first = max(city.start, newest - timedelta(days=LOOK_BACK_DAYS - 1))
    return (
        f"{city.name}: its newest landed day is {newest}; of days before the last {LOOK_BACK_DAYS} nothing is forecast by "
        f"itself. {_past_forecasts(city, first, newest)}"
    )


def _past_forecasts(city: City, first: date, last: date) -> str:
    return (
        f"For forecasts of past days: backfill live_models, risk_forecasts and forecast_scores of {city.name} from {first} to "
        f"{last}."
    )
