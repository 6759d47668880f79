"""Sections of an account from alerts, days, serving records and the city's file."""

from collections.abc import Iterator
from datetime import date
from itertools import groupby, pairwise
from typing import Final, get_args

import numpy as np

from shotspotter_assets.accountability.account import NO_SENSORS, Cell, Figure, FigureTable, Period, Section
from shotspotter_assets.cities.accountability import Subject, SubjectOfYear
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, ONE_YEAR, contiguous, days_between
from shotspotter_assets.forecasts.approval import Approvals
from shotspotter_assets.forecasts.issued_forecasts import day_states
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.arrays import Names
from shotspotter_assets.storage.lineage import NOT_MADE, read_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

NOT_STATED: Final = "not stated"
ALL_AREAS: Final = "All areas"
OUTSIDE: Final = "outside the areas"
AUTOMATIC: Final = "nobody: the gate decides automatically"
NO_APPROVAL: Final = "no record of an approval"
"""Words for the approval of models that serve: of a city without approvals, and of models that nobody approved."""


def alerts_section(period: Period, areas: Names) -> Section:
    """Count alerts by month and area; `areas` has the name of each cell's area, shape (rows, columns).

    Days that are not known add nothing; `days_section` counts them.
    """
    city = period.city
    history = period.history
    title = f"{city.event.capitalize()}s"
    if history is None:
        none = Figure(name="alerts", title=title, sentence="No day of this period is known.")
        return Section(name="alerts", title=title, figures=(none,))
    months = np.array([f"{day:%b %Y}" for day in history.days])
    names = list(dict.fromkeys(months.tolist()))
    masks = {ALL_AREAS: np.ones(city.shape, dtype=bool)}
    masks |= {
        area or OUTSIDE: areas == area for area in sorted({*areas.ravel().tolist()}, key=lambda area: (not area, area))
    }
    daily = {area: history.alerts[:, mask].sum(axis=1) for area, mask in masks.items()}
    ends = {name: np.datetime64(day, "D") for name, day in zip(months, history.days, strict=True)}
    starts = history.coverage_starts

    def number(area: str, count: int, last: str) -> Cell:
        """Return the number of alerts; without any, and without a covered cell until a month, an area has no sensors."""
        has_sensors = count or not city.is_of_gunfire or (starts[masks[area]] <= ends[last]).any()
        return count if has_sensors else NO_SENSORS

    total = int(daily[ALL_AREAS].sum())
    table = FigureTable(
        name="alerts_by_area_and_month",
        title=f"{title} by area and month",
        columns=("Area", *names, "Total"),
        rows=tuple(
            (
                area,
                *(number(area, int(counts[months == name].sum()), name) for name in names),
                number(area, int(counts.sum()), names[-1]),
            )
            for area, counts in daily.items()
        ),
    )
    sentence = f"{number_of(total, city.event)} came on the known days; they are published reports."
    figure = Figure(name="alerts", title=title, value=total, sentence=sentence)
    return Section(name="alerts", title=title, figures=(figure,), tables=(table,))


def days_section(period: Period) -> Section:
    """Count the days of service, and list the stretches of days whose alerts are not known."""
    days = days_between(period.first, period.last)
    stored = period.table.days
    unknown = [day for day in days if day not in stored or not stored[day].is_counted]
    why = {day: stored[day].why if day in stored else "It is not stored." for day in unknown}
    stretches = tuple((str(days[0]), str(days[-1]), len(days), why[days[0]]) for days in contiguous(unknown))
    areas = period.city.coverage.areas if period.city.coverage else {}
    return Section(
        name="days",
        title="Days with sensors, and outages",
        figures=(
            Figure(
                name="days", title="Days of service", value=len(days), sentence=f"From {period.first} to {period.last}."
            ),
            Figure(
                name="known_days",
                title="Known days",
                value=len(days) - len(unknown),
                sentence="Their alerts, or the lack of any, are known.",
            ),
            Figure(
                name="unknown_days",
                title="Unknown days",
                value=len(unknown),
                sentence="Outages, missing files and days held back. They never count as days without alerts.",
            ),
        ),
        tables=(
            FigureTable(
                name="unknown_days",
                title="Days that are not known",
                columns=("First", "Last", "Days", "Why"),
                rows=stretches,
            ),
            FigureTable(
                name="coverage",
                title="Areas with sensors",
                columns=("Area", "First day"),
                rows=tuple((name, str(day)) for name, day in areas.items()),
            ),
        ),
        sentences=() if areas else ("Areas with sensors: not stated; the coverage is estimated from the alerts.",),
    )


def changes_section(period: Period) -> Section:
    """List the models and settings that came into service, with who approved them, and what a person accepted."""
    models = sorted(
        row
        for of_target, view in period.city.by_target(period.store)
        for row in _new_models(of_target, view, period.first, period.last)
    )
    accepted = (
        (str(entry.on), entry.file or f"{entry.check} from {entry.first}", entry.by, entry.note)
        for entry in period.city.acknowledged
        if period.first <= entry.on <= period.last
    )
    return Section(
        name="changes",
        title="Changes of models and settings",
        figures=(
            Figure(
                name="model_changes",
                title="Changes of models",
                value=len(models),
                sentence="Models are trained on newer alerts, or with other settings. They come into service with the first "
                "forecast that they issue before its day begins.",
            ),
        ),
        tables=(
            FigureTable(
                name="models",
                title="Models that came into service",
                columns=("First day", "Forecast", "Method", "Changed settings", "Approved by"),
                rows=tuple(models),
            ),
            FigureTable(
                name="accepted",
                title="Warnings and files that a person accepted",
                columns=("Day", "Warning or file", "By", "Note"),
                rows=tuple(sorted(accepted)),
            ),
        ),
    )


def _new_models(store: Store, city: City, first: date, last: date) -> Iterator[tuple[str, ...]]:
    """Yield a row for each day whose forecast other models than before issued before it began."""
    approvals = Approvals.read(store, city.name)
    lineage = read_lineage(store, catalogue.Asset.LIVE_MODELS, city.name)
    # Models that issued no forecast for a year come into service again.
    states = day_states(store, city, first - ONE_YEAR, last)
    # Days of one version have the same models, so that one record of them is read.
    by_version = groupby(
        (day - ONE_DAY for day, state in states.items() if state == "issued"),
        lambda day: lineage.get(str(day), NOT_MADE).version or str(day),
    )
    found = (ServingRecord.find_sound(store, city.name, next(days)) for _, days in by_version)
    for before, record in pairwise((None, *filter(None, found))):
        if record and record.issue_date >= first - ONE_DAY and (before is None or before.version != record.version):
            approver = AUTOMATIC if city.approval == "automatic" else NO_APPROVAL
            if record.version in approvals.approved:
                person = approvals.approvers.get(record.version, "a person")
                approver = f"{person}, {approvals.approved[record.version][:10]}"
            changed = _changed(before, record)
            yield (
                str(record.issue_date + ONE_DAY),
                city.target,
                record.served,
                changed,
                approver,
            )


def _changed(before: ServingRecord | None, record: ServingRecord) -> str:
    """Return the keys of the city's file with other values than in the models before."""
    if before is None:
        return "first models"
    keys = [key for key, value in record.settings.items() if before.settings.get(key) != value]
    return ", ".join([*keys, *(["method"] if before.served != record.served else [])]) or "none: newer alerts"


def published_section(period: Period) -> Section:
    """List the files that the city's settings publish, and the data that others receive."""
    city = period.city
    files = {
        catalogue.STATUS.file: "state of the newest forecast",
        catalogue.FORECAST_MAP.file: "chance of each cell",
        catalogue.PLAN_CSV.file: "units by cell and shift" * (city.patrol is not None),
        catalogue.PLAN_MAP.file: "the plan's cells" * (city.patrol is not None),
        catalogue.TOP_STREETS.published: "streets with the highest chance" * (city.streets is not None),
        "public/": "expected level of each area, without streets, cells or plans" * city.public,
    }
    rows = tuple((name, meaning) for name, meaning in files.items() if meaning)
    sentences = (
        "Pages hold places and times of alerts, and nothing about persons.",
        "Models of all cities of this installation learn from the alerts." * city.shared,
        "Readers' browsers request map tiles from another server." * (city.base_map is not None),
    )
    title = "Files that are written for readers"
    table = FigureTable(name="files", title=title, columns=("File", "Content"), rows=rows)
    return Section(name="data_shared", title="Data shared", tables=(table,), sentences=tuple(filter(None, sentences)))


def statements_section(period: Period) -> Section:
    """List what only a person knows, each "not stated" if it is missing."""
    stated = period.city.accountability.stated
    of_year = period.city.accountability.years.get(period.last.year, {})
    answers: dict[str, str] = {subject: stated.get(subject, NOT_STATED) for subject in get_args(Subject)}
    answers |= {
        f"{subject} in {period.last.year}": of_year.get(subject, NOT_STATED) for subject in get_args(SubjectOfYear)
    }
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (subject.replace("_", " ").capitalize(), answer) for subject, answer in answers.items()
    )
    title = "What only a person knows"
    table = FigureTable(name="statements", title=title, columns=("Subject", "Statement"), rows=rows)
    return Section(name="statements", title=title, tables=(table,))
