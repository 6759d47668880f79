"""Make the pages of a city and the overview of all cities, and write the changed files."""

import logging
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
from pydantic import Field

from shotspotter_assets.accountability.account import Account, kept_bounds
from shotspotter_assets.alerts.checks.all_checks import open_warnings
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.days.city_now import lateness
from shotspotter_assets.alerts.days.day_decisions import unusual_sentences
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.estimates import MIN_WEEKS_FOR_INTERVAL, newest_level
from shotspotter_assets.evaluation.fold_report import LEADS
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.evaluation.walk_forward_report import NOT_FOR, WalkForwardReport
from shotspotter_assets.forecasts.seals import head_of, seal_days
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.addresses import Status, data_script, folder_of, published_files, read_now, renew_waiting
from shotspotter_assets.pages.first_page import newest_forecast
from shotspotter_assets.pages.last_hours import SHOWN_HOURS, clock_time, last_hours
from shotspotter_assets.pages.past_days import has_plans, past_day, stamps
from shotspotter_assets.pages.places import Places, uncovered
from shotspotter_assets.pages.public import last_years_account, public_files, stored_reports, years_in_words
from shotspotter_assets.pages.rendering import policy, render, rendered_markdown, shared_files
from shotspotter_assets.pages.shown import ShownDay
from shotspotter_assets.pages.track_record import track_record
from shotspotter_assets.storage.arrays import Integers
from shotspotter_assets.storage.catalogue import (
    CITY_ACCOUNT,
    HEADLINES,
    INDEX,
    LINEAGE,
    MODEL_CARD,
    PAGE,
    PAGES_RECORD,
    TENSORS,
    Asset,
)
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets.storage.stored_record import StoredRecord

LAST_HOURS: Final = "last_hours.html"
ACCOUNTABILITY: Final = "accountability.html"
TABS: Final = {
    INDEX.file: "Now",
    LAST_HOURS: "Last hours",
    "past.html": "Past days",
    "track_record.html": "Track record",
    ACCOUNTABILITY: "Accountability",
}
"""Title of each page of a city, by file."""
WARNED_DAYS: Final = 91  # newest days whose warnings are on the pages
log = logging.getLogger(__name__)
Values = dict[str, object]  # values of a template by name


class PagesRecord(StoredRecord):
    """Written pages of a city: hash of each file, and stamp of each file of a past day."""

    stored_as = PAGES_RECORD

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
        """Return the site of a city, or of the overview, as it is stored."""
        record = PagesRecord.find_sound(store, name) or PagesRecord(city=name)
        stored = store.files_present(PAGE.asset, name) - {PAGES_RECORD.file, LINEAGE[Asset.CITY_PAGES].file}
        # A file that was deleted by hand is written again.
        files = {file: digest for file, digest in record.files.items() if file in stored}
        return cls(store, name, record.model_copy(update={"files": files}), stored)

    @property
    def index(self) -> str:
        """Address of the first page."""
        return self.store.uri(INDEX, self.name)

    def put(self, file: str, content: bytes) -> None:
        """Add a file of the target."""
        self.contents[self.folder + file] = content
        self.hashes[self.folder + file] = sha256(content)

    def put_data(self, name: str, data: object) -> None:
        """Add data of the target as a script."""
        self.put(f"{name}.js", data_script(name, data))

    def keep_past(self, file: str, stamp: str) -> bool:
        """Keep the stored file of a past day of the target; return False if there is none with that stamp."""
        path = self.folder + file
        if not self.record.files.get(path) or self.record.past.get(path) != stamp:
            return False
        self.past[path] = stamp
        self.hashes[path] = self.record.files[path]
        return True

    def write(self) -> None:
        """Write the changed files, delete all others that were not put, and write the record."""
        self.written = [file for file in self.contents if self.record.files.get(file) != self.hashes[file]]
        # The next run repairs one that ends here, because the record names no file that may have changed.
        unchanged = {file: digest for file, digest in self.hashes.items() if file not in self.written}
        if unchanged != self.record.files:
            self.record.model_copy(update={"files": unchanged}).write(self.store)
        for file in self.written:
            self.store.write_bytes(PAGE.named(file=file), self.contents[file], self.name)
        for file in self.stored - self.hashes.keys():
            self.store.delete(PAGE.named(file=file), self.name)
        self.record = self.record.model_copy(update={"files": self.hashes, "past": self.past})
        self.store.update(PAGES_RECORD, self.name, PagesRecord.model_validate_json, self._recorded)

    def _recorded(self, before: PagesRecord | None) -> bytes:
        """Return the record without the files that another run has written meanwhile: the next run writes them again."""
        others = {} if before is None else before.files
        contested = {file for file in self.written if others.get(file, self.hashes[file]) != self.hashes[file]}
        files = {file: digest for file, digest in self.hashes.items() if file not in contested}
        return self.record.model_copy(update={"files": files}).content()


def make_pages(store: Store, city: City) -> Site:
    """Make the pages of a city, and write the changed files; layers that cannot be used are left out.

    Pages of the main target are in the city's folder, those of others in a folder with their name.
    """
    places = Places(city)
    with store.alone(PAGE.asset, city.name):
        site = Site.of(store, city.name)
        for of_target, view in city.by_target(store):
            site.folder = folder_of(city, view.target)
            _put_target(site, of_target, city, view, places)
        site.write()
        # The sensor may have written other sentences while the pages were made.
        renew_waiting(store, city)
    return site


def _put_target(site: Site, store: Store, city: City, view: City, places: Places) -> None:
    """Put the pages of one target of a city, the `view`."""
    issue = newest_forecast(store, view, places)
    table = DayTable.read(store, city.name)
    now = read_now(store, city)
    cells = _cells(store, view, issue.days)
    site.problems = list(dict.fromkeys([*site.problems, *places.problems, *uncovered(view, places.layers, cells)]))
    site.put_data("ground", places.ground(cells))
    if issue.days:
        site.put_data("forecast", [day.data for day in issue.days])
    # The one verdict on the target: card, check and pages repeat it.
    report = WalkForwardReport.find_sound(store, city.name)
    headlines = (store.find_sound_table(HEADLINES, city.name) or HEADLINES.schema.empty_table()).to_pylist()[::-1]
    status = Status(
        city=view.name,
        title=city.shown_title,
        target=view.target,
        data=now.data if table.days else issue.record.data if issue.record else "",
        verdict=NOT_TESTED if report is None else report.verdict.outcome,
        verdict_reasons=() if report is None else report.verdict.reasons,
        level=newest_level(store, city.name),
        headline_scores=next(iter(headlines), None),
        warnings=tuple(_warnings(store, city)),
        seal=seal_days(store, view, local_time.now()),
    )
    site.put_data("waiting", {"data": status.data})  # `renew_waiting` completes it
    files = published_files(store, issue, status)
    if city.public:
        files |= public_files(store, view, issue, places.layers)
    for file, content in files.items():
        site.put(file, content)
    pages: dict[str, Values] = {
        INDEX.file: {
            "issue": issue,
            "known": status.data,
            "is_compared": now.at is not None,
            "unusual": unusual_sentences(city.holidays, table),
            "not_for": rendered_markdown(NOT_FOR.partition("\n")[2]),
        }
    }
    if view.target == city.target:
        pages |= _page_of_hours(site, store, city, places)
    pages |= _pages_of_the_past(site, store, city, view, report, headlines, places)
    _put_pages(site, city, view, pages, pages)


def _page_of_hours(
    site: Site, store: Store, city: City, places: Places, polled_at: datetime | None = None
) -> dict[str, Values]:
    """Put the map of the last hours, and return the values of their page by its file; nothing without nowcasts."""
    hours = last_hours(store, city, places)
    if hours is not None:
        site.put_data("hours", hours.data)
    polled = "" if polled_at is None else clock_time(polled_at, city)
    values: Values = {"hours": hours, "shown_hours": SHOWN_HOURS, "polled": polled}
    return {} if hours is None and city.nowcasts is None else {LAST_HOURS: values}


def _pages_of_the_past(
    site: Site,
    store: Store,
    city: City,
    view: City,
    report: WalkForwardReport | None,
    headlines: Sequence[Values],
    places: Places,
) -> dict[str, Values]:
    """Return the values of the pages about the past by file; those without content are left out."""
    days = np.array(sorted(store.days_present(TENSORS, city.name, last=city.end or date.max)))
    known = max(days[DayTable.read(store, city.name, is_needed=True).is_counted(days)], default=None)
    past = [] if known is None else _past_days(site, store, view, known)
    track = None if known is None else track_record(store, view, known)
    if track is not None:
        site.put_data("track", track.charts)
    account = None
    if known is not None and view.target == city.target:
        account = last_years_account(store, city, known, places.layers, track)
    card = None
    with suppress(MissingObjectError):
        card = rendered_markdown(store.read_bytes(MODEL_CARD, city.name).decode())
    pages: dict[str, Values] = {}
    if past:
        pages["past.html"] = {"days": past, "has_plans": has_plans(city), "flagged_percent": FLAGGED_PERCENT}
    if track is not None or card is not None:
        pages["track_record.html"] = {
            "report": report,
            "outcome": NOT_TESTED if report is None else report.verdict.outcome,
            "headlines": headlines,
            "leads": LEADS,
            # Plans are of the city, and scored with its first target.
            "plans": (
                "the patrol plan"
                if city.patrol and view.target == city.target
                else f"the flagged {FLAGGED_PERCENT}% of the area"
            ),
            "track": track,
            "card": card,
            "min_weeks": MIN_WEEKS_FOR_INTERVAL,
            "flagged_percent": FLAGGED_PERCENT,
        }
    if account is not None:
        pages[ACCOUNTABILITY] = _page_of_account(site, city, account, kept_bounds(account, city.accountability.bounds))
    return pages


def _page_of_account(site: Site, city: City, account: Account, bounds: Finding | None) -> Values:
    """Put the account and the annual reports beside the pages; return the values of the account's page."""
    reports = stored_reports(site.store, account.city)
    for file, content in {CITY_ACCOUNT.file: account.content(), **reports}.items():
        site.put(file, content)
    return {
        "account": account,
        "reports": {name: int(name[-9:-5]) for name in reports},
        "years": years_in_words(city, account.last, (int(name[-9:-5]) for name in reports)),
        "account_file": CITY_ACCOUNT.file,
        "bounds": bounds and bounds.message,
    }


def renew_last_hours(store: Store, city: City, places: Places, polled_at: datetime | None = None) -> None:
    """Make the page of the last hours, if the city has pages; it names the time of the last poll of the source."""
    with store.alone(PAGE.asset, city.name):
        site = Site.of(store, city.name)
        if site.record.files:
            # Files that a run without an end left unrecorded stay for the next run of all pages.
            site.hashes |= dict.fromkeys(site.stored, "") | site.record.files
            site.past = dict(site.record.past)
            site.problems = places.problems
            pages = _page_of_hours(site, store, city, places, polled_at)
            _put_pages(site, city, city, pages, site.stored | pages.keys())
            site.write()


def make_overview(store: Store, names: list[str]) -> str:
    """Make the overview of the cities that have pages, with the shared files; return its address."""
    with store.alone(PAGE.asset, ALL_CITIES):
        site = Site.of(store, ALL_CITIES)
        cards = [status for name in names if (status := Status.find_sound(store, name)) is not None]
        values = {"cards": cards, "event": "alert", "csp": policy(), "shared": "", "index": INDEX.file, "seal": None}
        site.put(INDEX.file, render("overview.html.jinja", values))
        for name, content in shared_files().items():
            site.put(name, content)
        site.write()
    return site.index


def _put_pages(site: Site, city: City, view: City, pages: Mapping[str, Values], linked: Container[str]) -> None:
    """Put pages of a target, given as values of their templates by file, with tabs for the `linked` ones."""
    up = "../" if site.folder else ""
    is_weighted = bool(city.patrol and city.patrol.weights)
    values: Values = {
        "city": view,
        "event": view.event,
        "warnings": _warnings(site.store, city),
        "city_title": city.shown_title,
        "problems": site.problems,
        "tabs": {file: title for file, title in TABS.items() if file in linked},
        "targets": {name: up + folder_of(city, name) + INDEX.file for name in city.targets},
        "planned": "weighted " * is_weighted + "events" if len(city.targets) > 1 else f"{city.event}s",
        "csp": policy("" if city.base_map is None else city.base_map.tiles),
        "shared": f"{up}../city={ALL_CITIES}/",
        "index": INDEX.file,
        "seal": head_of(site.store.of(view.target), city.name),
        "cell_size": "{1:.0f} x {0:.0f} m".format(*cell_metres(city)),
    }
    for file, of_page in pages.items():
        site.put(file, render(f"{file}.jinja", {**values, **of_page, "file": file}))


def _warnings(store: Store, city: City) -> list[str]:
    last = DayTable.read(store, city.name).last_counted(date.max)
    if last is None:
        return []
    late = lateness(store, city)
    warnings = open_warnings(store, city, last - timedelta(days=WARNED_DAYS))
    return warnings if late.passed else [late.message, *warnings]


def _past_days(site: Site, store: Store, city: City, known: date) -> list[date]:
    """Put the data of past days with a forecast, unchanged ones unread; return the days."""
    past = []
    for day, stamp in stamps(store, city, known):
        if site.keep_past(f"day-{day}.js", stamp):
            past.append(day)
            continue
        try:
            maps = past_day(store, city, day)
        except (CorruptObjectError, MissingObjectError) as error:
            log.warning("City %s: pages leave out %s. %s", city.name, day, error)
            continue
        if maps is not None:
            past.append(day)
            site.put_data(f"day-{day}", maps)
            site.past[f"{site.folder}day-{day}.js"] = stamp
    return past


def _cells(store: Store, city: City, forecasts: Sequence[ShownDay]) -> Integers:
    """Return the numbers of cells that maps may show: forecast ones, else those with alerts so far."""
    if forecasts:
        return np.unique(np.concatenate([day.data["cells"] for day in forecasts]))
    days = store.days_present(TENSORS, city.name, last=city.end or date.max)
    history = CityHistory.find(store, city, max(days), min(days)) if days else None
    return np.flatnonzero([] if history is None else history.coverage_on(max(days)))
