"""The sensor that asks the live sources of cities with `nowcasts` for new alerts, and makes their nowcasts itself.

A run for each nowcast would start a process, which costs several times what the nowcast does; the server that holds the sensor
keeps the models and the stored days instead.
"""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.nowcast_rules import NowcastRules
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.automated import automated
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.settings import Settings

if TYPE_CHECKING:
    from shotspotter_assets.pages.places import Places
    from shotspotter_assets.serving.nowcast_poller import NowcastPoller, Snapshot
    from shotspotter_assets.serving.nowcasts import Nowcast

    Look = Future[tuple[Nowcast | None, Snapshot]]

MAX_SECONDS: Final = 40.0
"""What a look has not found by then is dropped: Dagster ends a tick of 60 s, and only the latest nowcast matters."""
MAX_CITIES_AT_ONCE: Final = 8
NO_CITY: Final = "No automated city has `nowcasts`; write `nowcasts: {every_seconds: 60}` in the file of the city."


@dataclass
class Watch:
    """What the server that holds the sensor keeps from tick to tick."""

    lookouts: "dict[str, NowcastPoller]" = field(default_factory=dict)
    looks: "dict[str, Look]" = field(default_factory=dict)
    """Looks that were not over with their tick."""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(MAX_CITIES_AT_ONCE))
    places: "dict[str, Places]" = field(default_factory=dict)

    def places_of(self, city: City) -> "Places":
        """The names of its places, from layers that are read once."""
        from shotspotter_assets.pages.layers import CityLayers
        from shotspotter_assets.pages.places import Places

        if city.name not in self.places:
            self.places[city.name] = Places(city, CityLayers.read(city))
        return self.places[city.name]


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor; it runs as often as the most frequent city asks for."""
    watch, rules = Watch(), _rules(settings.cities)

    @dg.sensor(
        minimum_interval_seconds=_seconds_between_ticks(rules),
        default_status=dg.DefaultSensorStatus.RUNNING if rules else dg.DefaultSensorStatus.STOPPED,
        description="Asks the sources of cities with `nowcasts` for new alerts, and forecasts the next minutes and hours at once.",
    )
    def live_nowcasts(
        context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource
    ) -> dg.SensorResult:
        return _tick(context, watch, settings.cities, store, sources)

    return dg.Definitions(sensors=[live_nowcasts])


def _rules(cities: Cities) -> dict[str, NowcastRules]:
    """By city."""
    return {city.name: city.nowcasts for city in automated(cities.values()) if city.nowcasts is not None}


def _seconds_between_ticks(rules: Mapping[str, NowcastRules]) -> int:
    return min((of_city.every_seconds for of_city in rules.values()), default=60)


def _tick(
    context: dg.SensorEvaluationContext, watch: Watch, cities: Cities, store: StoreResource, sources: SourcesResource
) -> dg.SensorResult:
    """Look at each city that is due, and make a nowcast where the source says something new or an hour has begun."""
    from shotspotter_assets.pages.site import renew_last_hours
    from shotspotter_assets.serving.nowcast_poller import Snapshot
    from shotspotter_assets.serving.nowcasts import write_nowcast

    rules = _rules(cities)
    if not rules:
        return dg.SensorResult(skip_reason=NO_CITY, cursor=context.cursor)
    now = datetime.now(UTC).timestamp()
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    cursor = {name: kept for name, kept in cursor.items() if name in rules}
    notes: dict[str, str] = {}
    asked: dict[str, Look] = {}
    for name, of_city in rules.items():
        kept = cursor.setdefault(name, {"asked": 0.0, "seen": asdict(Snapshot())})
        # After a late tick the next one comes early, and would put the city off to the one after it.
        if now - kept["asked"] < of_city.every_seconds - _seconds_between_ticks(rules) / 2:
            continue
        earlier = watch.looks.get(name)
        if earlier is not None and not earlier.done():
            notes[name] = "its source has not answered the last question yet"
            continue
        # What ended after its tick is late: it is dropped, and the source asked anew.
        kept["asked"] = now
        lookout = watch.lookouts.setdefault(name, _lookout(cities[name], store, sources))
        asked[name] = watch.looks[name] = watch.pool.submit(lookout.poll, Snapshot(**kept["seen"]))
    wait(asked.values(), timeout=MAX_SECONDS)
    events: list[dg.AssetMaterialization] = []
    problems: dict[str, str] = {}
    for name, look in asked.items():
        if not look.done():
            problems[name] = f"its source has not answered within {MAX_SECONDS:g} s"
            continue
        del watch.looks[name]
        try:
            cast, seen = look.result()
            opened = store.open()
            if cast is not None:
                path = write_nowcast(opened, cast)
                events.append(dg.AssetMaterialization([name, "nowcasts"], metadata=metadata_of(cast, path)))
            cursor[name]["seen"] = asdict(seen)
            # Last, as a page that cannot be made must not have the nowcast made again and again.
            if cast is not None:
                renew_last_hours(opened, cities[name], watch.places_of(cities[name]))
        except Exception as error:  # one city's source must not stop the others; all that failed are named below
            problems[name] = str(error)
            context.log.exception(f"{name}: no nowcast, or no page of it")
    told = " ".join(f"{name}: {text.rstrip('.')}." for name, text in (notes | problems).items())
    if problems and not events and len(problems) == len(asked):
        raise dg.Failure(f"No source could be looked at. {told}")
    made = f"{len(events)} nowcasts were made, of {len(asked)} cities that were asked. {told}".strip()
    if told:
        context.log.warning(told)
    return dg.SensorResult(skip_reason=made, cursor=json.dumps(cursor), asset_events=events)


def metadata_of(cast: "Nowcast", path: str) -> Mapping[str, Any]:
    """Entries of the panel of a nowcast."""
    expected = {f"expected_cells_{horizon}": cells for horizon, cells in cast.expected_cells.items()}
    return {**cast.record.model_dump(mode="json"), **panel.rounded(expected), "path": panel.stored(path)}


def _lookout(city: City, store: StoreResource, sources: SourcesResource) -> "NowcastPoller":
    from shotspotter_assets.serving.nowcast_poller import NowcastPoller
    from shotspotter_assets.sources.polls import impatient
    from shotspotter_assets.sources.unreadable import unreadable_versions

    return NowcastPoller(
        city,
        lambda: store.remembering().open(),
        lambda: sources.readers(impatient(city), unreadable_versions(store.open(), city.name)),
    )
