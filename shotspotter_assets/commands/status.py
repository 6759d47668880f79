"""The state of each city as text: days, due runs, days that are held back, and the serving model."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import BaseModel

from shotspotter_assets.alerts.days.city_now import CityNow, ShownForecast, lateness, made_text, stored_now
from shotspotter_assets.alerts.days.day_decisions import unusual_sentences
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.automation.due import due
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import find_city, unusable_files
from shotspotter_assets.defs.requested_runs import retries, runs_under_way
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.evaluation.estimates import newest_level
from shotspotter_assets.forecasts.approval import Approvals
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, load_record, why_none_issued
from shotspotter_assets.forecasts.seals import heads_in_words
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import FORECAST_RECORD, PAGE, SERVING_RECORD, STATUS
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.store import Store

MAX_HELD_BACK: Final = 5  # maximum number of shown days that are held back, the newest ones
TITLE_WIDTH: Final = 18
TO_LOOK_AT: Final = frozenset(
    {"unreadable", "file", "unusual", "waits", "held back", "pages", "approval", "no forecast"}
)

if TYPE_CHECKING:
    from rich.table import Table


class _Gate(BaseModel):
    overruled: str
    withheld: str = ""


class _Served(BaseModel):
    """The part of a serving record that is shown; the record itself imports the models."""

    served: str
    models_from: date
    version: str
    gate: _Gate


Facts = Mapping[str, Sequence[str]]
"""Lines about a city by title."""


def status_facts(settings: Settings, name: str | None, instance: dg.DagsterInstance) -> dict[str, Facts]:
    """Describe cities by the store and the landed files; raise CityFileError for an unknown one.

    Live sources are not asked, and nothing is written to the store.
    """
    store = StoreResource(root=settings.store_root).open().draft()
    sources = SourcesResource(landing_root=settings.landing_root)
    facts: dict[str, Facts] = {}
    for city in [find_city(settings.cities, name)] if name else settings.cities.values():
        try:
            of_city = _facts(city, store, sources, instance)
            facts[city.name] = {title: texts for title, texts in of_city.items() if texts}
        except CorruptObjectError as error:
            facts[city.name] = {"unreadable": [str(error)]}
    unusable = {} if name else unusable_files(settings.cities)
    return facts | {city: {**facts.get(city, {}), "file": [reason]} for city, reason in unusable.items()}


def status_text(facts: Mapping[str, Facts]) -> str:
    """Return lines about cities."""
    lines: list[str] = []
    for city, of_city in facts.items():
        lines += ["", city]
        for title, texts in of_city.items():
            lines += [f"  {'' if place else title:{TITLE_WIDTH}}{text}" for place, text in enumerate(texts)]
    return "\n".join(lines[1:])


def status_tables(facts: Mapping[str, Facts]) -> "list[Table]":
    """Return a table for each city, whose long lines are wrapped; what a person should look at is in another colour."""
    from rich.table import Table
    from rich.text import Text

    tables = []
    for city, of_city in facts.items():
        table = Table(title=Text(city), title_justify="left", show_header=False)
        for title, texts in of_city.items():
            style = "yellow" if title in TO_LOOK_AT else ""
            table.add_row(Text(title, style), Text("\n".join(texts), style))
        tables.append(table)
    return tables


def _facts(
    city: City, store: Store, sources: SourcesResource, instance: dg.DagsterInstance
) -> dict[str, Sequence[str]]:
    """Return the shown lines about a city by title; a source that cannot be read is one of them."""
    stored = Stored.read(store, city)
    now = local_time.now()
    present = stored_now(city, stored.table)
    facts: dict[str, Sequence[str]] = {
        "newest known day": [str(stored.table.last_counted(city.end or date.max) or "none")],
        "alerts": [],
        "unusual": unusual_sentences(city.holidays, stored.table),
    }
    if not city.is_automated:
        facts["automation"] = ["manual: runs do not start automatically"]
    due_days: Collection[date] = ()
    try:
        snapshot = sources.snapshot(city, store, now, poll_seconds=None)
        sources.look_at_tables(city, store, now, poll_seconds=None)
        under_way = runs_under_way(instance, city)
        due_runs = due(city, snapshot, stored, under_way, now)
        present = due_runs.now(stored, under_way, retries(instance, city, due_runs.runs, now), now)
        due_days = due_runs.days
        runs = [*due_runs.runs, *due_runs.training[:1]]  # of folds and reports, the sensor requests only the first
        requested = [f"{', '.join(run.assets)}: {run.why}" for run in runs]
        waiting = [f"{', '.join(run.assets)}: {run.waiting_text}" for run in due_runs.waiting]
        facts["due"] = [*requested, *waiting] or ["nothing"]
        facts["landed"] = present.waits
        facts["waits"] = [text for text in due_runs.waits if text not in present.waits]
    except SourceError as error:
        facts["due"] = [f"unknown: {error}"]
    facts["alerts"] = [lateness(store, city, present).message]
    held_back = {day: entry for day, entry in stored.table.in_state("held_back").items() if day not in due_days}
    facts["held back"] = [f"{day}: {held_back[day].why}" for day in sorted(held_back)[-MAX_HELD_BACK:]]
    return facts | _serving_facts(city, store, stored.table, present)


def _serving_facts(city: City, store: Store, table: DayTable, present: CityNow) -> dict[str, Sequence[str]]:
    """Return what pages lack, the serving models by target, and reasons for days without a forecast."""
    waiting = _waiting_models(city, store)
    serves: list[str] = []
    why_none: list[str] = []
    levels: list[str] = []
    lacks: list[str] = []
    for of_target, view in city.by_target(store):
        before = f"{view.target}: " if len(city.targets) > 1 else ""
        file = PAGE.named(file=STATUS.file if view.target == city.target else f"{view.target}/{STATUS.file}")
        shown = store.read_index(file, city.name, ShownForecast.model_validate_json)
        if shown is not None:
            lacks += filter(None, [made_text(present, table, shown, city)])
        level = newest_level(of_target, city.name)
        levels += [] if level is None else [before + level.sentence()]
        served_on = max(of_target.days_present(SERVING_RECORD, city.name), default=None)
        if served_on is None:
            serves.append(f"{before}nothing yet")
        else:
            record = of_target.read_json(SERVING_RECORD, _Served.model_validate_json, city.name, served_on)
            serves.append(f"{before}{record.served}, models of {long_day(record.models_from)}")
            serves += filter(
                None,
                [
                    record.gate.overruled,
                    record.gate.withheld,
                    Approvals.read(of_target, city.name).text(record.version),
                ],
            )
        issued = max(of_target.days_present(FORECAST_RECORD, city.name), default=None)
        if issued is None:
            why_none.append(f"{before}{why_none_issued(of_target, view)}")
            continue
        forecast = load_record(of_target, city.name, issued)
        if isinstance(forecast, NoForecast):
            repeated = any(text in forecast.no_forecast for text in waiting)
            why_none.append(f"{before}{issued}: {'models wait for approval' if repeated else forecast.no_forecast}")
    seals = heads_in_words(store, city)
    served: dict[str, Sequence[str]] = {
        "pages": lacks,
        "seal": seals,
        "serves": serves,
        "level": levels,
        "approval": waiting,
        "no forecast": why_none,
    }
    return served


def _waiting_models(city: City, store: Store) -> list[str]:
    if city.approval == "automatic":
        return []
    from shotspotter_assets.forecasts.approval import waiting_models

    return [models.text for models in waiting_models(store, city, date.max)]
