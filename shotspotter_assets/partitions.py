"""The partition dimensions (city, date, fold), their keys `city|day`, a run's keys, and the mappings between windows.

A date partition is a local civil day of its city. All cities share one label calendar, because mapped time windows
must share a time zone; the city's own clock decides which instants belong to a day. A fold is named by its cutoff: it
trains on the days before it and is tested on the days from it to the next cutoff.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City, is_city_name
from shotspotter_assets.cities.registry import Cities, find_city, unusable_files
from shotspotter_assets.dagster_patches.key_ranges import RangeRememberingPartitions
from shotspotter_assets.dagster_patches.unknown_keys import ExplainingCities, ExplainingPartitions
from shotspotter_assets.storage.file_names import ALL_CITIES

WEEK_CRON: Final = "0 0 * * 1"
"""Mondays: what is of all cities is made anew each week, from the days before."""

FOLD_CRON: Final = "0 0 1 */3 *"
"""Quarterly cutoffs: four folds test every season."""

LOOK_BACK_DAYS: Final = 14
"""Automation repairs the last days only: publishers relabel within days, and each day back costs every tick."""

ALL_BEFORE: Final = -100
"""Start offset, in folds, of a window that reaches back to the first day: mapped windows are clamped to the days there are."""

DAYS_AT_ONCE: Final = 92
"""Of a longer range, whose rows a run holds in memory together: ten years of a large city may be millions."""

RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


class IncompleteRunError(Exception):
    """The run was given no partition, or fewer than its tags name: the rest would silently be left out."""


class BeforeStartError(ValueError):
    """A partition lies before its city's first day."""


class DayNotOverError(ValueError):
    """A day's partition exists, but the day is not over where the city is: labels follow UTC."""


@dataclass(frozen=True)
class Partitions:
    """The partitions definitions of one set of cities."""

    city_date: dg.MultiPartitionsDefinition
    city_fold: dg.MultiPartitionsDefinition
    """Folds that can be trained: also the one whose cutoff is the last day that is over."""
    city_tested_fold: dg.MultiPartitionsDefinition
    """Folds whose test window is over."""
    cities: dg.StaticPartitionsDefinition
    weeks: dg.MultiPartitionsDefinition
    """Weeks of all cities together, named by the Monday that they begin with; the present one is among them."""


def build_partitions(cities: Cities) -> Partitions:
    """Partitions from the earliest start of all cities on; they never depend on the present date.

    Those of a city whose file cannot be used stay: taking them away would hide all that was made of them.
    """
    unusable = unusable_files(cities)
    starts = [city.start for city in cities.values()] + [file.start for file in unusable.values() if file.start]
    start = min(starts)
    city = ExplainingCities(sorted({*cities, *filter(is_city_name, unusable)}))
    first_cutoff = next_cutoff(start).isoformat()
    folds = {
        end_offset: dg.TimeWindowPartitionsDefinition(
            start=first_cutoff, fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, end_offset=end_offset
        )
        for end_offset in (0, 1)
    }
    return Partitions(
        city_date=RangeRememberingPartitions({"city": city, "date": dg.DailyPartitionsDefinition(start.isoformat())}),
        city_fold=ExplainingPartitions({"city": city, "fold": folds[1]}),
        city_tested_fold=ExplainingPartitions({"city": city, "fold": folds[0]}),
        cities=city,
        # Of two dimensions, as days of all cities can be named as what it is made from in no other way.
        weeks=ExplainingPartitions(
            {
                "scope": dg.StaticPartitionsDefinition([ALL_CITIES]),
                "week": dg.TimeWindowPartitionsDefinition(
                    start=(start + timedelta(days=7 - start.weekday())).isoformat(),
                    fmt="%Y-%m-%d",
                    cron_schedule=WEEK_CRON,
                    end_offset=1,
                ),
            }
        ),
    )


def next_cutoff(day: date) -> date:
    """The first quarterly cutoff after `day`."""
    month = (day.month - 1) // 3 * 3 + 4
    return date(day.year + month // 13, (month - 1) % 12 + 1, 1)


def fold_days(city: City, cutoff: date) -> tuple[list[date], list[date]]:
    """(days before the cutoff, days of the test window) of a city's fold."""
    before = [city.start + timedelta(days=at) for at in range((cutoff - city.start).days)]
    return before, [cutoff + timedelta(days=at) for at in range((next_cutoff(cutoff) - cutoff).days)]


def key_of(city: str, day: date) -> str:
    """The partition key of a city's day, or of its fold with that cutoff."""
    return f"{city}|{day}"


def parse_key(key: str) -> tuple[str, date]:
    """(city, day or cutoff) of a partition key."""
    city, day = key.split("|")
    return city, date.fromisoformat(day)


def range_tags(city: str, first: date, last: date) -> dict[str, str]:
    """Tags of one run over a city's days; a run over one day has them too."""
    return {RANGE_START: key_of(city, first), RANGE_END: key_of(city, last)}


def parse_range_tags(tags: Mapping[str, str]) -> tuple[str, date, date] | None:
    """(city, first day, last day) of a run over a range of one city; None for other runs."""
    if RANGE_START not in tags or RANGE_END not in tags:
        return None
    (city, first), (last_city, last) = parse_key(tags[RANGE_START]), parse_key(tags[RANGE_END])
    return (city, first, last) if city == last_city else None


def contiguous(days: Sequence[date]) -> list[list[date]]:
    """Sorted days in stretches without a gap."""
    stretches: list[list[date]] = []
    for day in days:
        if stretches and stretches[-1][-1] == day - timedelta(days=1):
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


@dataclass(frozen=True)
class DateRange:
    """Contiguous days of one city that a run is to make."""

    city: City
    days: list[date]

    @property
    def first(self) -> date:
        """The first day."""
        return self.days[0]

    @property
    def last(self) -> date:
        """The last day."""
        return self.days[-1]

    @property
    def parts(self) -> "list[DateRange]":
        """The same days, so many at a time that their rows fit into memory."""
        starts = range(0, len(self.days), DAYS_AT_ONCE)
        return [DateRange(self.city, self.days[start : start + DAYS_AT_ONCE]) for start in starts]

    def key(self, day: date) -> str:
        """The partition key of a day."""
        return key_of(self.city.name, day)


RunContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


def with_progress(context: RunContext, parts: Sequence[DateRange], done: str) -> Iterator[DateRange]:
    """The parts of a range, each followed by a line in the run's log of how far it is: "460 of 1,826 days read"."""
    days = sum(len(part.days) for part in parts)
    days_done = 0
    for part in parts:
        yield part
        days_done += len(part.days)
        if len(parts) > 1:
            context.log.info(f"{part.city.name}: {days_done:,} of {days:,} days {done}")


def date_ranges(context: RunContext, cities: Cities) -> list[DateRange]:
    """The run's keys by city and contiguous days, sorted: keys come unsorted and may be of several cities.

    Raises:
        IncompleteRunError: a job backfill gave the run only the first key of its range (Dagster issue 28861).
        BeforeStartError: a day is before its city's start.
        DayNotOverError: a day has not ended on the city's clock, so that its last alerts would be left out.
    """
    from shotspotter_assets.calendar.local_time import day_start

    refuse_part_of_a_range(context.run.tags, context.partition_keys)
    days: dict[str, list[date]] = {}
    for name, day in sorted(map(parse_key, context.partition_keys)):
        city = find_city(cities, name)
        if day < city.start:
            raise BeforeStartError(
                f"{key_of(name, day)} is before {city.start}, the start of {name}: choose later days."
            )
        if day_start(day + timedelta(days=1), city.zone) > datetime.now(UTC):
            raise DayNotOverError(
                f"{key_of(name, day)} is not over in {city.time_zone}: run it when the day has ended there."
            )
        days.setdefault(name, []).append(day)
    return [DateRange(cities[name], stretch) for name in days for stretch in contiguous(days[name])]


def single_day(context: RunContext, cities: Cities) -> tuple[City, date]:
    """City and day of a run that makes one day.

    Raises:
        BeforeStartError, DayNotOverError: see `date_ranges`.
    """
    [date_range] = date_ranges(context, cities)
    [day] = date_range.days
    return date_range.city, day


def single_fold(context: RunContext, cities: Cities) -> tuple[City, date]:
    """City and cutoff of a run that makes one fold.

    Raises:
        BeforeStartError: the cutoff leaves no day to train on.
    """
    name, cutoff = parse_key(context.partition_key)
    city = find_city(cities, name)
    if cutoff <= city.start:
        raise BeforeStartError(
            f"{context.partition_key}: the fold has no day to train on, {city.name} starts on {city.start}."
        )
    return city, cutoff


def refuse_part_of_a_range(tags: Mapping[str, str], keys: Sequence[str]) -> None:
    """Fail a run that was given fewer keys than the range in its tags, or none.

    Raises:
        IncompleteRunError: see `date_ranges`.
    """
    if not keys:
        raise IncompleteRunError(
            f"There are no partitions from {tags.get(RANGE_START)} to {tags.get(RANGE_END)}: name the first one first."
        )
    named = parse_range_tags(tags)
    if named is None:
        return
    city, first, last = named
    number = (last - first).days + 1
    if number > len(keys):
        raise IncompleteRunError(
            f"The run is for {key_of(city, first)} to {key_of(city, last)} ({number} partitions) but was given {len(keys)}. "
            "Launch the backfill from the asset's page, not from a job's: a job's runs process only the first partition of "
            "a range."
        )


def _same_city(dimension: str, source: str, mapping: dg.PartitionMapping) -> dg.MultiPartitionMapping:
    """Of the same city, the partitions of `dimension` upstream that `mapping` gives for those of `source`."""
    return dg.MultiPartitionMapping(
        {
            "city": dg.DimensionPartitionMapping("city", dg.IdentityPartitionMapping()),
            dimension: dg.DimensionPartitionMapping(source, mapping),
        }
    )


def _window(first: int, last: int) -> dg.TimeWindowPartitionMapping:
    """Time windows from `first` to `last`, counted from the one that is made."""
    return dg.TimeWindowPartitionMapping(
        start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True
    )


# Dagster calls these features beta; the pinned version and the tests of the windows stand for them.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    ONE_RUN: Final = dg.BackfillPolicy.single_run()
    """A backfill of contiguous days of one city is one run, which reads and writes them together."""

    DAYS_BEFORE_CUTOFF: Final = _same_city("date", "fold", _window(ALL_BEFORE, -1))
    """A fold's model is made from all days before its cutoff."""

    DAYS_TO_NEXT_CUTOFF: Final = _same_city("date", "fold", _window(ALL_BEFORE, 0))
    """A fold's report is made from the days before its cutoff (baselines) and those of its test window."""

    FOLDS_SO_FAR: Final = _same_city("fold", "fold", _window(ALL_BEFORE, 0))
    """A fold's models have the settings that were tuned in it, or in one before it."""

    SAME_FOLD: Final = _same_city("fold", "fold", dg.TimeWindowPartitionMapping())
    """Tested folds are a subset of the trainable ones."""

    ALL_OF_CITY: Final = dg.MultiToSingleDimensionPartitionMapping("city")
    """What is of a city alone is made from all of its folds or days."""

    LAST_FORTNIGHT: Final = _same_city("date", "date", _window(1 - LOOK_BACK_DAYS, 0))
    """All days to the day are read; changes of the last ones are what automation looks for."""

    LAST_TWO_DAYS: Final = _same_city("date", "date", _window(-1, 0))
    """A shift over midnight ends on the day after it began."""

    WEEK_BEFORE: Final = dg.MultiPartitionMapping(
        {
            "city": dg.DimensionPartitionMapping("scope", dg.AllPartitionMapping()),
            "date": dg.DimensionPartitionMapping("week", _window(-1, -1)),
        }
    )
    """All days before a week are read, of all cities; lineage shows the last seven."""

    DAY_BEFORE: Final = _same_city("date", "date", _window(-1, -1))
    """A day is scored with the forecast that was issued the day before."""
