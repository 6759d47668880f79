"""The state of a city at an instant: one record, which status, status file, pages and overview show.

Checks of the present: late alerts, days held back, and unusable landed files.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from pydantic import BaseModel

from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.days_in_words import (
    MAX_SILENT_DAYS,
    days_in_words,
    has_ended,
    last_awaited,
    long_day,
    missing_days,
    table_in_words,
)
from shotspotter_assets.alerts.days.known_days import MIN_CHANCE_OF_REPORTED, MIN_SILENCE_DAYS, implausible, rows_due
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import contiguous, days_between
from shotspotter_assets.cities.publication import newest_issue_date
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import first_of, number_of

FORECAST_NEXT: Final = "are forecast next"
FAILED: Final = "wait until a failed run is tried again"
NEXT: Final = "count from the next forecast or training on"
MANUAL: Final = "are not forecast automatically, because the city's automation is manual"


class CityNow(BaseModel):
    """Stored and landed days of a city, and the runs that are due or under way."""

    at: datetime | None  # of the comparison with the sources; None if the state follows from the store alone
    table: str  # version of the stored days
    data: str  # known, missing and arrived days, in words
    arrived: tuple[date, ...] = ()  # days whose landed rows or daily files are not stored yet
    stage: str = NEXT  # of days that the forecast lacks, as the end of a sentence
    waits: tuple[str, ...] = ()  # sentences about landed rows, failed runs, days held back and files set aside


def stored_now(city: City, table: DayTable, at: datetime | None = None) -> CityNow:
    """Return the state that follows from the stored days alone."""
    now = at or local_time.now()
    last = last_awaited(city.site, now, table)
    return CityNow(
        at=at,
        table=table.version(date.min, date.max),
        data=table_in_words(table, last, last_due(table, city, now), city.rows),
        stage=NEXT if city.is_automated else MANUAL,
        waits=tuple(held_back_days(table, city)),
    )


def held_back_days(table: DayTable, city: City, due: Collection[date] = ()) -> Iterator[str]:
    """Yield sentences about days that wait until a person accepts them, and one about days with unusable rows.

    Days that are `due` wait for their run alone.
    """
    held_back = {
        day: entry for day, entry in table.in_state("held_back").items() if day >= city.start and day not in due
    }
    for day, entry in held_back.items():
        if entry.is_unusual:
            yield f"{day} waits until a person accepts it: {entry.why}"
    unusable = [day for day, entry in held_back.items() if day <= (city.end or day) and not entry.is_unusual]
    if unusable:
        number = number_of(len(unusable), "day")
        yield f"Held back until files or the city's file are corrected: {number}, the last {max(unusable)}."


class ShownForecast(BaseModel):
    """The part of a status file that says from what the newest forecast was made; null without a forecast."""

    forecast_date: date | None
    issued_at: str | None
    last_known: date | None
    missing: tuple[date, ...] = ()
    replayed: bool = False


def made_text(now: CityNow, table: DayTable, shown: ShownForecast, city: City) -> str:
    """Return a sentence about the days that the newest forecast lacks although they have come; empty without any.

    A replayed forecast lacks no days: it shall use none after its issue date.
    """
    last_known = shown.last_known
    if shown.replayed or shown.forecast_date is None or shown.issued_at is None or last_known is None:
        return ""
    newest = table.last_counted(city.end or date.max) or last_known
    left_out = {*shown.missing, *days_between(last_known, newest)[1:]}
    stored = {day for day in left_out if day in table.days and table.days[day].is_counted}
    lacking = sorted(stored.union(day for day in now.arrived if day > last_known or day in shown.missing))
    if not lacking:
        return ""
    issued = datetime.fromisoformat(shown.issued_at).astimezone(city.zone)
    made = f"was made on {long_day(issued.date())} at {issued:%H:%M} from {city.rows} up to {long_day(last_known)}"
    arrived = f"those of {days_in_words(lacking)} have arrived and {now.stage}"
    return f"The forecast of {long_day(shown.forecast_date)} {made}; {arrived}."


MIN_MISSING_DAYS: Final = 2  # minimum number of missing days; the newest file may come in the morning
MAX_PERIODS_SHOWN: Final = 3


def lateness(store: Store, city: City, present: CityNow | None = None) -> Finding:
    """Return the finding of `alerts_are_on_time`; sensors and pages report it too, because a silent source starts no run.

    In the `present` state, days may have arrived that are not stored yet.
    """
    table = DayTable.read(store, city.name)
    local = local_time.now().astimezone(city.zone)
    issued = max(store.of(city.target).days_present(FORECAST, city.name), default=None)
    last = last_awaited(city.site, local, table)
    issue_date = min(newest_issue_date(local), city.end or local.date())
    finding = alerts_on_time(table, city, last, last_due(table, city, local), issue_date, issued, present)
    return replace(finding, passed=finding.passed or city.end is not None)


def last_due(table: DayTable, city: City, now: datetime) -> date:
    """Return the last awaited day whose rows are due."""
    awaited = last_awaited(city.site, now, table)
    with_rows = {day: rows for day, rows in table.days.items() if rows.rows}
    return min(rows_due(city, with_rows, now.astimezone(city.zone).date()) or awaited, awaited)


def alerts_on_time(
    table: DayTable,
    city: City,
    last: date,
    due: date,
    issue_date: date,
    last_issued: date | None = None,
    present: CityNow | None = None,
) -> Finding:
    """Check that the days whose alerts are due, up to the day `due`, are known; `last` is the last awaited day.

    One missing day passes, because files come at different times. `issue_date` is the day before the newest day to forecast.
    """
    newest = table.last_counted(last)
    arrived = () if present is None else present.arrived
    data = present.data if present is not None and arrived else table_in_words(table, last, due, city.rows)
    known = f"{data[:1].upper()}{data[1:]}."
    if newest is None or has_ended(newest, due) or not any(day.rows and day.is_counted for day in table.days.values()):
        return Finding(True, known)
    missing = [day for day in missing_days(table, due) if day not in {*table.in_state("held_back"), *arrived}]
    lead = (issue_date - max([newest, *arrived])).days + 1
    messages = {"": known}
    if len(missing) >= MIN_MISSING_DAYS:
        messages["days_late"] = f"{number_of(len(missing), 'day')} should have come. {_remedy(city, table, missing)}"
    if city.publication.longest_lead < lead <= MAX_SILENT_DAYS:
        issued = "" if last_issued is None else f"; the forecast issued on {last_issued} is out of date"
        too_old = f"the day to forecast is {number_of(lead, 'day')} after the last known day{issued}"
        messages["lead"] = f"No forecast is issued: {too_old}. See publication.longest_lead in the city's file."
    numbers = {name: number for name, number in (("days_late", len(missing)), ("lead", lead)) if name in messages}
    return Finding(not numbers, " ".join(messages.values()), numbers)


def _remedy(city: City, table: DayTable, missing: Sequence[date]) -> str:
    """Return the remedy for the newest stretch of days that nothing has reported, or that no run has stored.

    A person's report does not make an implausible silence known, so the remedy names no command for it.
    """
    newest = contiguous(missing)[-1]
    if not any(day in table.days for day in newest):
        return f"Materialize raw_alerts of {city.name}."
    counts = np.array([day.rows for key, day in table.days.items() if key < newest[0] and day.is_counted])
    outage = implausible(counts, newest, MIN_CHANCE_OF_REPORTED) if len(newest) >= MIN_SILENCE_DAYS else None
    if outage is not None:
        return f"Check the city's source: {outage.why}"
    days = " ".join(str(day) for day in dict.fromkeys([newest[0], newest[-1]]))
    without = f"if {days_in_words(newest)} had no alerts"
    return f"Check the city's source; {without}, run: shotspotter quiet {city.name} {days}"


def usable_days(table: DayTable) -> Finding:
    """Check that no day is held back, because most of its rows cannot be used or because it is unusual."""
    held_back = table.in_state("held_back")
    if not held_back:
        return Finding(True, "The rows of every day can be used.")
    reasons: dict[str, list[date]] = {}
    for key, day in sorted(held_back.items(), reverse=True):
        reasons.setdefault(day.why, []).append(key)
    described = [f"{days_in_words(sorted(days))}: {why}" for why, days in reasons.items()]
    not_shown = len(reasons) - MAX_PERIODS_SHOWN
    more = f" And {number_of(not_shown, 'more period')}." if not_shown > 0 else ""
    until = "in no model and no score until the landed file or the city's file is corrected, or the day is accepted"
    periods = f"{' '.join(described[:MAX_PERIODS_SHOWN])}{more}"
    message = f"{number_of(len(held_back), 'day')} held back: {until}. {periods}"
    rejected = {key: float(day.rejected) for key, day in held_back.items()}
    return Finding(False, message, {"held_back_days": len(held_back)}, rejected)


def readable_files(unusable: Mapping[str, str], folders: Sequence[str] = ()) -> Finding:
    """Check that landed files are usable (`unusable`: reasons by path); `folders` are messages about empty ones."""
    if not unusable and not folders:
        return Finding(True, "Every landed file can be read.")
    bad = [f"{PurePosixPath(path).name} ({why})" for path, why in sorted(unusable.items())]
    remedy = "left out until replaced, removed or described in the city's file"
    named = first_of(bad, separator="; ")
    messages = [f"{number_of(len(bad), 'landed file')} {remedy}: {named}.", *folders] if bad else folders
    return Finding(False, " ".join(messages), {"unreadable": len(bad) + len(folders)})
