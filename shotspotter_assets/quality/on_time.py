"""Late alerts and unreadable landed files of a city: checks of the present, not of stored days."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from pydantic import BaseModel

from shotspotter_assets.calendar.local_time import dates_of, days_between, rows_by_day
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.usual import MIN_SILENT_DAYS
from shotspotter_assets.sources.known_days import MIN_CHANCE, learned_days_late, silence_chance
from shotspotter_assets.sources.unreadable import Unreadable
from shotspotter_assets.storage.file_names import ALERTS_FILE, QUALITY, RHYTHM_FILE
from shotspotter_assets.storage.store import Partition, Store

RHYTHM_DAYS: Final = 120
"""Stored days from which a city's rhythm is learned: four months hold enough ordinary days."""

MAX_CHANCE: Final = 1e-4
"""Probability of a silence below which a city is late."""

ENDED_DAYS: Final = 365
"""A source that is silent for longer than a year has ended."""

MAX_FILES_SHOWN: Final = 5


class Rhythm(BaseModel):
    """Usual volume and lateness of a city, from its newest stored days."""

    newest: date
    """The last day with alerts."""
    counts: list[int]
    """Alerts of the days up to `newest`; 0 for a day that is not stored."""
    days_late: int | None
    """Usual delay of a day's rows, learned from their times of arrival; None where it is not known."""


def keep_rhythm(store: Store, city: City) -> Rhythm | None:
    """Learn the rhythm of the stored raw alerts, and store it; None without alerts."""
    stored = store.days_present("raw_alerts", city.name, ALERTS_FILE)
    last = max(stored, default=city.start)
    first = last - timedelta(days=RHYTHM_DAYS)
    rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, first, last, ["received_at"])
    rhythm = None
    if rows is not None and len(rows):
        dates = dates_of(rows)
        newest = dates.max().astype(date)
        counts = rows_by_day(dates, days_between(dates.min().astype(date), newest))
        # Simulated alerts come whenever they are requested.
        late = None if city.source.kind == "simulated" else learned_days_late(dates, rows["received_at"], city)
        rhythm = Rhythm(newest=newest, counts=list(counts.values()), days_late=late)
    content = b"null" if rhythm is None else rhythm.model_dump_json().encode()
    store.write_bytes(Partition(QUALITY, city.name), RHYTHM_FILE, content)
    return rhythm


def kept_rhythm(store: Store, city: City) -> Rhythm | None:
    """The stored rhythm, or the present one where none is stored."""
    partition = Partition(QUALITY, city.name)
    if not store.exists(partition, RHYTHM_FILE):
        return keep_rhythm(store, city)
    content = store.read_bytes(partition, RHYTHM_FILE)
    return None if content == b"null" else Rhythm.model_validate_json(content)


def alerts_on_time(rhythm: Rhythm | None, city: City, yesterday: date, last_issued: date | None = None) -> Finding:
    """The city's newest alerts are not older than its rhythm and its publication rule allow.

    `yesterday` is the last day that is over on the city's clock, `last_issued` the issue date of its last forecast.
    """
    if rhythm is None:
        return Finding(True, "No alerts are stored yet.")
    complete = city.publication.complete_through(yesterday + timedelta(days=1))
    due = yesterday - timedelta(days=rhythm.days_late or 0) if complete is None else complete
    late, silence = (due - rhythm.newest).days, (yesterday - rhythm.newest).days
    counts = np.array(rhythm.counts)
    is_late = late >= MIN_SILENT_DAYS and silence_chance(counts, late) < MAX_CHANCE
    if is_late and late > ENDED_DAYS:
        return Finding(True, f"The source has ended: its last alerts are of {rhythm.newest}.")
    # However plausible a silence is, days whose alerts are not due yet are unknown.
    last_known = max(rhythm.newest, due) if silence_chance(counts, silence) >= MIN_CHANCE else rhythm.newest
    lead = (yesterday - last_known).days + 1
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
    return Finding(not messages, " ".join(messages) or f"The newest alerts are of {rhythm.newest}, on time.", numbers)


def readable_files(files: Mapping[str, Unreadable]) -> Finding:
    """No landed file is left out because it cannot be read, and no folder of a city with several sources is empty.

    Args:
        files: unreadable files and empty folders of a city by path.
    """
    if not files:
        return Finding(True, "Every landed file can be read.")
    folders = [file.error for _, file in sorted(files.items()) if file.is_folder]
    bad = [f"{PurePosixPath(path).name} ({file.error})" for path, file in sorted(files.items()) if not file.is_folder]
    more = len(bad) - MAX_FILES_SHOWN
    left_out = (
        f"{len(bad)} landed files are left out until they are replaced, removed or described by the city's file: "
        f"{'; '.join(bad[:MAX_FILES_SHOWN])}{f'; and {more} more' if more > 0 else ''}."
    )
    return Finding(False, " ".join([*([left_out] if bad else []), *folders]), {"unreadable": len(files)})
