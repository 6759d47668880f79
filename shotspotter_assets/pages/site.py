"""Make the pages of a city and the overview of all cities, and write the changed files."""

import logging
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, Field

from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.gains import MIN_WEEKS_FOR_INTERVAL
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT, NOT_FOR
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.geometry.cells import cell_metres
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.addresses import published_files
from shotspotter_assets.pages.first_page import newest_forecast
from shotspotter_assets.pages.last_hours import last_hours
from shotspotter_assets.pages.past_days import has_plans, past_day, stamps
from shotspotter_assets.pages.places import Places, uncovered
from shotspotter_assets.pages.public_page import public_files
from shotspotter_assets.pages.rendering import policy, render, rendered_markdown, shared_files
from shotspotter_assets.pages.track_record import track_record
from shotspotter_assets.pages.waiting import data_script, read_waiting, renew_waiting
from shotspotter_assets.quality.city_state import open_warnings
from shotspotter_assets.quality.day_decisions import unusual_sentences
from shotspotter_assets.quality.on_time import lateness
from shotspotter_assets.serving.issued_forecasts import IssueRecord
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.sources.days_in_words import table_in_words
from shotspotter_assets.storage.catalogue import INDEX, LINEAGE, MODEL_CARD, PAGE, PAGES_RECORD, TENSORS, Asset
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets.storage.stored_record import StoredRecord

LAST_HOURS: Final = "last_hours.html"
TABS: Final = {
    INDEX.file: "Now",
    LAST_HOURS: "Last hours",
    "past.html": "Past days",
    "track_record.html": "Track record",
}
"""Title of each page of a city, by file."""
WARNED_DAYS: Final = 91  # newest days whose warnings are on the pages
log = logging.getLogger(__name__)


class CityCard(BaseModel):
    """Summary of a city on the overview."""

    name: str
    title: str = ""
    forecast_date: date | None = None
    expected_alerts: float | None = None
    expected_alerts_low: float | None = None
    expected_alerts_high: float | None = None
    likeliest: str = ""
    last_known: date | None = None
    replayed: bool = False
    ends: datetime | None = None
    """End of the last period of the forecast."""
    note: str = ""
    verdict: str = NOT_TESTED


class PagesRecord(StoredRecord):
    """Written pages of a city: hash of each file, and stamp of each file of a past day."""

    stored_as = PAGES_RECORD

    card: CityCard
    files: dict[str, str] = Field(default_factory=dict)
    past: dict[str, str] = Field(default_factory=dict)


@dataclass
class Site:
    """Files of a city, or of the overview, of which only changed ones are written."""

    store: Store
    name: str
    record: PagesRecord  # record of the last run, until this run writes its own
    stored: set[str]  # files in the folder, without those of this project's records
    contents: dict[str, bytes] = field(default_factory=dict)  # by file, those of unchanged files among them
    hashes: dict[str, str] = field(default_factory=dict)  # by file, those of files that are kept unread among them
    written: list[str] = field(default_factory=list)  # names of changed files
    problems: list[str] = field(default_factory=list)  # a line for each layer that is left out or covers little
    past: dict[str, str] = field(default_factory=dict)  # stamps of past days by file
    folder: str = ""  # folder of the target whose files are put, with "/"

    @classmethod
    def of(cls, store: Store, name: str) -> "Site":
        found = PagesRecord.find_sound(store, name) or PagesRecord(city=name, card=CityCard(name=name))
        stored = store.files_present(PAGE.asset, name) - {PAGES_RECORD.file, LINEAGE[Asset.CITY_PAGES].file}
        # A file that was deleted by hand is written again.
        files = {file: digest for file, digest in found.files.items() if file in stored}
        return cls(store, name, found.model_copy(update={"files": files}), stored)

    @property
    def index(self) -> str:
        """Address of the first page."""
        return self.store.uri(INDEX, self.name)

    def put(self, file: str, content: bytes) -> None:
        self.contents[self.folder + file], self.hashes[self.folder + file] = content, sha256(content)

    def put_data(self, name: str, data: object, city: City) -> None:
        """Put data as a script, in the words of the target."""
        self.put(f"{name}.js", data_script(name, data, city))

    def write(self, **changes: Any) -> None:
        """Write the changed files, delete all others that were not put, and write the record with its `changes`."""
        self.written = [file for file in self.contents if self.record.files.get(file) != self.hashes[file]]
        # The next run repairs one that ends here, as the record names no file that may have changed.
        unchanged = {file: digest for file, digest in self.hashes.items() if file not in self.written}
        if unchanged != self.record.files:
            self.record.model_copy(update={"files": unchanged}).write(self.store)
        for file in self.written:
            self.store.write_bytes(PAGE.named(file=file), self.contents[file], self.name)
        for file in self.stored - self.hashes.keys():
            self.store.delete(PAGE.named(file=file), self.name)
        self.record = self.record.model_copy(update={"files": self.hashes, **changes})
        self.store.update(PAGES_RECORD, self.name, PagesRecord.model_validate_json, self._recorded)

    def _recorded(self, before: PagesRecord | None) -> bytes:
        """Return the record without the files that another run has written meanwhile: the next run writes them again."""
        others = {} if before is None else before.files
        contested = {file for file in self.written if others.get(file, self.hashes[file]) != self.hashes[file]}
        files = {file: digest for file, digest in self.hashes.items() if file not in contested}
        return self.record.model_copy(update={"files": files}).content()


def folder_of(city: City, target: str) -> str:
    """Return the folder of a target's pages within the city's, with "/"; "" for the main target."""
    return "" if target == city.target else f"{target}/"


def make_pages(store: Store, city: City) -> Site:
    """Make the pages of a city, and write the changed files; layers that cannot be used are left out.

    Pages of the main target are in the city's folder, those of others in a folder with their name.
    """
    places = Places(city)
    with store.alone(PAGE.asset, city.name):
        site = Site.of(store, city.name)
        cards = []
        for of_target, view in city.by_target(store):
            site.folder = folder_of(city, view.target)
            cards.append(_put_target(site, of_target, city, view, places))
        site.write(card=cards[0], past=site.past)
        # The sensor may have written other sentences while the pages were made.
        renew_waiting(store, city)
    return site


def _put_target(site: Site, store: Store, city: City, view: City, places: Places) -> CityCard:
    """Put the pages of one target of a city, the `view`; return its card."""
    issue = newest_forecast(store, view, places)
    table = DayTable.read(store, city.name)
    issue["unusual"] = unusual_sentences(table)
    issue["known"] = _known_in_words(table, issue)
    days = issue["days"]
    cells = _cells(store, view, days)
    site.problems = list(dict.fromkeys([*site.problems, *places.problems, *uncovered(view, places.layers, cells)]))
    site.put_data("ground", places.ground(cells), view)
    if days:
        site.put_data("forecast", [day["data"] for day in days], view)
    # The one verdict on the target: card, check and pages repeat it.
    report = WalkForwardReport.find_sound(store, city.name)
    outcome = NOT_TESTED if report is None else report.verdict.outcome
    standing = {
        "verdict": outcome,
        "verdict_reasons": () if report is None else report.verdict.reasons,
        "warnings": tuple(_warnings(store, city)),
        "waits": tuple(read_waiting(store, city)),
    }
    site.put_data("waiting", standing["waits"], view)
    files = published_files(store, view, issue, standing)
    if city.public:
        files |= public_files(store, view, issue, places.layers, city.shown_title)
    for file, content in files.items():
        site.put(file, content)
    not_for = rendered_markdown(view.worded(NOT_FOR.partition("\n")[2]))
    pages: dict[str, dict[str, Any]] = {INDEX.file: issue | {"not_for": not_for}}
    if view.target == city.target:
        pages |= _page_of_hours(site, store, city, places)
    pages |= _pages_of_the_past(site, store, city, view, {"report": report, "outcome": outcome})
    _put_pages(site, city, view, pages, pages)
    return _card(city, issue, outcome)


def _known_in_words(table: DayTable, issue: dict[str, Any]) -> str:
    """Return the known and the missing days at present; those of the record in a store without a table of days."""
    if table.days:
        return table_in_words(table, max(table.days))
    record: IssueRecord | None = issue["record"]
    return "" if record is None else record.data_in_words


def _page_of_hours(site: Site, store: Store, city: City, places: Places) -> dict[str, dict[str, Any]]:
    """Put the map of the last hours, and return the values of their page by its file; nothing without nowcasts."""
    hours = last_hours(store, city, places)
    if hours is not None:
        site.put_data("hours", hours["data"], city)
    return {} if hours is None and city.nowcasts is None else {LAST_HOURS: {"hours": hours}}


def _pages_of_the_past(
    site: Site, store: Store, city: City, view: City, verdict: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the values of the pages of past days and of the track record by file; those without content are left out."""
    days = np.array(sorted(store.days_present(TENSORS, city.name, last=city.end or date.max)))
    known = max(days[DayTable.read(store, city.name, is_needed=True).is_counted(days)], default=None)
    past = _past_days(site, store, view, known)
    track = None if known is None else track_record(store, view, known)
    if track is not None:
        site.put_data("track", track["charts"], view)
    card = None
    with suppress(MissingObjectError):
        card = rendered_markdown(store.read_bytes(MODEL_CARD, city.name).decode())
    pages: dict[str, dict[str, Any]] = {}
    if past:
        pages["past.html"] = {"days": past, "has_plans": has_plans(city), "flagged_percent": FLAGGED_PERCENT}
    if track is not None or card is not None:
        shown = {"track": track, "card": card, "min_weeks": MIN_WEEKS_FOR_INTERVAL, "flagged_percent": FLAGGED_PERCENT}
        pages["track_record.html"] = verdict | shown
    return pages


def renew_last_hours(store: Store, city: City, places: Places) -> None:
    """Make the page of the last hours, if the city has pages."""
    with store.alone(PAGE.asset, city.name):
        site = Site.of(store, city.name)
        if site.record.files:
            # Files that a run without an end left unrecorded stay for the next run of all pages.
            site.hashes |= dict.fromkeys(site.stored, "") | site.record.files
            site.problems = places.problems
            pages = _page_of_hours(site, store, city, places)
            _put_pages(site, city, city, pages, site.stored | pages.keys())
            site.write()


def make_overview(store: Store, names: list[str]) -> str:
    """Make the overview of the cities that have pages, with the shared files; return its address."""
    with store.alone(PAGE.asset, ALL_CITIES):
        site = Site.of(store, ALL_CITIES)
        cards = [record.card for name in names if (record := PagesRecord.find_sound(store, name)) is not None]
        values = {"cards": cards, "csp": policy(), "shared": "", "index": INDEX.file}
        site.put(INDEX.file, render("overview.html.jinja", **values))
        for name, content in shared_files().items():
            site.put(name, content)
        site.write()
    return site.index


def _put_pages(site: Site, city: City, view: City, pages: dict[str, dict[str, Any]], linked: Container[str]) -> None:
    """Put pages of a target, given as values of their templates by file, with tabs for the `linked` ones."""
    up, is_weighted = "../" if site.folder else "", bool(city.patrol and city.patrol.weights)
    values = {
        "city": view,
        "warnings": _warnings(site.store, city),
        "city_title": city.shown_title,
        "short_name": city.short_name or city.shown_title,
        "problems": site.problems,
        "tabs": {file: title for file, title in TABS.items() if file in linked},
        "targets": {name: up + folder_of(city, name) + INDEX.file for name in city.targets},
        "planned": "weighted " * is_weighted + "events" if len(city.targets) > 1 else "alerts",
        "csp": policy("" if city.base_map is None else city.base_map.tiles),
        "shared": f"{up}../city={ALL_CITIES}/",
        "index": INDEX.file,
        "cell_size": "{1:.0f} x {0:.0f} m".format(*cell_metres(city)),
    }
    for file, own in pages.items():
        site.put(file, view.worded(render(f"{file}.jinja", file=file, **values, **own).decode()).encode())


def _warnings(store: Store, city: City) -> list[str]:
    last = DayTable.read(store, city.name).last_counted(date.max)
    if last is None:
        return []
    late = lateness(store, city)
    warnings = open_warnings(store, city, last - timedelta(days=WARNED_DAYS))
    return warnings if late.passed else [late.message, *warnings]


def _past_days(site: Site, store: Store, city: City, known: date | None) -> list[date]:
    past = []
    for day, stamp in stamps(store, city, known) if known else ():
        file = f"{site.folder}day-{day}.js"
        kept = site.record.files.get(file)
        if kept and site.record.past.get(file) == stamp:
            past.append(day)
            site.past[file], site.hashes[file] = stamp, kept
            continue
        try:
            maps = past_day(store, city, day)
        except (CorruptObjectError, MissingObjectError) as error:
            log.warning("City %s: pages leave out %s. %s", city.name, day, error)
            continue
        if maps is not None:
            past.append(day)
            site.past[file] = stamp
            site.put_data(f"day-{day}", maps, city)
    return past


def _card(city: City, issue: dict[str, Any], verdict: str) -> CityCard:
    forecast = issue["forecast"]
    nothing = issue["nothing"]
    named = {"name": city.name, "title": city.shown_title, "verdict": verdict}
    if forecast is None:
        last_known = nothing and nothing.last_known
        return CityCard(**named, last_known=last_known, note=issue["no_forecast"])
    top = forecast["top"][0]
    facts = forecast["record"].model_dump(include={*CityCard.model_fields})
    return CityCard(**named, likeliest=f"{top['place']} ({top['chance']})", ends=forecast["ends"], **facts)


def _cells(store: Store, city: City, forecasts: Sequence[dict[str, Any]]) -> Integers:
    """Return the numbers of cells that maps may show: forecast ones, else those with alerts so far."""
    if forecasts:
        return np.unique(np.concatenate([one["data"]["cells"] for one in forecasts]))
    days = store.days_present(TENSORS, city.name, last=city.end or date.max)
    history = CityHistory.find(store, city, max(days), min(days)) if days else None
    return np.flatnonzero([] if history is None else history.coverage_on(max(days)))
