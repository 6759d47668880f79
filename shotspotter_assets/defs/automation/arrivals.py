"""Sensors that watch the landing folders and poll the live sources, and ask for exactly the days that changed."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
import pyarrow as pa

from shotspotter_assets.cities.model import City
from shotspotter_assets.defs.alerts.files import SEEN, UNREADABLE_FILE
from shotspotter_assets.defs.automation.default_status import SENSOR_STATUS
from shotspotter_assets.defs.automation.runs import (
    DAILY_CHAIN,
    days_under_way,
    failed_again,
    requests_of,
    without_received,
)
from shotspotter_assets.defs.environment import CITIES
from shotspotter_assets.defs.resources import SourcesResource, StoreResource

if TYPE_CHECKING:
    from shotspotter_assets.sources.protocol import ChangingSource
    from shotspotter_assets.storage.store import Store

SECONDS_PER_TICK: Final = 20.0
"""A tick opens no further file after this; Dagster ends one that takes 60 s and forgets what it found."""

MOST_RUNS_PER_TICK: Final = 25


@dg.sensor(target=DAILY_CHAIN, minimum_interval_seconds=5, default_status=SENSOR_STATUS)
def landing_arrivals(
    context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Asks for the days of files that were landed or replaced, one run per stretch of days."""
    return _look_at_cities(context, store.open(), sources, "landing", frozenset({"landing"}))


@dg.sensor(target=DAILY_CHAIN, minimum_interval_seconds=900, default_status=SENSOR_STATUS)
def polled_arrivals(
    context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Asks for new and corrected days of the live sources, every quarter of an hour."""
    return _look_at_cities(context, store.open(), sources, "polled", frozenset({"socrata", "arcgis", "alerts_api"}))


def _look_at_cities(
    context: dg.SensorEvaluationContext, store: "Store", sources: SourcesResource, sensor: str, kinds: frozenset[str]
) -> dg.SensorResult:
    """One tick. The cursor holds each city's generation of its table of what was seen, and whose turn is next.

    The next generation's table is written before the runs are asked for, and counts once the cursor that names it is
    saved together with them: a tick that dies in between is done over.
    """
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    generations: dict[str, int] = cursor.get("generations", {})
    cities = [city for city in CITIES.values() if kinds & {source.kind for source in city.all_sources}]
    turn = cursor.get("turn", 0) % max(len(cities), 1)
    started = monotonic()
    requests: list[dg.RunRequest] = []
    problems: dict[str, str] = {}
    left_out: list[str] = []
    looked_at = 0

    def enough() -> bool:
        return monotonic() - started > SECONDS_PER_TICK or len(requests) >= MOST_RUNS_PER_TICK

    for city in cities[turn:] + cities[:turn]:
        if looked_at and enough():
            break
        looked_at += 1
        seen = _Seen(store, city, sensor, generations.get(city.name, 0))
        try:
            requests += _requests(context, sources, city, kinds, seen, enough)
        except Exception as error:  # one city's source must not stop the others; all that failed are named below
            problems[city.name] = str(error)
            context.log.exception(f"{city.name}: its source could not be looked at")
            continue
        generations[city.name] = seen.generation
        left_out += seen.unreadable()
    if problems and len(problems) == looked_at:
        raise dg.Failure(f"No source could be looked at. {' '.join(problems.values())}")
    said = [f"Nothing new at {looked_at - len(problems)} of {len(cities)} cities.", *problems.values()]
    if left_out:
        said.append(f"Left out until they, or the city's file, are corrected: {', '.join(left_out)}.")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else " ".join(said),
        cursor=json.dumps({"generations": generations, "turn": turn + looked_at}),
    )


class _Seen:
    """The table of what one sensor has seen of a city, and its next generation once it has changed."""

    def __init__(self, store: "Store", city: City, sensor: str, generation: int) -> None:
        from shotspotter_assets.sources.arrivals import SEEN_SCHEMA
        from shotspotter_assets.storage.store import Partition

        self._store, self._partition, self._sensor = store, Partition(SEEN, city.name), sensor
        self.generation = generation
        stored = store.exists(self._partition, self._file(generation))
        self.table = store.read_table(self._partition, self._file(generation)) if stored else SEEN_SCHEMA.empty_table()

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


def _requests(
    context: dg.SensorEvaluationContext,
    sources: SourcesResource,
    city: City,
    kinds: frozenset[str],
    seen: _Seen,
    enough: Callable[[], bool],
) -> list[dg.RunRequest]:
    """The runs to ask for after a look at those of the city's sources that are of the kinds."""
    from shotspotter_assets.sources.arrivals import landing_arrivals, polled_arrivals
    from shotspotter_assets.sources.landing import LandingFolder

    last = last_day_over(city)
    table = seen.table
    days: dict[date, str] = {}
    for at, (source, reader) in enumerate(zip(city.all_sources, sources.parts(city), strict=True)):
        if source.kind not in kinds:
            continue
        if isinstance(reader, LandingFolder):
            arrivals = landing_arrivals(reader, table, last, enough)
        else:
            arrivals = polled_arrivals(cast("ChangingSource", reader), f"source {at}", table, city.start, last)
        table = arrivals.seen
        days |= {day: days.get(day, "") + version for day, version in arrivals.days.items() if day >= city.start}
        for file, error in arrivals.unreadable.items():
            context.log.error(f"{city.name}: {file} is left out until it is replaced. {error}")
        if arrivals.unfinished:
            context.log.info(f"{city.name}: {arrivals.unfinished:,} further files wait for the next tick")
    if days and not days.keys().isdisjoint(days_under_way(context.instance, city.name)):
        # Whether the run under way has read them is not known.
        context.log.info(
            f"{city.name}: days that have changed are being made; they are looked at again once that is over"
        )
        return []
    seen.keep(table)
    days = dict(without_received(context.instance, city.name, days))
    again = failed_again(context.instance, city.name) if city.polls == ("landing" not in kinds) else ()
    return [*requests_of(city.name, days, f"look {seen.generation}"), *again]


def last_day_over(city: City) -> date:
    """The last local day of the service that has ended."""
    yesterday = datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
    return yesterday if city.end is None else min(yesterday, city.end)
