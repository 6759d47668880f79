"""Sensors that watch the landing folders and poll the live sources, and ask for exactly the days that changed."""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.registry import Cities, unusable_files
from shotspotter_assets.defs.automation.automated_cities import NO_CITY, automated, sensor_status
from shotspotter_assets.defs.automation.runs import (
    DAILY_ASSETS,
    DAILY_CHAIN,
    cities_with_failures,
    days_of,
    failed_again,
    requests_of,
    without_received,
)
from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import contiguous
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import Arrival, arrivals, needs_clock

if TYPE_CHECKING:
    from shotspotter_assets.sources.looks import FutureLook, Look

SECONDS_PER_TICK: Final = 20.0
"""A tick begins with no further city and opens no further file after this."""

MAX_SECONDS: Final = 40.0
"""What is not known by then is left for the next tick: Dagster ends one of 60 s and forgets what it found."""

MAX_RUNS_PER_TICK: Final = 25

MAX_SHOWN: Final = 10
"""Problems that the line of a tick has room for."""


@dataclass(frozen=True)
class Watch:
    """What one sensor watches."""

    arrival: Arrival
    """How the sources that it looks at get new days."""
    tables: str
    """Name of the stored tables of what it has seen."""
    pending: "dict[str, FutureLook]" = field(default_factory=dict)
    """Looks that were not over with their tick; the server that holds the sensor keeps them for the next one."""


@dataclass
class Cursor:
    """What a tick leaves to the next one."""

    generations: dict[str, int]
    """The generation of each city's table of what was seen."""
    turn: int
    """Which city is looked at first."""

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """The cursor that Dagster has kept."""
        kept = json.loads(text or "{}")
        return cls(kept.get("generations", {}), kept.get("turn", 0))


def definitions(settings: Settings) -> dg.Definitions:
    """Both sensors."""
    landing = _sensor(
        "landing_arrivals",
        Watch("landed", "landing"),
        seconds=5,
        description="Watches the landing folders and takes in the days of files that were landed or replaced.",
        settings=settings,
    )
    polled = _sensor(
        "polled_arrivals",
        Watch("polled", "polled"),
        seconds=900,
        description="Asks the live sources for new and corrected days every quarter of an hour.",
        settings=settings,
    )
    return dg.Definitions(sensors=[landing, polled])


def _sensor(name: str, watch: Watch, *, seconds: int, description: str, settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        target=DAILY_CHAIN,
        minimum_interval_seconds=seconds,
        default_status=sensor_status(settings.cities),
        description=description,
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        cities: dg.ResourceParam[Cities],
        store: StoreResource,
        sources: SourcesResource,
    ) -> dg.SensorResult:
        return _tick(context, watch, cities, store, sources)

    return sensor


def _tick(
    context: dg.SensorEvaluationContext, watch: Watch, cities: Cities, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Look at the cities, and ask for runs of the days that changed.

    The next generation of a table of what was seen is written before the runs are asked for, and counts once the cursor
    that names it is saved together with them: a tick that dies in between is done over.
    """
    from shotspotter_assets.sources.looks import LookRound, look_at
    from shotspotter_assets.sources.seen import SeenTable

    started = monotonic()
    if not automated(cities.values()):
        return dg.SensorResult(skip_reason=f"{NO_CITY} {_wrong_files(cities)}".strip(), cursor=context.cursor)
    watched = [city for city in automated(cities.values()) if watch.arrival in arrivals(city)]
    cursor, opened = Cursor.of(context.cursor), store.open()
    failed = cities_with_failures(context.instance)
    under_way = cache(lambda: UnderWay.of(context.instance))
    requests: list[dg.RunRequest] = []
    problems: dict[str, str] = {}
    unreadable: list[str] = []

    def enough() -> bool:
        return monotonic() - started > SECONDS_PER_TICK

    def is_late() -> bool:
        return monotonic() - started > MAX_SECONDS

    def look(seen: SeenTable) -> "Look | None":
        return None if enough() else look_at(seen, watch.arrival, sources.readers, enough)

    turn = cursor.turn % max(len(watched), 1)
    in_turn = watched[turn:] + watched[:turn]
    tables = [SeenTable(opened, city, watch.tables, cursor.generations.get(city.name, 0)) for city in in_turn]
    looks = LookRound(tables, look, watch.pending)
    for city, future in looks.finished(until=started + MAX_SECONDS):
        if len(requests) >= MAX_RUNS_PER_TICK or is_late():
            break
        try:
            found = future.result()
            if found is None:
                continue
            asked = _requests(context, found, under_way)
            if city.name in failed and needs_clock(city) == (watch.arrival != "landed"):
                asked_days = under_way().days(city.name, DAILY_ASSETS) | days_of(asked)
                asked += failed_again(context.instance, city.name, asked_days)
            requests += asked
            cursor.generations[city.name] = found.seen.generation
            unreadable += found.seen.unreadable()
        except Exception as error:  # one city's source must not stop the others; all that failed are named below
            problems[city.name] = str(error)
            context.log.exception(f"{city.name}: its source could not be looked at")
        looks.drop(future)
    for city in looks.end(is_late=is_late()):
        problems[city.name] = f"{city.name}: its source has not answered within {MAX_SECONDS:g} s."
        context.log.error(problems[city.name])
    left = [seen.city for seen in looks.waiting.values()]
    # With cities left, the cursor has to move on to them.
    if problems and len(problems) == len(watched):
        raise dg.Failure(f"No source could be looked at. {_some(problems.values())}")
    unchanged = f"Nothing new at {len(watched) - len(left) - len(problems)} of {len(watched)} cities."
    cursor.turn = next((watched.index(city) for city in left), turn)
    return dg.SensorResult(
        run_requests=sorted(requests, key=lambda asked: max(days_of([asked])), reverse=True),
        skip_reason=None
        if requests
        else " ".join(filter(None, [unchanged, _wrong_files(cities), _some(problems.values()), _left_out(unreadable)])),
        cursor=json.dumps(asdict(cursor)),
    )


def _some(problems: Collection[str]) -> str:
    more = len(problems) - MAX_SHOWN
    return " ".join(list(problems)[:MAX_SHOWN]) + (
        f" And {more} more, named in the log of the tick." if more > 0 else ""
    )


def _wrong_files(cities: Cities) -> str:
    problems = {name: file.problem for name, file in unusable_files(cities).items()}
    named = " ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:MAX_SHOWN])
    return f"{len(problems)} of the city files cannot be used. {named}" if problems else ""


def _left_out(files: Collection[str]) -> str:
    return f"Left out until they, or the city's file, are corrected: {', '.join(sorted(files))}." if files else ""


def _requests(
    context: dg.SensorEvaluationContext, found: "Look", under_way_now: Callable[[], UnderWay]
) -> list[dg.RunRequest]:
    """The runs to ask for after a look."""
    from shotspotter_assets.sources.arrivals import as_asked, as_unread, has_unread

    city = found.seen.city
    for file, error in found.unreadable.items():
        context.log.error(f"{city.name}: {file} is left out until it is replaced. {error}")
    matters = found.days or has_unread(found.table)
    under_way = under_way_now().days(city.name, DAILY_ASSETS) if matters else set()
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
    further = contiguous(sorted(days))[:-MAX_RUNS_PER_TICK]
    if further:
        context.log.info(f"{city.name}: {len(further):,} further stretches of days wait for the next tick")
    later = {day for stretch in further for day in stretch}
    found.seen.keep(as_asked(table, found.days.keys() - later))
    asked = {day: version for day, version in days.items() if day not in later}
    return list(requests_of(city.name, asked, f"look {found.seen.generation}"))
