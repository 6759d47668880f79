"""Make the pages of a city and the overview of all cities, and write the files that have changed."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.gains import MIN_WEEKS_FOR_INTERVAL
from shotspotter_assets.evaluation.model_card import NOT_FOR
from shotspotter_assets.gridding.cells import cell_metres
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.pages.alert_table import alert_table
from shotspotter_assets.pages.data_state import data_state
from shotspotter_assets.pages.ground import Ground
from shotspotter_assets.pages.last_hours import SHOWN_HOURS, last_hours
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.past_days import FLAGGED_PERCENT, PastDay, Summary, forecast_days, past_day, stamp_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import (
    PLOTLY_FILE,
    SHARED_FILES,
    policy,
    render,
    rendered_markdown,
    script_of,
    shared_file,
)
from shotspotter_assets.pages.searches import searches
from shotspotter_assets.pages.shift_plans import ShiftPlans, shift_plans, svg_path
from shotspotter_assets.pages.tomorrow import IssuedForecast, issued_forecast, newest_issue, of_another_grid
from shotspotter_assets.pages.track_record import folds, issued_track, street_track
from shotspotter_assets.pages.words import title_of
from shotspotter_assets.patrol.stored_plans import NoPlan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, IssueRecord, NoForecast
from shotspotter_assets.serving.nowcasts import read_latest
from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.file_names import ALL_CITIES, GRID_FILE, INDEX_FILE, PAGES_RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

CITY_PAGES: Final = "city_pages"

LOOK_BACK: Final = timedelta(days=60)
"""Longer than the silences of sources that go on."""

TOMORROW, LAST_HOURS, PLANS, PAST, TRACK, ALERTS, DATA = (
    INDEX_FILE, "last_hours.html", "plans.html", "past.html", "track_record.html", "alerts.html", "data.html",
)  # fmt: skip
TABS: Final = {
    TOMORROW: "Tomorrow",
    LAST_HOURS: "Last hours",
    PLANS: "Shift plans",
    PAST: "Yesterday and before",
    TRACK: "Track record",
    ALERTS: "Alerts",
    DATA: "Data",
}
"""Title of each page of a city, by its file."""


class CityCard(BaseModel):
    """The summary of a city on the overview; `day` is the day that is forecast."""

    name: str
    day: date | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    likeliest: str = ""
    last_known: date | None = None
    note: str = ""


class PagesRecord(BaseModel):
    """The written pages of a city, with the hash of each file; stored as `pages.json`."""

    card: CityCard
    files: dict[str, str] = {}
    past: dict[date, PastDay] = {}


@dataclass(frozen=True)
class Made:
    """The outcome of a run: address of the first page, names of the files that were new or changed, number of others."""

    index: str
    card: CityCard
    written: list[str]
    kept: int


@dataclass
class _Site:
    """The files of one partition, of which only the changed ones are written."""

    store: Store
    city: City
    before: PagesRecord
    tabs: dict[str, str]
    hashes: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, store: Store, city: City) -> "_Site":
        has_nowcasts = city.nowcasts is not None or read_latest(store, city) is not None
        tabs = {file: title for file, title in TABS.items() if file != LAST_HOURS or has_nowcasts}
        before = read_pages_record(store, city.name) or PagesRecord(card=CityCard(name=city.name))
        return cls(store, city, before, tabs)

    def put(self, name: str, content: bytes) -> None:
        self.hashes[name] = sha256(content)
        if self.before.files.get(name) != self.hashes[name]:
            self.store.write_bytes(pages_partition(self.city.name), name, content)
            self.written.append(name)

    def put_data(self, name: str, data: BaseModel) -> None:
        self.put(f"{name}.js", script_of(name, data))

    def put_page(self, file: str, **values: Any) -> None:
        self.put(file, city_page(self.city, self.tabs, file, values))

    def keep(self, name: str) -> bool:
        """Leave a file as it is, if it was written before."""
        if name in self.before.files:
            self.hashes[name] = self.before.files[name]
        return name in self.before.files

    def write_record(self, record: PagesRecord) -> None:
        content = record.model_dump_json(indent=1).encode()
        self.store.write_bytes(pages_partition(self.city.name), PAGES_RECORD_FILE, content)


def pages_partition(city: str) -> Partition:
    """Return where the pages of a city are, or the overview of `ALL_CITIES`."""
    return Partition(CITY_PAGES, city)


def read_pages_record(store: Store, city: str) -> PagesRecord | None:
    """Read the record of a city's written pages; None without any."""
    with suppress(MissingObjectError):
        return PagesRecord.model_validate_json(store.read_bytes(pages_partition(city), PAGES_RECORD_FILE))
    return None


def city_page(city: City, tabs: dict[str, str], file: str, values: dict[str, Any]) -> bytes:
    """Render a page of the city."""
    common = {
        "city": city,
        "city_title": title_of(city.name),
        "file": file,
        "tabs": tabs,
        "csp": policy("" if city.base_map is None else city.base_map.tiles),
        "shared": f"../city={ALL_CITIES}/",
        "index": INDEX_FILE,
        "cell_size": "{1:.0f} x {0:.0f} m".format(*cell_metres(city)),
        "past_days_command": past_days_command(city),
    }
    template = "tomorrow.html" if file == TOMORROW else file
    return render(f"{template}.jinja", common | values)


def make_pages(store: Store, city: City) -> Made:
    """Make the pages of a city from the store, and write the files that have changed.

    Raises:
        ValueError: a file of the city's layers cannot be used.
    """
    layers = CityLayers.read(city)
    places = Places(city, layers)
    issue = newest_issue(store, city.name)
    forecast = issued_forecast(store, city, issue, places) if isinstance(issue, ForecastRecord) else None
    if isinstance(issue, ForecastRecord) and forecast is None:
        issue = of_another_grid(issue)
    ground = Ground.of(city, layers, places, _in_coverage(store, city, forecast))
    with store.alone(CITY_PAGES, city.name):
        site = _Site.of(store, city)
        known = last_known(store, city)
        site.put_data("ground", ground)
        if forecast is not None:
            site.put_data("tomorrow", forecast.data)
        nothing = issue if isinstance(issue, NoForecast) else None
        not_for = rendered_markdown(NOT_FOR.partition("\n")[2])
        site.put_page(TOMORROW, forecast=forecast, nothing=nothing, not_for=not_for)
        if LAST_HOURS in site.tabs:
            _put_last_hours(site, places)
        plans = None if forecast is None else shift_plans(store, city, forecast.record, ground, places)
        if isinstance(plans, ShiftPlans):
            site.put("plan.csv", plans.csv)
            site.put("plan.geojson", plans.geojson)
        site.put_page(PLANS, **plans_values(city, ground, plans))
        past = _put_past_days(site, known)
        alerts = alert_table(store, city, known or city.start)
        site.put_data("alerts", alerts)
        site.put_page(ALERTS, alerts=alerts)
        _put_track_record(site, known, places)
        site.put_page(DATA, state=data_state(store, city, known), covered=len(ground.places))
        card = _card(city, issue, forecast)
        site.write_record(PagesRecord(card=card, files=site.hashes, past=past))
    index = store.uri(pages_partition(city.name), INDEX_FILE)
    return Made(index, card, site.written, len(site.hashes) - len(site.written))


def renew_last_hours(store: Store, city: City, places: Places) -> str | None:
    """Make the page of the last hours alone, where the city has pages; return its address."""
    with store.alone(CITY_PAGES, city.name):
        site = _Site.of(store, city)
        if not site.before.files:
            return None
        site.hashes = dict(site.before.files)
        _put_last_hours(site, places)
        site.write_record(site.before.model_copy(update={"files": site.hashes}))
    return store.uri(pages_partition(city.name), LAST_HOURS)


def make_overview(store: Store, names: list[str]) -> str:
    """Make the overview of the cities that have pages, with the files that all pages share; return its address."""
    partition = pages_partition(ALL_CITIES)
    with store.alone(CITY_PAGES, ALL_CITIES):
        before = read_pages_record(store, ALL_CITIES) or PagesRecord(card=CityCard(name=ALL_CITIES))
        cards = [record.card for name in names if (record := read_pages_record(store, name)) is not None]
        values = {"cards": cards, "titles": {card.name: title_of(card.name) for card in cards}}
        overview = render("overview.html.jinja", values | {"csp": policy(), "shared": "", "index": INDEX_FILE})
        files = {INDEX_FILE: overview} | {name: shared_file(name) for name in (*SHARED_FILES, PLOTLY_FILE)}
        hashes = {name: sha256(content) for name, content in files.items()}
        for name, content in files.items():
            if before.files.get(name) != hashes[name]:
                store.write_bytes(partition, name, content)
        record = before.model_copy(update={"files": hashes})
        store.write_bytes(partition, PAGES_RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, INDEX_FILE)


def plans_values(city: City, ground: Ground, plans: ShiftPlans | NoPlan | None) -> dict[str, Any]:
    """Return the values of the page of shift plans, or of why there are none; None without a forecast."""
    return {
        "plans": plans if isinstance(plans, ShiftPlans) else None,
        "note": plans.note if isinstance(plans, NoPlan) else "",
        "ground": ground,
        "streets": svg_path(ground.streets, ground.height),
        "districts": svg_path(ground.districts, ground.height),
        "radius": None if city.patrol is None else round(city.patrol.radius_m),
    }


def _put_last_hours(site: _Site, places: Places) -> None:
    site.put_page(LAST_HOURS, hours=last_hours(site.store, site.city, places), shown_hours=SHOWN_HOURS)


def _put_past_days(site: _Site, known: date | None) -> dict[date, PastDay]:
    """Put the page of past days, and the maps of the days that are new or have changed."""
    past: dict[date, PastDay] = {}
    for day in [] if known is None else forecast_days(site.store, site.city.name, known):
        stamp, name, before = stamp_of(site.store, site.city.name, day), f"day-{day}", site.before.past.get(day)
        if before is not None and before.stamp == stamp and site.keep(f"{name}.js"):
            past[day] = before
        elif (made := past_day(site.store, site.city, day, stamp)) is not None:
            past[day], maps = made
            site.put_data(name, maps)
    site.put_page(PAST, past=Summary.of(past), flagged_percent=FLAGGED_PERCENT)
    return past


def _put_track_record(site: _Site, known: date | None, places: Places) -> None:
    store, city = site.store, site.city
    track, of_folds = None if known is None else issued_track(store, city, places, known), folds(store, city.name)
    if track is not None:
        site.put_data("track", track.charts)
    shown = searches(store, city.name)
    for search in shown:
        for name, png in search.pictures.items():
            site.put(name, png)
    site.put_page(
        TRACK,
        track=track,
        streets=None if known is None else street_track(store, city.name, known),
        folds=of_folds,
        searches=shown,
        card=None if of_folds is None or of_folds.card is None else rendered_markdown(of_folds.card),
        min_weeks=MIN_WEEKS_FOR_INTERVAL,
    )


def past_days_command(city: City) -> str:
    """Name the backfill that forecasts past days of a city."""
    return f"a backfill of live_models, risk_forecasts and forecast_scores of {city.name}"


def last_known(store: Store, city: City) -> date | None:
    """Return the last day whose outcome is known; None where no day is stored or known."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    with suppress(DaysNotKnownError, MissingPartitionsError):
        if days:
            return CityHistory.load(store, city, max(days), max(min(days), max(days) - LOOK_BACK)).last_known
    return None


def _card(city: City, issue: IssueRecord | None, forecast: IssuedForecast | None) -> CityCard:
    if forecast is not None:
        record = forecast.record
        return CityCard(
            name=city.name,
            day=record.day,
            expected=record.expected_alerts,
            low=record.expected_alerts_low,
            high=record.expected_alerts_high,
            likeliest=f"{forecast.top.name} ({forecast.top.chance})",
            last_known=record.last_known,
        )
    if isinstance(issue, NoForecast):
        return CityCard(name=city.name, last_known=issue.last_known, note=issue.no_forecast)
    return CityCard(name=city.name, note="No forecast has been made yet.")


def _in_coverage(store: Store, city: City, forecast: IssuedForecast | None) -> npt.NDArray[np.bool_]:
    """Return the cells that maps may show, shape (rows, columns): those forecast, else those with alerts so far."""
    if forecast is not None:
        row, column = np.divmod(np.array(forecast.data.cells), city.grid.columns)
        return covered_mask(list(zip(row, column, strict=True)), city.shape)
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    with suppress(DaysNotKnownError, MissingPartitionsError):
        if days:
            return CityHistory.load(store, city, max(days), min(days)).in_coverage(max(days))
    return np.zeros(city.shape, dtype=bool)
