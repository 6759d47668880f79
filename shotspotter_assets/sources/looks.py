"""Looks at the sources of many cities, side by side and in bounded time, for what has arrived since the last ones."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from typing import Final, cast

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import ApiSource, Patience
from shotspotter_assets.sources.arrivals import landing_arrivals, polled_arrivals
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.protocol import AlertSource, ChangingSource
from shotspotter_assets.sources.registry import KINDS, Arrival
from shotspotter_assets.sources.seen import SeenTable

MAX_CITIES_AT_ONCE: Final = 8
"""Cities that are looked at at the same time: most of a look at a live source, or at a folder on S3, is waiting."""

PATIENCE: Final = Patience(read_seconds=30, answer_seconds=30, retries=1, longest_wait_seconds=5)
"""Time-outs of a look, which comes again soon anyway; runs have those of the city's file."""


@dataclass(frozen=True)
class Look:
    """The result of a look at one city."""

    seen: SeenTable
    table: pa.Table
    """`SEEN_SCHEMA`, before anything is asked for."""
    days: dict[date, str]
    """Days to ask for, with their versions."""
    unreadable: dict[str, str]
    """The error of each file that cannot be read."""
    unfinished: int
    """Files that are left for the next look."""
    in_transfer: Sequence[str]
    """Files that are left alone, as their transfer is not over."""


FutureLook = Future[Look | None]
"""A look under way; None where its turn came too late."""


def look_at(
    seen: SeenTable,
    arrival: Arrival,
    open_sources: Callable[[City], list[AlertSource]],
    enough: Callable[[], bool],
) -> Look:
    """Look at the sources of a city whose days become known in this way; once `enough`, no further file is opened."""
    city, table, unfinished = seen.city, seen.table, 0
    days: dict[date, str] = {}
    unreadable: dict[str, str] = {}
    in_transfer: list[str] = []
    last = last_day_over(city)
    readers = open_sources(impatient(city))
    for number, (source, reader) in enumerate(zip(city.all_sources, readers, strict=True)):
        if KINDS[source.kind].arrival != arrival:
            continue
        if arrival == "landed":
            arrivals = landing_arrivals(cast("LandingFolder", reader), table, last, enough)
        else:
            arrivals = polled_arrivals(cast("ChangingSource", reader), f"source {number}", table, city.start, last)
        table = arrivals.seen
        days |= {day: days.get(day, "") + version for day, version in arrivals.days.items()}
        unreadable |= arrivals.unreadable
        unfinished += arrivals.unfinished
        in_transfer += arrivals.in_transfer
    return Look(seen, table, days, unreadable, unfinished, in_transfer)


class LookRound:
    """The looks of one tick, side by side; the next tick waits for those that outlast it, and does not begin them again.

    Args:
        tables: what was seen of the cities, in the order of their turns.
        look: the look at one city.
        pending: looks that outlasted earlier rounds, by the address of the table that they compare with.
    """

    def __init__(
        self,
        tables: Iterable[SeenTable],
        look: Callable[[SeenTable], Look | None],
        pending: MutableMapping[str, FutureLook],
    ) -> None:
        self._pool, self._pending = ThreadPoolExecutor(MAX_CITIES_AT_ONCE), pending
        self.waiting: dict[FutureLook, SeenTable] = {}
        for table in tables:
            future = pending.pop(table.uri) if table.uri in pending else self._pool.submit(look, table)
            self.waiting[future] = table

    def finished(self, until: float) -> Iterator[tuple[City, FutureLook]]:
        """The looks as they end, those of the first cities first; without those that last longer than `until`."""
        looks = list(self.waiting)
        while looks and monotonic() < until:
            ended, _ = wait(looks, timeout=until - monotonic(), return_when=FIRST_COMPLETED)
            for look in looks:
                if look in ended:
                    yield self.waiting[look].city, look
            looks = [look for look in looks if look not in ended]

    def drop(self, look: FutureLook) -> None:
        """Take out a look whose result was used."""
        del self.waiting[look]

    def end(self, *, is_late: bool) -> list[City]:
        """Stop the round; if it is late, looks under way are left to the next round, and their cities are returned."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        unanswered = [look for look in self.waiting if look.running()] if is_late else []
        tables = [self.waiting.pop(look) for look in unanswered]
        self._pending.update({table.uri: look for table, look in zip(tables, unanswered, strict=True)})
        return [table.city for table in tables]


def impatient(city: City) -> City:
    """The city with `PATIENCE` for the sources that are asked over HTTP."""
    sources = [
        source.model_copy(update={"patience": PATIENCE}) if isinstance(source, ApiSource) else source
        for source in city.all_sources
    ]
    return city.model_copy(update={"source": sources[0], "other_sources": tuple(sources[1:])})


def last_day_over(city: City) -> date:
    """The last local day of the service that has ended."""
    yesterday = today(city.zone) - timedelta(days=1)
    return yesterday if city.end is None else min(yesterday, city.end)
