"""The state of a city at an instant: one record, which status, status file, pages and overview show."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from pydantic import BaseModel

from shotspotter_assets.alerts.checks.on_time import awaited_days
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.days_in_words import days_in_words, long_day, table_in_words
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.wording import number_of

BEING_FORECAST: Final = "are being forecast"
FAILED: Final = "wait until a failed run is tried again"
NEXT: Final = "count from the next forecast on"
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
    _, due = awaited_days(table, city, at or local_time.now())
    return CityNow(
        at=at,
        table=table.version(date.min, date.max),
        data=table_in_words(table, max(table.days, default=date.min), due, city.rows),
        stage=NEXT if city.is_automated else MANUAL,
        waits=tuple(held_back_days(table, city)),
    )


def held_back_days(table: DayTable, city: City) -> Iterator[str]:
    """Yield sentences about days that wait until a person accepts them, and one about days with unusable rows."""
    held_back = {day: entry for day, entry in table.in_state("held_back").items() if day >= city.start}
    for day, entry in held_back.items():
        if entry.is_unusual:
            yield f"{day} waits until a person accepts it: {entry.why}."
    unusable = [day for day, entry in held_back.items() if day <= (city.end or day) and not entry.is_unusual]
    if unusable:
        number = number_of(len(unusable), "day")
        yield f"Held back until files or the city's file are corrected: {number}, the last {max(unusable)}."


def made_text(now: CityNow, table: DayTable, issued_at: str | None, last_known: date | None, city: City) -> str:
    """Return a sentence about the days that a shown forecast lacks although they have come; empty without any."""
    if issued_at is None or last_known is None:
        return ""
    newest = table.last_counted(city.end or date.max) or last_known
    stored = [day for day in days_between(last_known, newest)[1:] if day in table.days and table.days[day].is_counted]
    lacking = sorted({*stored, *(day for day in now.arrived if day > last_known)})
    if not lacking:
        return ""
    issued = datetime.fromisoformat(issued_at).astimezone(city.zone)
    made = f"Made on {long_day(issued.date())} at {issued:%H:%M} from {city.rows} up to {long_day(last_known)}"
    return f"{made}; those of {days_in_words(lacking)} have arrived and {now.stage}."
