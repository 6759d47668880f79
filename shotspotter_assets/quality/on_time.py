"""Checks of a city's present: late alerts, days held back, and unusable landed files."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.finding import Finding, number_of
from shotspotter_assets.quality.row_shares import MAX_FILES_NAMED
from shotspotter_assets.sources.day_table import DayTable, silence_chance

USUAL_DAYS: Final = 120
MIN_SILENCE_DAYS: Final = 3  # minimum length of a silence; many publishers are two days behind
MIN_SILENCE_CHANCE: Final = 1e-4
ENDED_DAYS: Final = 365  # silence after which a source has ended
MAX_PERIODS_SHOWN: Final = 3


def alerts_on_time(table: DayTable, city: City, yesterday: date, due: date, last_issued: date | None = None) -> Finding:
    """Check that the newest alerts, whose rows must be there to the day `due`, are not older than usual."""
    newest = max((at for at, day in table.days.items() if day.rows and day.state != "held_back"), default=None)
    if newest is None:
        return Finding(True, "No alerts are stored yet.")
    usual = days_between(newest - timedelta(days=USUAL_DAYS), newest)
    counts = np.array([table.days[day].rows if day in table.days else 0 for day in usual])[-len(table.days) :]
    late = (due - newest).days
    is_late = late >= MIN_SILENCE_DAYS and silence_chance(counts, late) < MIN_SILENCE_CHANCE
    if is_late and late > ENDED_DAYS:
        return Finding(True, f"The source has ended: its last alerts are of {newest}.")
    lead = (yesterday - (table.last_counted(yesterday) or newest)).days + 1
    messages: dict[str, str] = {}
    if is_late:
        remedy = "whether the publisher has newer alerts and whether raw_alerts was materialized for the last days"
        messages["days_late"] = f"No alerts for {late} days, usual are {counts.mean():.1f} a day. Check {remedy}."
    if city.publication.longest_lead < lead <= ENDED_DAYS:
        issued = "" if last_issued is None else f"; the forecast issued on {last_issued} is out of date"
        too_old = f"the day to forecast is {lead} days after the last known day{issued}"
        messages["lead"] = f"No forecast is issued: {too_old}. See publication.longest_lead of the city's file."
    numbers = {name: number for name, number in (("days_late", late), ("lead", lead)) if name in messages}
    message = " ".join(messages.values()) or f"The newest alerts are of {newest}, on time."
    return Finding(not messages, message, numbers)


def usable_days(table: DayTable) -> Finding:
    """Check that no day is held back because most of its rows cannot be used."""
    held_back = table.in_state("held_back")
    if not held_back:
        return Finding(True, "The rows of every day can be used.")
    reasons: dict[str, list[date]] = {}
    for at, day in sorted(held_back.items(), reverse=True):
        reasons.setdefault(day.why, []).append(at)
    described = [f"{days[-1]}{f' to {days[0]}' if len(days) > 1 else ''}: {why}" for why, days in reasons.items()]
    more = f" And {len(reasons) - MAX_PERIODS_SHOWN} more periods." if len(reasons) > MAX_PERIODS_SHOWN else ""
    until = "in no model and no score until the landed file or the city's file is corrected"
    periods = f"{' '.join(described[:MAX_PERIODS_SHOWN])}{more}"
    message = f"{number_of(len(held_back), 'day')} held back: {until}. {periods}"
    rejected = {at: float(day.rejected) for at, day in held_back.items()}
    return Finding(False, message, {"held_back_days": len(held_back)}, rejected)


def readable_files(unusable: Mapping[str, str], folders: Sequence[str] = ()) -> Finding:
    """Check that landed files are usable (`unusable`: reasons by path); `folders` are messages about empty ones."""
    if not unusable and not folders:
        return Finding(True, "Every landed file can be read.")
    bad = [f"{PurePosixPath(path).name} ({why})" for path, why in sorted(unusable.items())]
    named = bad[:MAX_FILES_NAMED] + ([f"and {len(bad) - MAX_FILES_NAMED} more"] if len(bad) > MAX_FILES_NAMED else [])
    remedy = "left out until they are replaced, removed or described by the city's file"
    messages = [f"{len(bad)} landed files are {remedy}: {'; '.join(named)}.", *folders] if bad else folders
    return Finding(False, " ".join(messages), {"unreadable": len(bad) + len(folders)})
