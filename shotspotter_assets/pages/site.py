"""Makes the pages of a city and the overview of all cities, and writes what has changed of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.gains import MIN_WEEKS_FOR_INTERVAL
from shotspotter_assets.evaluation.model_card import NOT_FOR
from shotspotter_assets.gridding.cells import cell_metres
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.pages.alert_table import alert_table
from shotspotter_assets.pages.chances import CHANCE_CLASSES
from shotspotter_assets.pages.data_state import data_state
from shotspotter_assets.pages.ground import Ground, host_of
from shotspotter_assets.pages.last_hours import HOURS, last_hours
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.past_days import PastDay, day_file, forecast_days, past_day, past_days, stamp_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import (
    PLOTLY_FILE,
    SHARED_FILES,
    policy,
    render,
    rendered_markdown,
    script_of,
    shared_file,
    title_of,
)
from shotspotter_assets.pages.searches import searches
from shotspotter_assets.pages.shift_plans import ShiftPlans, shift_plans, svg_path
from shotspotter_assets.pages.tomorrow import IssuedForecast, issued_forecast, newest_issue, of_another_grid
from shotspotter_assets.pages.track_record import folds, issued_track, street_track
from shotspotter_assets.patrol.stored_plans import NoPlan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, IssueRecord, NoForecast
from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.file_names import ALL_CITIES, GRID_FILE, INDEX_FILE, PAGES_RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

CITY_PAGES: Final = "city_pages"

PLAN_CSV: Final = "plan.csv"
PLAN_GEOJSON: Final = "plan.geojson"


LOOK_BACK: Final = timedelta(days=60)
"""Longer than sources are silent that go on."""


@dataclass(frozen=True)
class Tab:
    """One page of a city."""

    title: str
    file: str


TOMORROW: Final = Tab("Tomorrow", INDEX_FILE)
LAST_HOURS: Final = Tab("Last hours", "last_hours.html")
PLANS: Final = Tab("Shift plans", "plans.html")
PAST: Final = Tab("Yesterday and before", "past.html")
ALERTS: Final = Tab("Alerts", "alerts.html")
TRACK: Final = Tab("Track record", "track_record.html")
DATA: Final = Tab("Data", "data.html")
TABS: Final = (TOMORROW, LAST_HOURS, PLANS, PAST, TRACK, ALERTS, DATA)


class CityCard(BaseModel):
    """What the overview says of a city."""

    name: str
    day: date | None = None
    """That is forecast."""
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    likeliest: str = ""
    last_known: date | None = None
    note: str = ""


class PagesRecord(BaseModel):
    """What is written of the pages of a city; stored as `pages.json`."""

    card: CityCard
    files: dict[str, str]
    """Hash of each file's content."""
    past: dict[date, PastDay] = {}


@dataclass(frozen=True)
class Made:
    """What a run has done."""

    index: str
    """Where the first page is."""
    card: CityCard
    written: list[str]
    """Names of the files that were new or have changed."""
    kept: int
    """Number of files that were the same."""


@dataclass
class _Folder:
    """The files of one partition, of which only those are written that have changed."""

    store: Store
    partition: Partition
    before: dict[str, str]
    hashes: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> None:
        self.hashes[name] = sha256(content)
        if self.before.get(name) != self.hashes[name]:
            self.store.write_bytes(self.partition, name, content)
            self.written.append(name)

    def keep(self, name: str) -> bool:
        """Leave a file as it is, if it was written before."""
        if name in self.before:
            self.hashes[name] = self.before[name]
        return name in self.before


def pages_partition(city: str) -> Partition:
    """Where the pages of a city are, or those of `ALL_CITIES`."""
    return Partition(CITY_PAGES, city)


def read_pages_record(store: Store, city: str) -> PagesRecord | None:
    """What is written of a city's pages; None without any."""
    with suppress(MissingObjectError):
        return PagesRecord.model_validate_json(store.read_bytes(pages_partition(city), PAGES_RECORD_FILE))
    return None


def make_pages(store: Store, city: City) -> Made:
    """Make the pages of a city from what is stored, and write those that have changed.

    Raises:
        LayerFileError: a file of the city's layers cannot be used.
    """
    layers = CityLayers.read(city)
    places = Places(city, layers)
    issue = newest_issue(store, city.name)
    forecast = issued_forecast(store, city, issue, places) if isinstance(issue, ForecastRecord) else None
    if isinstance(issue, ForecastRecord) and forecast is None:
        issue = of_another_grid(issue)
    card = _card(city, issue, forecast)
    partition = pages_partition(city.name)
    with store.alone(CITY_PAGES, city.name):
        before = read_pages_record(store, city.name)
        folder = _Folder(store, partition, {} if before is None else before.files)
        ground = Ground.of(city, layers, places, _in_coverage(store, city, forecast))
        folder.put("ground.js", script_of("ground", ground))
        if forecast is not None:
            folder.put("tomorrow.js", script_of("tomorrow", forecast.data))
        folder.put(TOMORROW.file, _page(city, TOMORROW, "tomorrow.html.jinja", _tomorrow_values(city, issue, forecast)))
        _put_last_hours(store, city, folder, places)
        plans = None if forecast is None else shift_plans(store, city, forecast.record, ground, places)
        if isinstance(plans, ShiftPlans):
            folder.put(PLAN_CSV, plans.csv)
            folder.put(PLAN_GEOJSON, plans.geojson)
        folder.put(PLANS.file, plans_page(city, ground, plans))
        known = last_known(store, city)
        past = _put_past_days(store, city, known, folder, {} if before is None else before.past)
        alerts = alert_table(store, city, known or city.start)
        folder.put("alerts.js", script_of("alerts", alerts))
        folder.put(ALERTS.file, _page(city, ALERTS, "alerts.html.jinja", {"alerts": alerts}))
        _put_track_record(store, city, known, folder, places)
        state = {"state": data_state(store, city, known), "covered": len(ground.places), "cell_size": cell_size(city)}
        folder.put(DATA.file, _page(city, DATA, "data.html.jinja", state))
        record = PagesRecord(card=card, files=folder.hashes, past=past)
        store.write_bytes(partition, PAGES_RECORD_FILE, record.model_dump_json(indent=1).encode())
    return Made(store.uri(partition, INDEX_FILE), card, folder.written, len(folder.hashes) - len(folder.written))


def renew_last_hours(store: Store, city: City, places: Places) -> str | None:
    """Make the page of the last hours alone, where the city has pages; returns where it is."""
    partition = pages_partition(city.name)
    with store.alone(CITY_PAGES, city.name):
        before = read_pages_record(store, city.name)
        if before is None:
            return None
        folder = _Folder(store, partition, before.files, dict(before.files))
        _put_last_hours(store, city, folder, places)
        record = before.model_copy(update={"files": folder.hashes})
        store.write_bytes(partition, PAGES_RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, LAST_HOURS.file)


def _put_last_hours(store: Store, city: City, folder: _Folder, places: Places) -> None:
    values = {"hours": last_hours(store, city, places), "shown_hours": HOURS}
    folder.put(LAST_HOURS.file, _page(city, LAST_HOURS, "last_hours.html.jinja", values))


def make_overview(store: Store, names: list[str]) -> str:
    """Make the overview of those of the cities that have pages, with what all pages share; returns where it is."""
    partition = pages_partition(ALL_CITIES)
    with store.alone(CITY_PAGES, ALL_CITIES):
        before = read_pages_record(store, ALL_CITIES)
        folder = _Folder(store, partition, {} if before is None else before.files)
        for name in (*SHARED_FILES, PLOTLY_FILE):
            folder.put(name, shared_file(name))
        records = [read_pages_record(store, name) for name in names]
        cards = [record.card for record in records if record is not None]
        values = {"cards": cards, "titles": {card.name: title_of(card.name) for card in cards}}
        folder.put(
            INDEX_FILE, render("overview.html.jinja", values | {"csp": policy(), "shared": "", "index": INDEX_FILE})
        )
        record = PagesRecord(card=CityCard(name=ALL_CITIES), files=folder.hashes)
        store.write_bytes(partition, PAGES_RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, INDEX_FILE)


def _page(city: City, tab: Tab, template: str, values: dict[str, Any]) -> bytes:
    """A page of the city from its own values and those that all its pages have."""
    common = {
        "city": city,
        "city_title": title_of(city.name),
        "tab": tab,
        "tabs": TABS,
        "csp": policy("" if city.base_map is None else host_of(city.base_map)),
        "shared": f"../city={ALL_CITIES}/",
        "index": INDEX_FILE,
        "classes": CHANCE_CLASSES,
    }
    return render(template, common | values)


def _tomorrow_values(city: City, issue: IssueRecord | None, forecast: IssuedForecast | None) -> dict[str, Any]:
    return {
        "forecast": forecast,
        "nothing": issue if isinstance(issue, NoForecast) else None,
        "cell_size": cell_size(city),
        "not_for": rendered_markdown(NOT_FOR.partition("\n")[2]),
        "daily_command": past_days_command(city),
    }


def plans_page(city: City, ground: Ground, plans: ShiftPlans | NoPlan | None) -> bytes:
    """The page of shift plans, or why there are none; None without a forecast."""
    values = {
        "plans": plans if isinstance(plans, ShiftPlans) else None,
        "note": plans.note if isinstance(plans, NoPlan) else "",
        "ground": ground,
        "streets": svg_path([line for street in ground.streets for line in street.lines], ground.height),
        "districts": svg_path([line for district in ground.districts for line in district.lines], ground.height),
        "radius": None if city.patrol is None else round(city.patrol.radius_m),
        "csv": PLAN_CSV,
        "geojson": PLAN_GEOJSON,
    }
    return _page(city, PLANS, "plans.html.jinja", values)


def _put_past_days(
    store: Store, city: City, known: date | None, folder: _Folder, before: Mapping[date, PastDay]
) -> dict[date, PastDay]:
    """Put the page of past days, and the maps of those days that are new or have changed."""
    past: dict[date, PastDay] = {}
    for day in [] if known is None else forecast_days(store, city.name, known):
        stamp, name = stamp_of(store, city.name, day), day_file(day)
        if day in before and before[day].stamp == stamp and folder.keep(f"{name}.js"):
            past[day] = before[day]
        else:
            made = past_day(store, city, day, stamp)
            if made is not None:
                past[day], maps = made
                folder.put(f"{name}.js", script_of(name, maps))
    data = past_days(past)
    folder.put("past.js", script_of("past", data))
    compared = [day for day in data.days if day.caught_by_mean is not None and day.alerts]
    difference = [day.caught - (day.caught_by_mean or 0) for day in compared]
    values = {
        "past": data,
        "daily_command": past_days_command(city),
        "more": sum(more > 0 for more in difference),
        "same": difference.count(0),
        "fewer": sum(more < 0 for more in difference),
        "neither": len(data.days) - len(compared),
        "alerts": sum(day.alerts for day in compared),
        "caught": sum(day.caught for day in compared),
        "by_mean": sum(day.caught_by_mean or 0 for day in compared),
    }
    folder.put(PAST.file, _page(city, PAST, "past.html.jinja", values))
    return past


def _put_track_record(store: Store, city: City, known: date | None, folder: _Folder, places: Places) -> None:
    track, of_folds = None if known is None else issued_track(store, city, places, known), folds(store, city.name)
    if track is not None:
        folder.put("track.js", script_of("track", track.charts))
    if of_folds is not None and of_folds.picture is not None:
        folder.put("walk_forward.png", of_folds.picture)
    shown = searches(store, city.name)
    for search in shown:
        for name, png in search.pictures.items():
            folder.put(search.file(name), png)
    card = None if of_folds is None or of_folds.card is None else rendered_markdown(of_folds.card)
    streets = None if known is None else street_track(store, city.name, known)
    values = {
        "track": track,
        "streets": streets,
        "folds": of_folds,
        "searches": shown,
        "card": card,
        "min_weeks": MIN_WEEKS_FOR_INTERVAL,
    }
    folder.put(TRACK.file, _page(city, TRACK, "track_record.html.jinja", values))


def cell_size(city: City) -> str:
    """Width and height of a cell, in words."""
    height, width = cell_metres(city)
    return f"{width:.0f} x {height:.0f} m"


def past_days_command(city: City) -> str:
    """Words for how past days of a city are forecast."""
    return f"a backfill of live_models, risk_forecasts and forecast_scores of {city.name}"


def last_known(store: Store, city: City) -> date | None:
    """The last day of which it is known what happened; None where no day is stored or known."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    if not days:
        return None
    try:
        return CityHistory.load(store, city, max(days), max(min(days), max(days) - LOOK_BACK)).last_known
    except (DaysNotKnownError, MissingPartitionsError):
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
            likeliest=f"{forecast.top[0].name} ({forecast.top[0].chance})",
            last_known=record.last_known,
        )
    if isinstance(issue, NoForecast):
        return CityCard(name=city.name, last_known=issue.last_known, note=issue.no_forecast)
    return CityCard(name=city.name, note="No forecast has been made yet.")


def _in_coverage(store: Store, city: City, forecast: IssuedForecast | None) -> Any:
    """The cells that maps may show, shape (rows, columns): those forecast, else those with alerts so far."""
    if forecast is not None:
        numbers = np.array(forecast.data.cells)
        return covered_mask(
            list(zip(numbers // city.grid.columns, numbers % city.grid.columns, strict=True)), city.shape
        )
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    with suppress(DaysNotKnownError, MissingPartitionsError):
        if days:
            return CityHistory.load(store, city, max(days), min(days)).in_coverage(max(days))
    return np.zeros(city.shape, dtype=bool)
