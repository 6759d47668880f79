"""Local civil days of a city, without array libraries, so that definitions load fast."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ONE_DAY: Final = timedelta(days=1)
ONE_YEAR: Final = timedelta(days=365)  # each season once


def days_between(first: date, last: date) -> list[date]:
    """Return all days from `first` to `last`, both included; none if `last` is before `first`."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def contiguous(days: Iterable[date]) -> list[list[date]]:
    """Return sorted stretches of days without a gap."""
    stretches: list[list[date]] = []
    for day in sorted(days):
        if stretches and stretches[-1][-1] == day - ONE_DAY:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


def now() -> datetime:
    """Return the present instant (UTC)."""
    return datetime.now(UTC)


def today(zone: ZoneInfo) -> date:
    """Return the present local civil day."""
    return now().astimezone(zone).date()


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which the local civil day begins."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
