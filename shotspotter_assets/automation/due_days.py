"""Days of a city whose stored rows, settings or states differ from those of its sources."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

from shotspotter_assets.alerts.days.day_decisions import day_decisions
from shotspotter_assets.alerts.days.day_table import DayTable, Decision
from shotspotter_assets.alerts.days.days_in_words import days_in_words, has_ended
from shotspotter_assets.alerts.days.known_days import Decisions
from shotspotter_assets.alerts.sources.snapshot import Snapshot
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.storage.catalogue import TENSORS, Asset
from shotspotter_assets.storage.wording import first_of, period

RECENT_DAYS: Final = 14  # days of a live source that `automation: recent` builds at first
MAX_NAMED: Final = 3  # maximum number of files that the reason for a day names


@dataclass(frozen=True)
class DueDay:
    """A day to build."""

    reason: str  # end of a sentence
    version: str  # rows, settings and state to store
    replaces: str  # version of the stored day; empty without one
    files: tuple[str, ...] = ()  # names of the files with its rows: all of a new day, the newest of a stored one


def named_files(due: Mapping[date, DueDay]) -> str:
    """Return the names of the files of successive days in brackets, those of the last day first; empty without any.

    A file without rows of the first or the last day is named with the days that its rows span.
    """
    files = dict.fromkeys(name for day in sorted(due, reverse=True) for name in due[day].files)
    days_of = {name: [day for day in due if name in due[day].files] for name in files}
    named = [
        name if {min(due), max(due)} <= {*days} else f"{name}: {days_in_words(days_between(min(days), max(days)))}"
        for name, days in days_of.items()
    ]
    return f" ({first_of(named, MAX_NAMED)})" if named else ""


@dataclass(frozen=True)
class DueDays:
    """The days to build, and reasons why other days wait."""

    last: date | None  # last day to store; None if the sources have no day that is over
    due: Mapping[date, DueDay]
    waits: Sequence[str] = ()  # reasons why days are not built, in words
    first_gap: date = date.max  # first day that is to be built or was left out


def due_days(city: City, snapshot: Snapshot, stored: Stored, now: datetime) -> DueDays:
    """Compare the stored days of a city with its sources."""
    today = now.astimezone(city.zone).date()
    if why_none := _why_no_day(city, snapshot, stored.table, now):
        return DueDays(None, {}, [why_none])
    # Days that were stored and are no longer due follow the sources, too.
    last_due = snapshot.last_due(now)
    yesterday = today - ONE_DAY
    last = max(last_due, min(max(stored.table.days, default=last_due), yesterday, city.end or yesterday))
    same = snapshot.stored_days(stored.table)
    other_rows = snapshot.day_rows(stored.table, same)
    states = day_decisions(city, snapshot.reports, snapshot.words, other_rows, last)
    reasons = _reasons(stored, snapshot, same, states)
    left_out = _left_out(city, snapshot, stored.table, last, reasons)
    days = {day: _due_day(snapshot, stored, day, reasons[day], states) for day in reasons if day not in left_out}
    # Incidents may have begun on the eve, so the days after those with other rows follow.
    eves = [day for day in days if day not in same and day < last]
    days |= {
        day + ONE_DAY: DueDay("follows a day with other rows", days[day].version, days[day].replaces)
        for day in eves
        if day + ONE_DAY in stored.table.days and day + ONE_DAY not in days
    }
    first_gap = min([*days, *left_out], default=date.max)
    silent = [address for address, answer in snapshot.polled.items() if answer.error]
    unanswered = min((snapshot.live[address] for address in silent), default=None)
    if unanswered is not None:
        # Runs that can only fail would use up their retries.
        days = {day: due for day, due in days.items() if day < unanswered}
    waits = _waits(city, left_out, unanswered, last, today)
    return DueDays(last, dict(sorted(days.items())), waits, first_gap)


def _why_no_day(city: City, snapshot: Snapshot, table: DayTable, now: datetime) -> str:
    """Return why no day of the city can be stored; empty if one can."""
    today = now.astimezone(city.zone).date()
    has_days = any(day < today for day in {*snapshot.rows, *snapshot.reported}) or bool(table.days)
    has_answer = any(not answer.error for answer in snapshot.polled.values())
    if not (has_days or has_answer or city.source.kind == "simulated"):
        return "No day that is over has landed yet."
    return f"The city starts on {city.start}." if snapshot.last_due(now) < city.start else ""


def _reasons(stored: Stored, snapshot: Snapshot, same: Collection[date], states: Decisions) -> dict[date, str]:
    """Return the reason for each day to build, as the end of a sentence; `same` days have the rows of the sources."""
    city = stored.city
    table = stored.table
    settings = settings_hash(city, Asset.GRID_TENSORS)
    gridded = stored.store.days_present(TENSORS, city.name)
    judged_by = (city.max_share_rejected, snapshot.is_box_doubted)

    def reason(day: date, decision: Decision) -> str:
        entry = table.days.get(day)
        if entry is None:
            return "is new"
        if day not in same:
            return "has other rows now"
        if entry.settings != settings:
            return "was stored with other settings of the city's file"
        if entry.rejected and (entry.max_share_rejected, entry.is_box_doubted) != judged_by:
            return "has unusable rows whose share must be decided again: by max_share_rejected, or by all rows outside the box"
        if (entry.state, entry.is_unusual) != (decision.state, decision.is_unusual):
            return f"was stored as {entry.state.replace('_', ' ')} and is decided again ({decision.why})"
        is_gridded = day in gridded and stored.origin(Asset.GRID_TENSORS, day).made_from == table.made_from(day)
        return "" if is_gridded else "is not counted by cell yet"

    return {day: text for day, state in states.items() if (text := reason(day, state))}


def _left_out(city: City, snapshot: Snapshot, table: DayTable, last: date, days: Collection[date]) -> list[date]:
    """Return the days that `automation: recent` leaves out: those of a live source before the last `RECENT_DAYS`."""
    if city.automation != "recent" or not snapshot.live or snapshot.landed:
        return []
    first = last - timedelta(days=RECENT_DAYS - 1)
    newest = max(table.days, default=date.min)
    if not has_ended(newest, last):
        first = min(first, newest + ONE_DAY)
    return sorted(day for day in days if day < first and day not in table.days)


def _due_day(snapshot: Snapshot, stored: Stored, day: date, reason: str, states: Decisions) -> DueDay:
    """Return a day to build, with the versions by which repeated requests for it are recognised."""
    city = stored.city
    entry = stored.table.days.get(day)
    rows = snapshot.rows.get(day, {})
    settings = f"{settings_hash(city, Asset.GRID_TENSORS)}{city.max_share_rejected}{snapshot.is_box_doubted}"
    files = snapshot.files_of(day)
    if entry is not None:  # the newest of them differs from what is stored, unless a file is gone
        present = {origin: version for origin, (version, _) in rows.items()}
        files = files[-1:] if present != entry.sources else []
    return DueDay(
        reason,
        f"{sorted(rows.items())}{settings}{states[day].state}",
        "" if entry is None else entry.version,
        tuple(PurePosixPath(path).name for path in files),
    )


def _waits(city: City, left_out: Sequence[date], unanswered: date | None, last: date, today: date) -> list[str]:
    """Return sentences on days that are not built."""
    waits = []
    if unanswered is not None:
        waits.append(f"Days from {max(unanswered, city.start)} are built once the source answers again.")
    if left_out:
        waits.append(
            f"No forecast or fold starts until all days of {period(left_out[0], left_out[-1])} are built. Write `automation: "
            "history` in the city's file, or materialize raw_alerts, cleaned_alerts and grid_tensors of these days."
        )
    if city.end is None and unanswered is None and has_ended(last, today):
        waits.append(
            f"The newest day is {last}. If the service has ended, write `end: {last}` in the city's file: with "
            "`automation: recent`, folds of the year before it are trained then."
        )
    return waits
