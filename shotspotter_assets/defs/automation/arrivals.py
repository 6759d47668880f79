"""Sensors that watch the landing folders and poll the live sources, and ask for exactly the days that changed."""

import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import ApiSource, Patience
from shotspotter_assets.defs.automation.default_status import SENSOR_STATUS
from shotspotter_assets.defs.automation.runs import (
    DAILY_CHAIN,
    cities_with_failures,
    contiguous,
    days_under_way,
    failed_again,
    requests_of,
    without_received,
)
from shotspotter_assets.defs.environment import CITIES
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.sources.registry import KINDS, Arrival, arrivals, needs_clock
from shotspotter_assets.storage.file_names import SEEN, UNREADABLE_FILE

if TYPE_CHECKING:
    from shotspotter_assets.sources.landing.folder import LandingFolder
    from shotspotter_assets.sources.protocol import ChangingSource
    from shotspotter_assets.storage.store import Store

SECONDS_PER_TICK: Final = 20.0
"""A tick begins with no further city and opens no further file after this."""

MAX_SECONDS: Final = 40.0
"""What is not known by then is left for the next tick: Dagster ends one of 60 s and forgets what it found."""

MAX_RUNS_PER_TICK: Final = 25

MAX_SHOWN: Final = 10
"""Problems that the line of a tick has room for."""

CITIES_AT_ONCE: Final = 8
"""Most of a look at a live source, or at a folder on S3, is waiting."""

PATIENCE: Final = Patience(read_seconds=30, answer_seconds=30, retries=1, longest_wait_seconds=5)
"""Of a look, which comes again soon anyway; runs have the patience of the city's file."""


@dg.sensor(
    target=DAILY_CHAIN,
    minimum_interval_seconds=5,
    default_status=SENSOR_STATUS,
    description="Watches the landing folders and takes in the days of files that were landed or replaced.",
)
def landing_arrivals(
    context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Asks for the days of files that were landed or replaced, one run per stretch of days."""
    return _look_at_cities(context, store.open(), sources, "landing", "landed")


@dg.sensor(
    target=DAILY_CHAIN,
    minimum_interval_seconds=900,
    default_status=SENSOR_STATUS,
    description="Asks the live sources for new and corrected days every quarter of an hour.",
)
def polled_arrivals(
    context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Asks for new and corrected days of the live sources, every quarter of an hour."""
    return _look_at_cities(context, store.open(), sources, "polled", "polled")


_lasting: "dict[str, Future[_Look | None]]" = {}
"""Looks that were not over with their tick, by what they compare with: the next tick waits for them in place of new ones."""


def _look_at_cities(
    context: dg.SensorEvaluationContext, store: "Store", sources: SourcesResource, sensor: str, arrival: Arrival
) -> dg.SensorResult:
    """One tick. The cursor holds each city's generation of its table of what was seen, and whose turn is next.

    The next generation's table is written before the runs are asked for, and counts once the cursor that names it is
    saved together with them: a tick that dies in between is done over.
    """
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    generations: dict[str, int] = cursor.get("generations", {})
    cities = [city for city in CITIES.values() if arrival in arrivals(city)]
    turn = cursor.get("turn", 0) % max(len(cities), 1)
    started = monotonic()
    failed = cities_with_failures(context.instance)
    requests: list[dg.RunRequest] = []
    problems: dict[str, str] = {}
    left_out: list[str] = []

    def enough() -> bool:
        return monotonic() - started > SECONDS_PER_TICK

    def look(city: City, seen: _Seen) -> _Look | None:
        return None if enough() else _look_at(sources, city, arrival, seen, enough)

    pool = ThreadPoolExecutor(CITIES_AT_ONCE)
    waiting: dict[Future[_Look | None], City] = {}
    for city in cities[turn:] + cities[:turn]:
        seen = _Seen(store, city, sensor, generations.get(city.name, 0))
        lasting = _lasting.pop(seen.uri) if seen.uri in _lasting else None
        waiting[lasting or pool.submit(look, city, seen)] = city
    for future in _as_completed(list(waiting), until=started + MAX_SECONDS):
        if len(requests) >= MAX_RUNS_PER_TICK or monotonic() - started > MAX_SECONDS:
            break
        city = waiting[future]
        try:
            found = future.result()
            if found is None:
                continue
            requests += _requests(context, city, found)
            if city.name in failed and needs_clock(city) == (arrival != "landed"):
                requests += failed_again(context.instance, city.name)
            generations[city.name] = found.seen.generation
            left_out += found.seen.unreadable()
        except Exception as error:  # one city's source must not stop the others; all that failed are named below
            problems[city.name] = str(error)
            context.log.exception(f"{city.name}: its source could not be looked at")
        del waiting[future]
    # Whoever does not answer is not waited for.
    pool.shutdown(wait=False, cancel_futures=True)
    if monotonic() - started > MAX_SECONDS:
        for future in [future for future in waiting if future.running()]:
            city = waiting.pop(future)
            problems[city.name] = f"{city.name}: its source has not answered within {MAX_SECONDS:g} s."
            context.log.error(problems[city.name])
            _lasting[_Seen(store, city, sensor, generations.get(city.name, 0)).uri] = future
    # With cities left, the cursor has to move on to them.
    if problems and len(problems) == len(cities):
        raise dg.Failure(f"No source could be looked at. {_some(problems.values())}")
    said = [f"Nothing new at {len(cities) - len(waiting) - len(problems)} of {len(cities)} cities."]
    if problems:
        said.append(_some(problems.values()))
    if left_out:
        said.append(f"Left out until they, or the city's file, are corrected: {', '.join(sorted(left_out))}.")
    turn = next((cities.index(city) for city in waiting.values()), turn)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else " ".join(said),
        cursor=json.dumps({"generations": generations, "turn": turn}),
    )


def _some(problems: Collection[str]) -> str:
    more = len(problems) - MAX_SHOWN
    return " ".join(list(problems)[:MAX_SHOWN]) + (
        f" And {more} more, named in the log of the tick." if more > 0 else ""
    )


def _as_completed(looks: "list[Future[_Look | None]]", until: float) -> "Iterator[Future[_Look | None]]":
    """The looks as they end, those of the first cities first, but for those that last longer than the time `until`."""
    while looks and monotonic() < until:
        ended, _ = wait(looks, timeout=until - monotonic(), return_when=FIRST_COMPLETED)
        yield from (look for look in looks if look in ended)
        looks = [look for look in looks if look not in ended]


class _Seen:
    """The table of what one sensor has seen of a city, and its next generation once it has changed."""

    def __init__(self, store: "Store", city: City, sensor: str, generation: int) -> None:
        from shotspotter_assets.storage.store import Partition

        self._store, self._partition, self._sensor = store, Partition(SEEN, city.name), sensor
        self.generation = generation

    @cached_property
    def table(self) -> pa.Table:
        """`SEEN_SCHEMA`, without rows where nothing was seen yet."""
        from shotspotter_assets.sources.arrivals import SEEN_SCHEMA

        if not self._store.exists(self._partition, self._file(self.generation)):
            return SEEN_SCHEMA.empty_table()
        table = self._store.read_table(self._partition, self._file(self.generation))
        if "asked" not in table.column_names:
            # In tables stored before the column, a day had its version only once it was asked for.
            table = table.append_column("asked", pc.is_valid(table["day_version"]))
        return table.select(SEEN_SCHEMA.names).cast(SEEN_SCHEMA)

    @property
    def uri(self) -> str:
        """Where the table is stored: another place for each generation."""
        return self._store.uri(self._partition, self._file(self.generation))

    def keep(self, table: pa.Table) -> None:
        """Store the next generation; the one before the present one is no longer needed."""
        from shotspotter_assets.sources.arrivals import unreadable_files

        if table.equals(self.table):
            return
        self._store.write_table(self._partition, self._file(self.generation + 1), table)
        if self._sensor == "landing":
            self._store.write_bytes(self._partition, UNREADABLE_FILE, json.dumps(unreadable_files(table)).encode())
        self._store.delete(self._partition, self._file(self.generation - 1))
        self.table = table
        self.generation += 1

    def unreadable(self) -> list[str]:
        """The files that could not be read when they were last looked at."""
        from shotspotter_assets.sources.arrivals import unreadable_files

        return sorted(unreadable_files(self.table))

    def _file(self, generation: int) -> str:
        return f"{self._sensor}_{generation}.parquet"


@dataclass(frozen=True)
class _Look:
    """What was found at one city."""

    seen: _Seen
    table: pa.Table
    """What is seen now, before anything is asked for."""
    days: dict[date, str]
    """Days to ask for, with their versions."""
    unreadable: dict[str, str]
    unfinished: int


def _look_at(sources: SourcesResource, city: City, arrival: Arrival, seen: _Seen, enough: Callable[[], bool]) -> _Look:
    """A look at those of the city's sources whose days become known in this way."""
    from shotspotter_assets.sources.arrivals import landing_arrivals, polled_arrivals

    last = last_day_over(city)
    table, unfinished = seen.table, 0
    days: dict[date, str] = {}
    unreadable: dict[str, str] = {}
    for at, (source, reader) in enumerate(zip(city.all_sources, sources.parts(_impatient(city)), strict=True)):
        if KINDS[source.kind].arrival != arrival:
            continue
        if arrival == "landed":
            arrived = landing_arrivals(cast("LandingFolder", reader), table, last, enough)
        else:
            arrived = polled_arrivals(cast("ChangingSource", reader), f"source {at}", table, city.start, last)
        table = arrived.seen
        days |= {day: days.get(day, "") + version for day, version in arrived.days.items()}
        unreadable |= arrived.unreadable
        unfinished += arrived.unfinished
    return _Look(seen, table, days, unreadable, unfinished)


def _requests(context: dg.SensorEvaluationContext, city: City, found: _Look) -> list[dg.RunRequest]:
    """The runs to ask for after a look."""
    from shotspotter_assets.sources.arrivals import as_asked, as_unread, has_unread

    for file, error in found.unreadable.items():
        context.log.error(f"{city.name}: {file} is left out until it is replaced. {error}")
    matters = found.days or has_unread(found.table)
    under_way = days_under_way(context.instance, city.name) if matters else set()
    table = as_unread(found.table, under_way)
    if found.unfinished:
        context.log.info(f"{city.name}: {found.unfinished:,} further files wait for the next tick, and their days too")
        found.seen.keep(table)
        return []
    if not found.days.keys().isdisjoint(under_way):
        # Whether the run under way has read them is not known.
        context.log.info(
            f"{city.name}: days that have changed are being made; they are asked for again once that is over"
        )
        found.seen.keep(table)
        return []
    served = {day: version for day, version in found.days.items() if day >= city.start}
    days = without_received(context.instance, city.name, served)
    further = contiguous(sorted(days))[MAX_RUNS_PER_TICK:]
    if further:
        context.log.info(f"{city.name}: {len(further):,} further stretches of days wait for the next tick")
    later = {day for stretch in further for day in stretch}
    found.seen.keep(as_asked(table, found.days.keys() - later))
    asked = {day: version for day, version in days.items() if day not in later}
    return list(requests_of(city.name, asked, f"look {found.seen.generation}"))


def _impatient(city: City) -> City:
    """The city with `PATIENCE` for the sources that are asked over HTTP."""
    hurried = [
        source.model_copy(update={"patience": PATIENCE}) if isinstance(source, ApiSource) else source
        for source in city.all_sources
    ]
    return city.model_copy(update={"source": hurried[0], "other_sources": tuple(hurried[1:])})


def last_day_over(city: City) -> date:
    """The last local day of the service that has ended."""
    yesterday = datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
    return yesterday if city.end is None else min(yesterday, city.end)
