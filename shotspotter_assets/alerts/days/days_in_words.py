"""The known and the missing days of a city in words, the same on pages, in records, in checks and in the status."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.local_time import ONE_DAY, contiguous, days_between
from shotspotter_assets.cities.source_settings import Site

DAILY_AT: Final = time(6, 30)  # local time at which publishers have loaded the night's alerts
RECENT_DAYS: Final = timedelta(days=14)  # age of missing days that are named although later days are known
MAX_SILENT_DAYS: Final = 366  # silences longer than this end a source
MAX_NAMED_DAYS: Final = 3  # more days are named by the first and the last one
MAX_STRETCHES: Final = 5  # more stretches of days are named by their number


def last_awaited(site: Site, now: datetime, table: DayTable) -> date:
    """Return the last day whose data are awaited: yesterday from `DAILY_AT` on, or once something of it is stored."""
    local = now.astimezone(site.zone)
    yesterday = local.date() - ONE_DAY
    is_awaited = local.time() >= DAILY_AT or yesterday in table.in_state("known", "silent", "held_back")
    return min(yesterday if is_awaited else yesterday - ONE_DAY, site.end or yesterday)


def missing_days(table: DayTable, last: date, known: date | None = None, first: date | None = None) -> list[date]:
    """Return the days to `last` that do not count: all after the last `known` one, and others from `first` on.

    By default, `known` is the last known day of the table, and `first` is two weeks before.
    """
    known = known or table.last_counted(last)
    if known is None:
        return []
    days = {day: table.days.get(day) for day in days_between(first or known - RECENT_DAYS, last)}
    return [day for day, entry in days.items() if (day > known if entry is None else not entry.is_counted)]


def table_in_words(
    table: DayTable, last: date, due: date, rows: str, arrived: Collection[date] = (), known: date | None = None
) -> str:
    """Return `data_in_words` of the stored days to `last`, and the days that are not stored yet.

    Of `arrived` days, rows or daily files have landed that are not stored yet. `due` is the last day whose rows are due: a
    source without rows for long before it has ended. `known` is the last known day, by default of the table.
    """
    known = known or table.last_counted(last)
    lacking = missing_days(table, last, known)
    missing = [day for day in lacking if day not in arrived]
    stored = [day for day in missing if day in table.days]
    others = [day for day in missing if day not in table.days]
    landed = sorted(day for day in arrived if day not in table.days or not table.days[day].is_counted)
    if known is not None and not landed and has_ended(known, due):
        return f"{rows} up to {long_day(known)}; the source has ended"
    nothing = f"no usable day of {rows} yet" if table.days else f"no {rows} yet"
    parts = [nothing if known is None else data_in_words(known, stored, table.in_state("held_back"), rows)]
    if others and known is not None:
        parts.append(f"{_named(others, known)} {_are(others)} not stored yet")
    if landed:
        parts.append(f"those of {days_in_words(landed)} have arrived and are not stored yet")
    return "; ".join(parts)


def has_ended(newest: date, due: date) -> bool:
    """Return True if the newest rows are so much older than the day whose rows are due that the source has ended."""
    return (due - newest).days > MAX_SILENT_DAYS


def days_in_words(days: Sequence[date]) -> str:
    """Write days in order as "26 to 28 November 2026 and 30 November 2026", or "9 days from ... to ..." if they are scattered."""
    stretches = contiguous(days)
    if len(stretches) > MAX_STRETCHES:
        return f"{len(days):,} days from {long_day(days[0])} to {long_day(days[-1])}"
    return _joined([_stretch(stretch[0], stretch[-1]) for stretch in stretches])


def data_in_words(
    last_known: date, missing: Collection[date], held_back: Collection[date] = (), rows: str = "data"
) -> str:
    """Return the known and the missing days: "alerts up to 27 November 2026; the 28th and 29th are not known".

    `rows` is the city's word for its rows (`City.rows`).
    """
    parts = [f"{rows} up to {long_day(last_known)}"]
    if absent := [day for day in missing if day not in held_back]:
        parts.append(f"{_named(absent, last_known)} {_are(absent)} not known")
    if held := [day for day in missing if day in held_back]:
        parts.append(f"{_named(held, last_known)} {_are(held)} held back")
    return "; ".join(parts)


def _are(days: Sequence[date]) -> str:
    return "is" if len(days) == 1 else "are"


def _named(days: Sequence[date], near: date) -> str:
    is_near = len(days) <= MAX_NAMED_DAYS and all((day.year, day.month) == (near.year, near.month) for day in days)
    if is_near:
        named = [f"{day.day}{_ending(day.day)}" for day in days]
        return f"the {_joined(named)}"
    return days_in_words(days)


def _stretch(first: date, last: date) -> str:
    if first == last:
        return long_day(first)
    same_month = (first.year, first.month) == (last.year, last.month)
    return f"{first.day if same_month else long_day(first)} to {long_day(last)}"


def long_day(day: date) -> str:
    """Write a day as "26 November 2026"."""
    return f"{day.day} {day:%B %Y}"


def _joined(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _ending(day: int) -> str:
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
