"""The page *Accountability* and the annual report: the account of a period, from the store."""

import math
from datetime import date

from shotspotter_assets.accountability import measured_sections, stored_sections
from shotspotter_assets.accountability.account import Account, AnnualReport, Figure, FigureTable, Section
from shotspotter_assets.accountability.burden_audit import BurdenAudit
from shotspotter_assets.accountability.disclosures import card_section, datasheet, transparency_record
from shotspotter_assets.calendar.local_time import ONE_DAY, ONE_YEAR
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.gridding.districts import cell_districts, district_areas
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
from shotspotter_assets.pages.places import CityLayers, read_layers
from shotspotter_assets.pages.rendering import render
from shotspotter_assets.pages.track_record import FROM_FOLD, TrackRecord, track_record
from shotspotter_assets.pages.words import model
from shotspotter_assets.serving.seals import head_of
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT_PAGE, FORECAST, FORECAST_RECORD
from shotspotter_assets.storage.store import Store
from shotspotter_assets.wording import number_of


def last_years_account(store: Store, city: City, last: date, layers: CityLayers, track: TrackRecord | None) -> Account:
    """Return the account of the year to a day; `track` has the scores of its forecasts."""
    first = max(city.start, last - ONE_YEAR + ONE_DAY)
    sections = _sections(store, city, first, last, layers, track)
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
            f"City {city.name}: no day of {year.year} is stored (stored: {stored}). Build its days first."
        )
    layers, _ = read_layers(city)
    track = track_record(store, city.only(city.target), last, first)
    sections = _sections(store, city, first, last, layers, track)
    serving = ServingRecord.latest_before(store, city.name, last)
    report = AnnualReport(
        city=city.name,
        title=city.shown_title,
        first=first,
        last=last,
        sections=sections,
        year=year,
        is_under_way=last < ends,
        seal=head_of(store, city.name),
        model_card=card_section(sections),
        datasheet=datasheet(city, table, sections),
        transparency_record=transparency_record(city, serving, table, sections),
    )
    page = render("annual_report.html.jinja", {"account": report, "event": city.event})
    report.write_after(store, {ANNUAL_REPORT_PAGE: page})
    return report


def stored_reports(store: Store, city: str) -> dict[str, bytes]:
    """Return the stored annual reports as files beside the pages, by name, the newest first."""
    years = sorted(store.days_present(ANNUAL_REPORT_PAGE, city), reverse=True)
    return {f"annual_report_{year.year}.html": store.read_bytes(ANNUAL_REPORT_PAGE, city, year) for year in years}


def _sections(
    store: Store, city: City, first: date, last: date, layers: CityLayers, track: TrackRecord | None
) -> tuple[Section, ...]:
    """Return the sections of a period."""
    audit = BurdenAudit.find_sound(store, city.name)
    areas = cell_districts(city, district_areas(city, layers.get("districts")))
    history = CityHistory.find(store, city.only(city.target), last, first)
    return (
        measured_sections.outcome_section(store, city, first, last),
        measured_sections.burden_section(store, audit),
        measured_sections.limits_section(city, audit),
        measured_sections.plan_section(store, city, first, last),
        forecast_section(store, city, first, last, track),
        stored_sections.alerts_section(city, history, areas),
        stored_sections.days_section(city, DayTable.read(store, city.name, is_needed=True), first, last),
        stored_sections.changes_section(store, city, first, last),
        stored_sections.published_section(city),
        stored_sections.statements_section(city, last),
    )


def forecast_section(store: Store, city: City, first: date, last: date, track: TrackRecord | None) -> Section:
    """Count the stored forecasts of a period, and compare them with the best simple method."""
    issued = store.days_present(FORECAST, city.name, first - ONE_DAY, last - ONE_DAY)
    withheld = store.days_present(FORECAST_RECORD, city.name, first - ONE_DAY, last - ONE_DAY) - issued
    report = WalkForwardReport.find_sound(store, city.name)
    figures = (
        _scores(city, track)
        if track
        else (
            Figure(name="caught", title="Caught", sentence="No forecast of the period has been compared with its day."),
        )
    )
    forecasts = Figure(
        name="forecasts",
        title="Days with a forecast",
        value=len(issued),
        sentence=f"On {number_of(len(withheld), 'day')} it was withheld for a stated reason, such as a late source."
        if withheld
        else "On no day was it withheld.",
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
        figures=(forecasts, *figures),
        tables=(months,),
        sentences=(f"Verdict: {report.verdict.outcome}.", *report.verdict.reasons) if report else (),
    )


def _scores(city: City, track: TrackRecord) -> tuple[Figure, ...]:
    """Return the shares of cells with an alert that were caught, and the gain over the best simple method."""
    nats = track.whole.gain
    gain, low, high = (None if end is None else math.expm1(end) for end in (nats.gain, nats.low, nats.high))
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
            value=gain,
            low=low,
            high=high,
            unit="gain",
            sentence="Mean rise of the probability given to what happened; brackets: 90% interval, from four weeks on.",
        ),
    )
