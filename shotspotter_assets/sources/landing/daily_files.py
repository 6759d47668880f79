"""Days that landed files cover, with rows or without, and folders whose files come a day each."""

import re
from bisect import bisect_left
from collections.abc import Collection
from contextlib import suppress
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Final
from zoneinfo import ZoneInfo

from shotspotter_assets.calendar.local_time import ONE_DAY, day_start
from shotspotter_assets.sources.landing.received import Received, ReceivedFile, corrected_day, named_day

DATE_IN_NAME: Final = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
MIN_DAILY_FILES: Final = 2  # minimum number of files with rows of one day each from which a folder is a daily one
MIN_SHARE_OF_DAILY: Final = 0.9  # minimum share of such files, each of another day, since the first of them
SERIES_DAYS: Final = 28  # at least half of the first so many days of a series have files; a few old files are none


def covered_days(files: Received, form: str | None, zone: ZoneInfo) -> set[date]:
    """Return the days that files cover: by their names in the `form` of the source, or by any date in their names.

    A date without a promised form may be that of an export. It counts if the file was written after that day, and has no
    rows of other days.
    """
    days = set[date]()
    for path, file in files.items():
        with suppress(ValueError):
            if (day := named_day(path, form) or _dated(path, file, zone)) is not None:
                days.add(day)
    return days


def _dated(path: str, file: ReceivedFile, zone: ZoneInfo) -> date | None:
    dates = {date(*map(int, parts)) for parts in DATE_IN_NAME.findall(PurePosixPath(path).stem)}
    if len(dates) != 1 or not dates.issuperset(file.days):
        return None
    [day] = dates
    return day if file.received >= day_start(day + ONE_DAY, zone) else None


def daily_since(files: Received, form: str | None, zone: ZoneInfo) -> date | None:
    """Return the first day from which on files come a day each, by the `form` of their names or as learned; else None.

    Corrections may be of any day, and begin no series.
    """
    uncorrected = {path: file for path, file in files.items() if corrected_day(path) is None}
    covered = covered_days(uncorrected, form, zone)
    if form is not None:
        return _series_since(covered)
    with_rows = sorted((file for file in uncorrected.values() if file.days), key=lambda file: file.received)
    first_daily = next((number for number, file in enumerate(with_rows) if len(file.days) == 1), len(with_rows))
    since = with_rows[first_daily:]
    days = {day for file in since if len(file.days) == 1 for day in file.days}
    is_daily = len(days) >= max(MIN_DAILY_FILES, MIN_SHARE_OF_DAILY * len(since))
    return _series_since(days | covered) if is_daily else None


def _series_since(days: Collection[date]) -> date | None:
    """Return the first of the days with files from which on at least half of four weeks, or of those to the newest, have one."""
    ordered = sorted(days)
    for number, day in enumerate(ordered):
        stop = min(day + timedelta(days=SERIES_DAYS), ordered[-1] + ONE_DAY)
        if 2 * (bisect_left(ordered, stop) - number) >= (stop - day).days:
            return day
    return None
