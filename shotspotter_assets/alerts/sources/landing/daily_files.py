"""Days that landed files cover, with rows or without, and folders whose files come a day each."""

import re
from bisect import bisect_left
from collections.abc import Collection
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import product
from pathlib import PurePosixPath
from typing import Final
from zoneinfo import ZoneInfo

from shotspotter_assets.alerts.sources.landing.received import Received, ReceivedFile, corrected_day, named_day
from shotspotter_assets.alerts.sources.schema import FIRST_POSSIBLE_DAY
from shotspotter_assets.cities.local_time import ONE_DAY, day_start

MONTH: Final = (
    r"(?<![a-z])(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?(?![a-z])"
)
DAY: Final = r"\d\d?(?:st|nd|rd|th)?"
SPELLINGS: Final = (
    r"(?:19|20)\d\d[-._ ]\d\d?[-._ ]\d\d?",  # 2026-11-26
    r"\d\d?[-._ ]\d\d?[-._ ](?:19|20)\d\d|\d\d?[-._]\d\d?[-._]\d\d",  # 11-26-2026, 26.11.26
    r"\d{8}",  # 20261126, 11262026
    rf"{MONTH}[-._ ]*{DAY}(?:[-,._ ]+(?:19|20)\d\d)?",  # Nov 26, November 26th, 2026
    rf"{DAY}[-._ ]*{MONTH}(?:[-,._ ]*(?:20)?\d\d)?",  # 26 Nov, 26-Nov-26
)
RANGE: Final = r"\s?(?:[-\u2013&]|to|and)\s?\d\d?(?!\d)"  # what makes the first of two days of Nov 24-26
DATE: Final = re.compile(rf"(?i)(?<!\d)(?<!\d[-.])(?:{'|'.join(SPELLINGS)})(?!\d)(?!{RANGE})")
PERIOD: Final = re.compile(
    r"(?i)(?<![a-z])(?:to|thru|through|from|since|until|ytd|(?:week|month|quarter|year)(?:ly)?)(?![a-z])"
)
FORMS: Final = ("%Y-%m-%d", "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%y", "%d-%m-%y", "%Y%m%d", "%m%d%Y", "%d%m%Y",
                "%b-%d-%Y", "%d-%b-%Y", "%d-%b-%y")  # fmt: skip
RECENT_DAYS: Final = timedelta(
    days=14
)  # age of a day without a year, or without an order of day and month; a swap is 27 or more
MIN_DAILY_FILES: Final = 2  # minimum number of files of one day each, without it in their names, of a daily folder
MIN_SHARE_OF_DAILY: Final = 0.9  # minimum share of such files, each of another day, since the first of them
SERIES_DAYS: Final = 28  # at least half of the first so many days of a series have files; a few old files are none


def days_of_files(files: Received, form: str | None, zone: ZoneInfo) -> dict[str, date]:
    """Return the day of each daily file and correction by path: by its name in the `form` of the source, or by `_dated`."""
    days = {}
    for path, file in files.items():
        with suppress(ValueError):
            if (day := named_day(path, form) or _dated(path, file, zone)) is not None:
                days[path] = day
    return days


def misfits(files: Received, form: str | None, zone: ZoneInfo) -> dict[date, str]:
    """Return sentences on files with one day in their names that are not the file of that day, by the day."""
    dated = days_of_files(files, form, zone)
    said = {}
    for path, file in files.items():
        name = PurePosixPath(path)
        readings = _readings(name.stem, file.received.astimezone(zone).year)
        if path not in dated and len(readings) == 1:
            [day] = readings
            is_early = file.received < day_start(day + ONE_DAY, zone)
            cause = "was written before the day was over" if is_early else "has rows of other days"
            said[day] = f"Its file {name.name} {f'is not used: {file.error}' if file.error else f'{cause}.'}"
    return said


def _dated(path: str, file: ReceivedFile, zone: ZoneInfo) -> date | None:
    """Return the day of a file with one date in its name, which was written after that day, and has no rows of others.

    A few rows may be of the night before or after. Without rows, a name that leaves the year or the order of day and month
    open is of a day shortly before the file was written.
    """
    written = file.received.astimezone(zone).date()
    readings = _readings(PurePosixPath(path).stem, written.year)
    if rows := set(days_with_rows(file)):
        fitting = [day for day in readings if day in rows and rows <= {day - ONE_DAY, day, day + ONE_DAY}]
    else:
        fitting = [day for day in readings if len(readings) == 1 or written - RECENT_DAYS <= day <= written]
    [day] = fitting if len(fitting) == 1 else [None]
    return day if day is not None and file.received >= day_start(day + ONE_DAY, zone) else None


@lru_cache(maxsize=100_000)  # sensors ask for the days of all files every few seconds
def _readings(stem: str, year: int) -> frozenset[date]:
    """Return the days that the one date in a name may mean, if it has no year in this `year` or the one before."""
    dates = DATE.findall(stem)
    if len(dates) != 1 or PERIOD.search(stem):
        return frozenset()
    parts = re.findall(r"\d+|[a-z]+", re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", dates[0].lower()))
    text = "-".join(part[:3] if part.isalpha() else part for part in parts)
    texts = [f"{text}-{of}" for of in (year, year - 1)] if len(parts) == 2 else [text]
    readings = set()
    for written, form in product(texts, FORMS):
        with suppress(ValueError):
            readings.add(datetime.strptime(written, form).date())
    return frozenset(day for day in readings if day >= FIRST_POSSIBLE_DAY)


def days_with_rows(file: ReceivedFile) -> list[date]:
    """Return the days of a file's rows, without a day under which rows without a usable time are filed."""
    return [day for day, (_, rows) in file.days.items() if rows]


def spans(files: Received) -> list[tuple[date, date]]:
    """Return the first and last day of the rows of files, without those of one day and those that lie within another."""
    days = filter(None, map(days_with_rows, files.values()))
    widest: list[tuple[date, date]] = []
    for first, last in sorted(
        {(min(of_file), max(of_file)) for of_file in days}, key=lambda span: (span[0], -span[1].toordinal())
    ):
        if first < last and (not widest or last > widest[-1][1]):
            widest.append((first, last))
    return widest


def daily_since(files: Received, form: str | None, zone: ZoneInfo) -> date | None:
    """Return the first day from which on files come a day each; None for other folders.

    Such files have a day in their names, in the `form` of the source or in one of the usual spellings, or have rows of one
    day each, from the second on. The days between the rows of other files and the first of them lack their files, too.
    Corrections may be of any day, and begin no series.
    """
    uncorrected = {path: file for path, file in files.items() if corrected_day(path) is None}
    named = set(days_of_files(uncorrected, form, zone).values())
    if form is not None:
        return _series_since(named)
    # By their days and not by their arrival, so that files count alike in whatever order they land.
    row_days = sorted(filter(None, map(days_with_rows, uncorrected.values())), key=lambda days: (min(days), -len(days)))
    first_daily = next((number for number, days in enumerate(row_days) if len(days) == 1), len(row_days))
    since = row_days[first_daily:]
    single = {days[0] for days in since if len(days) == 1}
    is_daily = len(single) >= max(MIN_DAILY_FILES, MIN_SHARE_OF_DAILY * len(since))
    first = _series_since(named | single if is_daily else named)
    histories = (days for days in row_days if len(days) > 1)
    earlier = [day for days in histories for day in days if first is not None and day < first]
    return max(earlier) + ONE_DAY if earlier else first


def _series_since(days: Collection[date]) -> date | None:
    """Return the first of the days with files from which on at least half of four weeks, or of those to the newest, have one."""
    ordered = sorted(days)
    for number, day in enumerate(ordered):
        stop = min(day + timedelta(days=SERIES_DAYS), ordered[-1] + ONE_DAY)
        if 2 * (bisect_left(ordered, stop) - number) >= (stop - day).days:
            return day
    return None
