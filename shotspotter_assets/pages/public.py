"""What the public reads: areas and their expected levels by day, the account of a year, and annual reports."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import shapely

from shotspotter_assets.accountability import measured_sections, stored_sections
from shotspotter_assets.accountability.account import Account, AnnualReport, Figure, FigureTable, Period, Section
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, ONE_YEAR
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.forecasts.issued_forecasts import (
    IN_SERVICE,
    DayState,
    ForecastRecord,
    next_day_forecasts,
)
from shotspotter_assets.forecasts.seals import head_of
from shotspotter_assets.grid.cells import Plane, cell_metres
from shotspotter_assets.grid.coverage import cell_districts, district_areas
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
from shotspotter_assets.pages.places import CityLayers, read_layers
from shotspotter_assets.pages.rendering import model, package_file, policy, render
from shotspotter_assets.pages.shown import NewestForecast
from shotspotter_assets.pages.track_record import FROM_FOLD, TrackRecord, track_record
from shotspotter_assets.storage.arrays import Booleans, Integers, Names
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT_PAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

FOLDER: Final = "public/"
SHOWN_DAYS: Final = 7
USUAL_DAYS: Final = 365  # days to the last known one, whose mean is an area's usual level
USUAL_RATIO: Final = (0.8, 1.25)  # usual range of expected alerts over that level
MIN_SQUARE_KM: Final = 2.0  # minimum size of an area by shape and forecast cells; a smaller one could point to a block
MIN_YEAR_ALERTS: Final = 12  # minimum for a usual level
MIN_COVERED_DAYS: Final = 28  # minimum for a usual level, on average over an area's cells


def public_files(store: Store, city: City, issue: NewestForecast, layers: CityLayers) -> dict[str, bytes]:
    """Return the public page of the newest forecast with its style and script, by name."""
    forecast = issue.forecast
    values = {
        "event": city.event,
        "city_title": city.shown_title,
        "record": forecast and forecast.record,
        "ends": forecast and forecast.ends,
        "levels": forecast and _levels(store, city, forecast.record, layers),
        "min_square_km": MIN_SQUARE_KM,
        "usual": USUAL_RATIO,
        "csp": policy(),
        "shared": "",
        "seal": head_of(store, city.name),
    }
    files = {FOLDER + name: package_file(name) for name in ("pages.css", "pages.js")}
    return files | {f"{FOLDER}index.html": render("public.html.jinja", values)}


def _levels(store: Store, city: City, record: ForecastRecord, layers: CityLayers) -> dict[str, Any] | None:
    """Return the forecast dates, the newest first, and the levels of each area by its name; None without a known year."""
    last = record.last_known
    history = CityHistory.find(store, city, last, max(city.start, last - timedelta(days=USUAL_DAYS - 1)))
    if history is None:
        return None
    newest = record.forecast_date
    forecasts = next_day_forecasts(store, city, newest - timedelta(days=SHOWN_DAYS - 1), newest)
    areas, too_small = _areas(city, layers)
    cells = cells_of(forecasts[newest])
    usual = _UsualLevels(history, cells)
    min_cells = MIN_SQUARE_KM * 1e6 / np.prod(cell_metres(city))
    rows = {}
    for area in sorted({*areas[cells].tolist()} - too_small):
        inside = areas[cells] == area
        if inside.sum() >= min_cells:
            level = usual.of(inside)
            rows[area] = [
                _level(float(table["expected"].to_numpy()[areas[cells_of(table)] == area].sum()), level)
                for table in reversed(forecasts.values())
            ]
    return {"dates": [*forecasts][::-1], "rows": rows}


class _UsualLevels:
    """Usual daily alerts of areas by the year before; a cell counts from its start of coverage on, or from the first day."""

    def __init__(self, history: CityHistory, cells: tuple[Integers, Integers]) -> None:
        days = np.array(history.days, "datetime64[D]")
        is_covered = history.is_known[:, None] & ~(days[:, None] < history.coverage_starts[cells])
        self._alerts = (history.alerts[:, *cells] * is_covered).sum(axis=0)
        self._covered_days = is_covered.sum(axis=0)

    def of(self, inside: Booleans) -> float | None:
        """Return the usual level of some cells; None with too few alerts, or days with coverage."""
        if self._alerts[inside].sum() < MIN_YEAR_ALERTS or self._covered_days[inside].mean() < MIN_COVERED_DAYS:
            return None
        return float((self._alerts[inside] / np.maximum(self._covered_days[inside], 1)).sum())


def _areas(city: City, layers: CityLayers) -> tuple[Names, set[str]]:
    """Return each cell's district, else area of coverage or quadrant, "" outside, and those whose shapes are too small."""
    areas = district_areas(city, layers.get("districts"))
    box = shapely.box(*city.box.edges)
    too_small = {""}
    for name in {name for name, _ in areas or ()}:
        shape = shapely.union_all([area for other, area in areas or () if other == name]).intersection(box)
        if shapely.transform(shape, Plane.of(city.box).metres).area < MIN_SQUARE_KM * 1e6:
            too_small.add(name)
    return cell_districts(city, areas), too_small


def _level(expected: float, usual: float | None) -> str:
    lowest, highest = USUAL_RATIO
    if usual is None:
        return "too few to say"
    ratio = expected / usual
    return "lower than usual" if ratio < lowest else "higher than usual" if ratio > highest else "usual"


def last_years_account(store: Store, city: City, last: date, layers: CityLayers, track: TrackRecord | None) -> Account:
    """Return the account of the year to a day; `track` has the scores of its forecasts."""
    first = max(city.start, last - ONE_YEAR + ONE_DAY)
    sections = _sections(Period.read(store, city, first, last), layers, track)
    return Account(city=city.name, title=city.shown_title, first=first, last=last, sections=sections)


def write_annual_report(store: Store, city: City, year: date) -> AnnualReport:
    """Write the report of the year that begins on `year`, as a page to print and as a record; return the record.

    Raises DaysNotKnownError if no day of the year is stored.
    """
    store = store.of(city.target)
    table = DayTable.read(store, city.name, is_needed=True)
    first = max(city.start, year)
    ends = min(city.end or date.max, date(year.year, 12, 31))
    last = min(ends, max(table.days, default=date.min))
    if not any(first <= day <= last for day in table.days):
        stored = f"{min(table.days)} to {max(table.days)}" if table.days else "none"
        raise DaysNotKnownError(
            f"City {city.name}: no day of {year.year} is stored (stored: {stored}). Backfill days of that year first."
        )
    layers, _ = read_layers(city)
    track = track_record(store, city.only(city.target), last, first)
    sections = _sections(Period.read(store, city, first, last), layers, track)
    report = AnnualReport(
        city=city.name,
        title=city.shown_title,
        first=first,
        last=last,
        sections=sections,
        year=year,
        is_under_way=last < ends,
        seal=head_of(store, city.name),
    )
    page = render("annual_report.html.jinja", {"account": report, "event": city.event})
    report.write_after(store, {ANNUAL_REPORT_PAGE: page})
    return report


def years_in_words(city: City, last: date, reported: Iterable[int]) -> str:
    """Return the city's years that are over by a day, and the years with a report, in words."""
    ends = {year: min(city.end or date.max, date(year, 12, 31)) for year in range(city.start.year, last.year + 1)}
    over = [str(year) for year, end in ends.items() if end <= last]
    years = ", ".join(map(str, sorted(reported)))
    stated = f"{number_of(len(over), 'year')} of this city {'is' if len(over) == 1 else 'are'} over: {', '.join(over)}."
    return f"{stated if over else 'No year is over yet.'} {f'Reported: {years}.' if years else 'None is reported.'}"


def stored_reports(store: Store, city: str) -> dict[str, bytes]:
    """Return the stored annual reports as files beside the pages, by name, the newest first."""
    years = sorted(store.days_present(ANNUAL_REPORT_PAGE, city), reverse=True)
    return {f"annual_report_{year.year}.html": store.read_bytes(ANNUAL_REPORT_PAGE, city, year) for year in years}


def _sections(period: Period, layers: CityLayers, track: TrackRecord | None) -> tuple[Section, ...]:
    """Return the sections of a period."""
    return (
        measured_sections.outcome_section(period),
        measured_sections.burden_section(period),
        measured_sections.limits_section(period),
        measured_sections.plan_section(period),
        forecast_section(period, track),
        stored_sections.alerts_section(
            period, cell_districts(period.city, district_areas(period.city, layers.get("districts")))
        ),
        stored_sections.days_section(period),
        stored_sections.changes_section(period),
        stored_sections.published_section(period),
        stored_sections.statements_section(period),
    )


def forecast_section(period: Period, track: TrackRecord | None) -> Section:
    """Count days by how they were forecast, and compare the forecasts with the best simple method."""
    report = WalkForwardReport.find_sound(period.store, period.city.name)
    figures = (
        _scores(period.city, track)
        if track
        else (
            Figure(name="caught", title="Caught", sentence="No forecast of the period has been compared with its day."),
        )
    )
    months = FigureTable(
        name="forecasts_by_month",
        title="Forecasts by month",
        columns=("Month", "Forecasts", "Days", "Cells with events: expected", "Observed"),
        rows=tuple((row.name, row.made, row.days, round(row.expected, 1), row.observed) for row in track.months)
        if track
        else (),
    )
    return Section(
        name="forecasts",
        title="Forecasts, and how good they were",
        figures=(*_service(period.states), *figures),
        tables=(months,),
        sentences=(f"Verdict: {report.verdict.outcome}.", *report.verdict.reasons) if report else (),
    )


def _service(states: Mapping[date, DayState]) -> tuple[Figure, ...]:
    """Count the days with an issued, a replayed, a withheld and no forecast."""
    days = Counter(states.values())
    issued = sum(days[state] for state in IN_SERVICE)
    all_are_replays = "All forecasts of the period are replays. " if days["replayed"] and not issued else ""
    facts = {
        "forecasts": ("an issued", issued, f"Made before the day ended, {days['late']:,} of them after it had begun."),
        "replayed": (
            "a replayed",
            days["replayed"],
            f"{all_are_replays}Made after the day, and of use to nobody on it.",
        ),
        "withheld": ("a withheld", days["withheld"], "Withheld for a stated reason, such as a late source."),
        "without_forecast": ("no", days["missing"], "No forecast of these days is stored."),
    }
    return tuple(
        Figure(name=name, title=f"Days with {kind} forecast", value=number, sentence=sentence)
        for name, (kind, number, sentence) in facts.items()
    )


def _scores(city: City, track: TrackRecord) -> tuple[Figure, ...]:
    """Return the shares of cells with an alert that were caught, and the gain over the best simple method."""
    gain = track.whole.gain.map(math.expm1)
    days = number_of(track.whole.days, "day")
    days += ", test days of folds included" * any(row.made == FROM_FOLD for row in track.months)
    return (
        Figure(
            name="caught",
            title=f"Cells with an {city.event} that the forecast caught",
            value=track.caught,
            unit="share",
            sentence=f"With {FLAGGED_PERCENT}% of the area flagged, on {days} ({track.first} to {track.last}).",
        ),
        Figure(
            name="caught_by_simple_method",
            title="Caught by the best simple method",
            value=track.caught_by_best,
            unit="share",
            sentence=f"With as much area flagged on the same days; method: {model(track.best)}.",
        ),
        Figure(
            name="gain",
            title="Gain over the best simple method",
            value=gain.value,
            low=gain.low,
            high=gain.high,
            unit="gain",
            sentence="Mean rise of the probability given to what happened; brackets: 90% interval, from four weeks on.",
        ),
    )
