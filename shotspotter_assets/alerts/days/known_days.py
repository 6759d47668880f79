"""The rules by which days are known: a day without rows counts if something reported it, and its silence is plausible.

| report about a day without rows | state | longest plausible silence |
| --- | --- | --- |
| a person's word (`quiet_2026-11-28` in the landing folder) | known | rarer than one in a million is unknown |
| a landed file that covers the day | known | the same |
| a row of a later day from the same source | known | the same |
| an answer of an API, later than its rows usually come | silent | rarer than one in a thousand is unknown |
| the simulation | known | any |
| none, or a file that is missing or cannot be used in a folder with a file for each day | unknown | |

The first source of a city's file decides, from the first day that it is asked for or has a file of. The next source
decides about earlier days, so that files may hold the history of a live source. Rows of one source report nothing about
another one. Days before the first row are unknown, unless a file, a person or a gateway with complete answers reports them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from math import log
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.alerts.days.day_table import Day, DayRows, Decision, Found
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.arrays import Array, Integers

HAS_ROWS: Final = Decision("known", "It has rows.")
QUIET: Final = "A person reports no alerts."
NO_FILE: Final = "The folder has no complete file of this day."
MIN_CHANCE_OF_ANSWERED: Final = 1e-3  # rarer silences in answers count as days that are not published yet
MIN_CHANCE_OF_REPORTED: Final = 1e-6  # rarer silences count as an outage, even if a source reported them
MIN_SILENCE_DAYS: Final = 3  # minimum length of such a silence
YEAR_DAYS: Final = 365
ARRIVAL_DAYS: Final = 120  # number of days from whose arrivals lateness is learned
LEVEL_DAYS: Final = 56  # follows the seasons, and is exact to about 10% at ten alerts a day
MIN_DISPERSION: Final = 0.05  # minimum of (variance - mean) / mean squared, as in New York
MAX_DISPERSION: Final = 2.0
MIN_ARRIVALS: Final = 5  # minimum number of days with newer rows from which lateness is learned
CAP_QUANTILE: Final = 0.98  # counts above are cut: one extreme day must neither widen the range nor excuse silence
MIN_SHARE_OF_FILES: Final = 0.9  # minimum share of days with a file, or with rows, for a missing file to be a gap
MIN_SERIES_DAYS: Final = 14  # minimum age of a series of daily files in which missing ones may be days without alerts

Decisions = dict[date, Decision]


@dataclass(frozen=True)
class SourceReport:
    """Reports of one source about days without rows."""

    gives: Callable[[str], bool] | None = None  # True for the folder or address of its rows; None for a single source
    since: date | None = None  # first day that a live source is asked for; None: it begins with its first row or file
    files: Mapping[date, str] = field(default_factory=dict)  # names of landed files by the day that they cover
    unused_files: Mapping[date, str] = field(default_factory=dict)  # why the file of a day is not used, in words
    misfits: Mapping[date, str] = field(default_factory=dict)  # why a file with the day in its name is not the day's
    spans: Sequence[tuple[date, date]] = ()  # first and last day of the rows of files of several days
    daily_since: date | None = None  # day from which on files come a day each; None for other sources
    answered_on: date | None = None  # local day of the last answer of an API; None without one
    is_complete: bool = False  # True for a simulation, whose silence is part of it


def decide_days(
    city: City, reports: Sequence[SourceReport], quiet: Collection[date], found: Found, last: date
) -> Decisions:
    """Return the state of each day to `last`, and why.

    `reports` are in the order of the city's sources, `quiet` days without alerts by a person's word, and `found` has the
    days with rows.
    """
    days = days_between(city.start, last)
    nothing_yet = "It lies before the first row of the source." if found else "No day has rows."
    decisions = dict.fromkeys(days, Decision("unknown", nothing_yet))
    decisions |= dict.fromkeys(decisions.keys() & set(quiet), Decision("known", QUIET))
    for report in reversed(reports):
        decisions.update(_Timeline(city, report, quiet, found, days).decisions())
    held_back = {day: Decision("held_back", rows.held_back) for day, rows in found.items() if rows.held_back}
    return decisions | {day: held_back[day] for day in decisions.keys() & held_back.keys()}


@dataclass(frozen=True)
class _Timeline:
    """The days of a city as one source reports them."""

    city: City
    report: SourceReport
    quiet: Collection[date]
    found: Found
    days: list[date]

    def decisions(self) -> Iterator[tuple[date, Decision]]:
        """Yield the decision about each day from the first one that the source decides about."""
        begins = min(filter(None, [self.report.since, self.first]), default=None)
        if begins is None:
            return
        start = max((begins - self.days[0]).days, 0)
        yield from ((day, HAS_ROWS) for day in self.days[start:] if day in self.own)
        for silence in silences(self.counts, start):
            yield from self._silent_days(silence)

    @cached_property
    def own(self) -> Mapping[date, Day | DayRows]:
        """Days with usable rows of the source."""
        usable = {day: rows for day, rows in self.found.items() if rows.rows and not rows.held_back}
        gives = self.report.gives
        return {day: rows for day, rows in usable.items() if gives is None or any(map(gives, rows.origins))}

    @cached_property
    def counts(self) -> Integers:
        """Rows of the source by day, shape (days,)."""
        return np.array([self.own[day].rows if day in self.own else 0 for day in self.days], dtype=np.int64)

    @cached_property
    def first(self) -> date | None:
        """First day with a row or a file; for a simulation, the city's first day."""
        start = self.days[:1] if self.report.is_complete else []
        return min([*start, *self.own, *self.report.files], default=None)

    @cached_property
    def answered(self) -> tuple[date, date]:
        """First and last day that an answer reports; the last one is before the first one without such an answer."""
        asked_on = self.report.answered_on
        due = None if asked_on is None else rows_due(self.city, self.own, asked_on)
        is_gateway = self.city.publication.answers_at_once
        first = self.days[0] if is_gateway else min(self.own, default=date.max)
        return first, due or date.min

    @cached_property
    def gaps_from(self) -> date:
        """Day from which on a missing file is a gap, as nearly all days have a file or rows, or it is too early to tell."""
        since = self.report.daily_since
        if since is None or not self.own:
            return date.max
        share_with_files = self._share({*self.own, *self.report.files}, since)
        share = max(share_with_files, self._share(self.own, min(self.own)))
        is_new = (max(self.own) - since).days < MIN_SERIES_DAYS
        return since if is_new or share >= MIN_SHARE_OF_FILES else date.max

    def _share(self, days: Collection[date], first: date) -> float:
        """Return the share of the days from `first` to the newest row that are among `days`."""
        span = days_between(first, max(self.own))
        return sum(day in days for day in span) / max(len(span), 1)

    def _silent_days(self, silence: range) -> Iterator[tuple[date, Decision]]:
        """Yield the decisions about consecutive days without rows."""
        days = self.days[silence.start : silence.stop]
        before = self.counts[: silence.start]
        first, last = self.answered
        is_past = silence.stop < len(self.days)
        why = {day: self._why_reported(day, is_past=is_past) for day in days}
        reported = [day for day in days if why[day]]
        answered = [day for day in days if why[day] or first <= day <= last]
        outage = unpublished = None
        if len(reported) >= MIN_SILENCE_DAYS and not self.report.is_complete:
            outage = implausible(before, reported, MIN_CHANCE_OF_REPORTED)
        if len(answered) > len(reported):
            unpublished = implausible(before, answered, MIN_CHANCE_OF_ANSWERED)
        for day in days:
            if why[day]:
                yield day, outage or Decision("known", why[day])
            elif day in self.report.unused_files:
                yield day, Decision("unknown", self.report.unused_files[day])
            elif is_past and day >= self.gaps_from:
                yield day, Decision("unknown", self.report.misfits.get(day, NO_FILE))
            elif day in answered:
                plausible = f"{len(answered)} days without a row from {days[0]} are plausible at the city's usual rate."
                yield day, unpublished or Decision("silent", plausible)
            else:
                yield day, Decision("unknown", f"Nothing has come after {self.days[max(silence.start - 1, 0)]}.")

    def _why_reported(self, day: date, *, is_past: bool) -> str:
        """Return the report of a day without rows, in words; "" without one. Answers of APIs are left out."""
        if self.report.is_complete:
            return "The source reports no alerts."
        if day in self.quiet:
            return QUIET
        if day in self.report.files:
            return f"Its file {self.report.files[day]} has no rows of this day."
        if not is_past or day in self.report.unused_files or self.first is None or day <= self.first:
            return ""
        is_within_a_file = any(first < day < last for first, last in self.report.spans)
        return "Later days have rows." if day < self.gaps_from or is_within_a_file else ""


def silences(counts: Integers | Array, start: int = 0) -> list[range]:
    """Return the runs of days without rows from a position on; NaN is no silence."""
    is_silent = np.r_[False, counts[start:] == 0, False]
    edges = np.flatnonzero(np.diff(is_silent.astype(np.int8))).reshape(-1, 2) + start
    return [range(first, stop) for first, stop in edges.tolist()]


def implausible(counts: Integers, days: Sequence[date], min_chance: float) -> Decision | None:
    """Return the decision about days without a row that are rarer than a chance after `counts`; None for other days."""
    level = counts[-LEVEL_DAYS:]
    # No dispersion makes a negative binomial silence rarer than a Poisson one, which is quickly excluded.
    if not len(level) or len(days) * int(level.sum()) < -log(min_chance) * len(level):
        return None
    why = f"{len(days)} days without a row from {days[0]} are implausible at the city's usual rate."
    return Decision("unknown", why) if silence_chance(counts, len(days)) < min_chance else None


def silence_chance(counts: npt.NDArray[np.integer], days: int) -> float:
    """Return the probability (negative binomial) of that many days without a row after a year or less with `counts`."""
    year = counts[-YEAR_DAYS:].astype(np.float64)
    if not year.any():
        return 1.0
    capped = np.minimum(year, max(np.ceil(np.quantile(year, CAP_QUANTILE)), 1))
    width = min(LEVEL_DAYS, len(capped))
    window = np.ones(width)
    level = np.convolve(capped, window, "same") / np.convolve(np.ones(len(capped)), window, "same")
    excess = float(((capped - level) ** 2 - level).sum() / max((level**2).sum(), 1e-9))
    dispersion = min(max(excess, MIN_DISPERSION), MAX_DISPERSION)
    mean = min(float(capped.mean()), float(capped[-LEVEL_DAYS:].mean()))
    return float(np.exp(-days * np.log1p(dispersion * mean) / dispersion))


def rows_due(city: City, found: Found, today: date) -> date | None:
    """Return the last day whose rows must be there by the city's rule, or else as learned; None with too few arrivals.

    The learned lateness is the minimum number of days between a day's end and its first rows, because the newest row of a quiet
    city may be older. A history that is read at once is one arrival.
    """
    if (complete := city.publication.complete_through(today)) is not None:
        return complete
    newest_on: dict[date, date] = {}
    for day in sorted(found)[-ARRIVAL_DAYS:]:
        if (received := found[day].received) is not None:
            newest_on[received.astimezone(city.zone).date()] = day
    late = []
    newest = date.min
    for received_on, day in sorted(newest_on.items()):
        if day > newest:
            late.append((received_on - day).days - 1)
            newest = day
    return today - timedelta(days=1 + max(min(late), 0)) if len(late) >= MIN_ARRIVALS else None
