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

RHYTHM_DAYS: Final = 120
"""Days of a city's usual volume: four months hold enough ordinary days."""
MIN_SILENCE_DAYS: Final = 3
"""Minimum length of a silence; many publishers are two days behind."""
MAX_SILENCE_CHANCE: Final = 1e-4
"""Probability of a silence below which a city is late."""
ENDED_DAYS: Final = 365
"""Silence after which a source has ended."""
MAX_PERIODS_SHOWN: Final = 3


def alerts_on_time(table: DayTable, city: City, yesterday: date, due: date, last_issued: date | None = None) -> Finding:
    """Check that the newest alerts are not older than usual volume and publication rule allow.

    Args:
        yesterday: last complete day on the city's clock.
        due: last day whose rows must be there.
        last_issued: issue date of the last forecast.
    """
    newest = max((at for at, day in table.days.items() if day.rows and day.state != "held_back"), default=None)
    if newest is None:
        return Finding(True, "No alerts are stored yet.")
    usual = days_between(newest - timedelta(days=RHYTHM_DAYS), newest)
    counts = np.array([table.days[day].rows if day in table.days else 0 for day in usual])[-len(table.days) :]
    late = (due - newest).days
    is_late = late >= MIN_SILENCE_DAYS and silence_chance(counts, late) < MAX_SILENCE_CHANCE
    if is_late and late > ENDED_DAYS:
        return Finding(True, f"The source has ended: its last alerts are of {newest}.")
    lead = (yesterday - (table.last_counted(yesterday) or newest)).days + 1
    messages, numbers = [], dict[str, float | int | str]()
    if is_late:
        numbers["days_late"] = late
        messages.append(
            f"No alerts for {late} days, usual are {counts.mean():.1f} a day. Check whether the publisher has newer alerts and "
            "whether raw_alerts was materialized for the last days."
        )
    if city.publication.longest_lead < lead <= ENDED_DAYS:
        numbers["lead"] = lead
        issued = "" if last_issued is None else f"; the forecast issued on {last_issued} is out of date"
        messages.append(
            f"No forecast is issued: the day to forecast is {lead} days after the last known day{issued}. See "
            "publication.longest_lead of the city's file."
        )
    return Finding(not messages, " ".join(messages) or f"The newest alerts are of {newest}, on time.", numbers)


def usable_days(table: DayTable) -> Finding:
    """Check that no day is held back because most of its rows cannot be used."""
    held_back = table.in_state("held_back")
    if not held_back:
        return Finding(True, "The rows of every day can be used.")
    reasons: dict[str, list[date]] = {}
    for at, day in sorted(held_back.items(), reverse=True):
        reasons.setdefault(day.why, []).append(at)
    described = [
        f"{days[-1]}{f' to {days[0]}' if len(days) > 1 else ''}: {why}"
        for why, days in list(reasons.items())[:MAX_PERIODS_SHOWN]
    ]
    more = f" And {len(reasons) - MAX_PERIODS_SHOWN} more periods." if len(reasons) > MAX_PERIODS_SHOWN else ""
    message = (
        f"{number_of(len(held_back), 'day')} held back: in no model and no score until the landed file or the city's file "
        f"is corrected. {' '.join(described)}{more}"
    )
    rejected = {at: float(day.rejected) for at, day in held_back.items()}
    return Finding(False, message, {"held_back_days": len(held_back)}, rejected)


def readable_files(unusable: Mapping[str, str], folders: Sequence[str] = ()) -> Finding:
    """Check that landed files are usable (`unusable`: reasons by path); `folders` are messages about empty ones."""
    if not unusable and not folders:
        return Finding(True, "Every landed file can be read.")
    bad = [f"{PurePosixPath(path).name} ({why})" for path, why in sorted(unusable.items())]
    more = len(bad) - MAX_FILES_NAMED
    left_out = (
        f"{len(bad)} landed files are left out until they are replaced, removed or described by the city's file: "
        f"{'; '.join(bad[:MAX_FILES_NAMED])}{f'; and {more} more' if more > 0 else ''}."
    )
    return Finding(False, " ".join([*([left_out] if bad else []), *folders]), {"unreadable": len(bad) + len(folders)})
