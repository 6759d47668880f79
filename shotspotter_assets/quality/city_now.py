"""The state of a city at an instant: one record, which status, status file, pages and overview show."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.sources.days_in_words import days_in_words, long_day, table_in_words

BEING_FORECAST: Final = "are being forecast"
NEXT: Final = "count from the next forecast on"
MANUAL: Final = "are not forecast automatically, because the city's automation is manual"


class CityNow(BaseModel):
    """Stored and landed days of a city, and the runs that are due or under way."""

    at: datetime | None  # of the comparison with the sources; None if the state follows from the store alone
    table: str  # version of the stored days
    data: str  # known, missing and arrived days, in words
    arrived: tuple[date, ...] = ()  # days whose landed rows or daily files are not stored yet
    stage: str = NEXT  # of days that the forecast lacks, as the end of a sentence
    waits: tuple[str, ...] = ()  # sentences about landed rows and failed runs

    def is_like(self, other: "CityNow | None") -> bool:
        """Return True if the records differ in their times at most."""
        return other is not None and self == other.model_copy(update={"at": self.at})


def stored_now(city: City, table: DayTable, at: datetime | None = None) -> CityNow:
    """Return the state that follows from the stored days alone."""
    data = table_in_words(table, max(table.days), city.rows) if table.days else f"no {city.rows} yet"
    return CityNow(at=at, table=version_of(table), data=data, stage=NEXT if city.is_automated else MANUAL)


def version_of(table: DayTable) -> str:
    """Return the version of all stored days."""
    return table.version(date.min, date.max)


def made_text(now: CityNow, table: DayTable, issued_at: str | None, last_known: date | None, city: City) -> str:
    """Return a sentence about the days that a shown forecast lacks although they have come; empty without any."""
    if issued_at is None or last_known is None:
        return ""
    newest = table.last_counted(city.end or date.max) or last_known
    stored = [day for day in days_between(last_known, newest)[1:] if day in table.days and table.days[day].is_counted]
    lacking = sorted({*stored, *(day for day in now.arrived if day > last_known)})
    if not lacking:
        return ""
    made = (
        f"Made {clock_time(datetime.fromisoformat(issued_at), city.zone)} from {city.rows} up to {long_day(last_known)}"
    )
    return f"{made}; those of {days_in_words(lacking)} have arrived and {now.stage}."


def clock_time(instant: datetime, zone: ZoneInfo) -> str:
    """Write an instant as "on 26 November 2026 at 03:58"."""
    local = instant.astimezone(zone)
    return f"on {long_day(local.date())} at {local:%H:%M}"


def stage_of(retries: Sequence[str], *, is_at_work: bool) -> str:
    """Return the stage of days that a forecast lacks: a failed run that is tried again comes before one under way."""
    if retries and not is_at_work:
        return f"wait. {retries[0].removesuffix('.')}"
    return BEING_FORECAST if is_at_work else NEXT
