"""Sensors that watch the landing folders and poll the live sources, and ask for exactly the days that changed."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import PurePosixPath
from time import monotonic
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.registry import Cities, unusable_files
from shotspotter_assets.defs.alerts.raw_alerts import unreadable_evaluation
from shotspotter_assets.defs.automation.automated_cities import NO_CITY, automated, sensor_status
from shotspotter_assets.defs.automation.runs import (
    DAILY_ASSETS,
    DAILY_CHAIN,
    cities_with_failures,
    days_of,
    failed_again,
    requests_of,
)
from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.defs.automation.wanted_days import WantedDays, left_out_note, no_forecast_note, wanted_days
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import LOOK_BACK_DAYS, contiguous
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import Arrival, arrivals, needs_clock

if TYPE_CHECKING:
    from shotspotter_assets.sources.arrivals import Unreadable
    from shotspotter_assets.sources.looks import FutureLook, Look
    from shotspotter_assets.storage.store import Store

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
    unreadable: dict[str, str]
    """Of the cities with files that cannot be read, a hash of these and why."""

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """The cursor that Dagster has kept."""
        kept = json.loads(text or "{}")
        return cls(kept.get("generations", {}), kept.get("turn", 0), kept.get("unreadable", {}))


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
        seconds=settings.poll_seconds,
        description=f"Asks the live sources for new and corrected days every {settings.poll_seconds} seconds.",
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
    from shotspotter_assets.sources.seen import SeenTable, read_unreadable

    started = monotonic()
    if not automated(cities.values()):
        return dg.SensorResult(skip_reason=f"{NO_CITY} {_wrong_files(cities)}".strip(), cursor=context.cursor)
    watched = [city for city in automated(cities.values()) if watch.arrival in arrivals(city)]
    cursor, opened = Cursor.of(context.cursor), store.open()
    failed = cities_with_failures(context.instance)
    requests: list[dg.RunRequest] = []
    problems: dict[str, str] = {}
    notes: dict[str, str] = {}
    bad_files_before = dict(cursor.unreadable)
    cursor.unreadable = {city.name: bad for city in watched if (bad := cursor.unreadable.get(city.name))}

    @cache
    def under_way() -> UnderWay:
        return UnderWay.of(context.instance)

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
            asked, note = _requests(context, opened, found, watch.arrival, under_way)
            if city.name in failed and needs_clock(city) == (watch.arrival != "landed"):
                asked_days = under_way().days(city.name, DAILY_ASSETS) | days_of(asked)
                asked += failed_again(context.instance, city.name, asked_days)
            requests += asked
            cursor.generations[city.name] = found.seen.generation
            _note_bad_files(cursor, found)
            told_of_city = " ".join(filter(None, [note, _in_transfer(found)]))
            notes |= {city.name: told_of_city} if told_of_city else {}
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
    bad_files = {city: files for city in cursor.unreadable if (files := read_unreadable(opened, city))}
    told = [unchanged, _wrong_files(cities), _some(problems.values()), _named(bad_files), _some(notes.values())]
    for text in filter(None, told[1:] if requests else []):
        context.log.warning(text)  # a tick with runs has no text of its own
    return dg.SensorResult(
        run_requests=sorted(requests, key=lambda asked: max(days_of([asked])), reverse=True),
        skip_reason=None if requests else " ".join(filter(None, told)),
        cursor=json.dumps(asdict(cursor)),
        asset_events=[unreadable_evaluation(bad_files)] if cursor.unreadable != bad_files_before else [],
    )


def _in_transfer(found: "Look") -> str:
    names = [PurePosixPath(path).name for path in sorted(found.in_transfer)]
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    if not names:
        return ""
    return f"{found.seen.city.name}: left alone until their transfer is over: {', '.join(names[:MAX_SHOWN])}{more}."


def _named(bad_files: "Mapping[str, Mapping[str, Unreadable]]") -> str:
    from shotspotter_assets.quality.unreadable_files import unreadable_note

    return _some(unreadable_note(city, files) for city, files in bad_files.items())


def _some(problems: Iterable[str]) -> str:
    texts = list(problems)
    more = len(texts) - MAX_SHOWN
    return " ".join(texts[:MAX_SHOWN]) + (f" And {more} more, named in the log of the tick." if more > 0 else "")


def _wrong_files(cities: Cities) -> str:
    problems = {name: file.problem for name, file in unusable_files(cities).items()}
    named = " ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:MAX_SHOWN])
    return f"{len(problems)} of the city files cannot be used. {named}" if problems else ""


def _note_bad_files(cursor: Cursor, found: "Look") -> None:
    from shotspotter_assets.storage.fingerprints import sha256

    city, files = found.seen.city.name, found.seen.unreadable()
    cursor.unreadable.pop(city, None)
    if files:
        cursor.unreadable[city] = sha256(
            *(f"{path}{file.version}{file.error}" for path, file in sorted(files.items()))
        )[:8]


def _requests(
    context: dg.SensorEvaluationContext,
    store: "Store",
    found: "Look",
    arrival: Arrival,
    under_way_now: Callable[[], UnderWay],
) -> tuple[list[dg.RunRequest], str]:
    """(runs to ask for after a look, what to say of days that are left out)."""
    from shotspotter_assets.sources.arrivals import as_asked

    city = found.seen.city
    for file, error in found.unreadable.items():
        context.log.error(f"{city.name}: {file} is left out until it is replaced. {error}")
    under_way = under_way_now().days(city.name, DAILY_ASSETS) if found.days else set()
    if found.unfinished:
        context.log.info(f"{city.name}: {found.unfinished:,} further files wait for the next tick, and their days too")
        found.seen.keep(found.table)
        return [], ""
    if waiting := found.days.keys() & under_way:
        # Whether the run under way has read them is not known.
        context.log.info(
            f"{city.name}: {len(waiting):,} days have changed and are being made; they are asked for afterwards"
        )
    days = wanted_days(context.instance, store, found, arrival, under_way)
    if days.made:
        context.log.info(f"{city.name}: {len(days.made):,} days are made already from the same rows")
    further = contiguous(sorted(days.wanted))[:-MAX_RUNS_PER_TICK]
    if further:
        context.log.info(f"{city.name}: {len(further):,} further stretches of days wait for the next tick")
    later = {day for stretch in further for day in stretch}
    found.seen.keep(as_asked(found.table, found.days.keys() - later - waiting - set(days.left_out)))
    asked = {day: version for day, version in days.wanted.items() if day not in later}
    return list(requests_of(city.name, asked, f"look {found.seen.generation}")), _note(found, arrival, days)


def _note(found: "Look", arrival: Arrival, days: WantedDays) -> str:
    from shotspotter_assets.sources.looks import last_day_over

    city = found.seen.city
    if days.left_out:
        return left_out_note(city, days.left_out)
    newest = max(filter(None, found.table["day"].unique().to_pylist()), default=None)
    is_old = newest is not None and (last_day_over(city) - newest).days >= LOOK_BACK_DAYS
    return no_forecast_note(city, newest) if newest is not None and is_old and arrival == "landed" else ""
