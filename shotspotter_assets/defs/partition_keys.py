"""From a run's partition keys to cities and days, with the guards that a run over many keys needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter

import dagster as dg

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.defs.environment import CITIES

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


class IncompleteRunError(Exception):
    """The run's tags name more partitions than the run was given, so the rest would silently be left out."""


class BeforeStartError(ValueError):
    """A partition lies before its city's first day."""


class DayNotOverError(ValueError):
    """A day's partition exists, but the day is not over where the city is: labels follow UTC."""


@dataclass(frozen=True)
class Stretch:
    """Contiguous days of one city that a run is to make."""

    city: City
    days: list[date]

    def key(self, day: date) -> str:
        """The partition key of a day."""
        return f"{self.city.name}|{day}"


def stretches(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[Stretch]:
    """The run's keys by city and contiguous days, sorted: keys come unsorted and may be of several cities.

    Raises:
        IncompleteRunError: a job backfill gave the run only the first key of its range (Dagster issue 28861).
        BeforeStartError: a day is before its city's start.
        DayNotOverError: a day has not ended on the city's clock, so that its last alerts would be left out.
    """
    refuse_part_of_a_range(context.run.tags, context.partition_keys)
    found: list[Stretch] = []
    for name, of_city in groupby(sorted(map(_city_and_day, context.partition_keys)), key=itemgetter(0)):
        city = find_city(CITIES, name)
        for _, day in of_city:
            if day < city.start:
                raise BeforeStartError(f"{name}|{day} is before {city.start}, the start of {name}: choose later days.")
            if day_start(day + timedelta(days=1), city.zone) > datetime.now(UTC):
                raise DayNotOverError(
                    f"{name}|{day} is not over in {city.time_zone}: run it when the day has ended there."
                )
            if found and found[-1].city is city and found[-1].days[-1] == day - timedelta(days=1):
                found[-1].days.append(day)
            else:
                found.append(Stretch(city, [day]))
    return found


def city_and_cutoff(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[City, date]:
    """City and cutoff date of the fold that the run is for.

    Raises:
        BeforeStartError: the cutoff leaves no day to train on.
    """
    name, cutoff = _city_and_day(context.partition_key)
    city = find_city(CITIES, name)
    if cutoff <= city.start:
        raise BeforeStartError(
            f"{context.partition_key}: the fold has no day to train on, {city.name} starts on {city.start}."
        )
    return city, cutoff


def _city_and_day(key: str) -> tuple[str, date]:
    city, day = key.split("|")
    return city, date.fromisoformat(day)


def refuse_part_of_a_range(tags: Mapping[str, str], keys: Sequence[str]) -> None:
    """Fail a run that was given fewer keys than the range in its tags.

    Raises:
        IncompleteRunError: see `stretches`.
    """
    first, last = tags.get(RANGE_START), tags.get(RANGE_END)
    if first is None or last is None:
        return
    (first_city, first_day), (last_city, last_day) = _city_and_day(first), _city_and_day(last)
    named = (last_day - first_day).days + 1
    if first_city == last_city and named > len(keys):
        raise IncompleteRunError(
            f"The run is for {first} to {last} ({named} partitions) but was given {len(keys)}. Launch the backfill from "
            "the asset's page, not from a job's: a job's runs process only the first partition of a range."
        )
