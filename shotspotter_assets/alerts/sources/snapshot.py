"""A snapshot of a city's sources: the rows that they hold of each day now, by folder or address."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter

from shotspotter_assets.alerts.days.day_table import Day, DayRows, DayTable
from shotspotter_assets.alerts.days.day_words import NO_WORDS, Words
from shotspotter_assets.alerts.days.days_in_words import has_ended, last_awaited
from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.alerts.sources.alert_source import AlertSource, SourceError
from shotspotter_assets.alerts.sources.landing.folder import Landed, LandingFolder
from shotspotter_assets.alerts.sources.landing.received import (
    ReceivedFile,
    is_set_aside,
    read_received,
    unusable_files,
    write_received,
)
from shotspotter_assets.alerts.sources.schema import SIMULATED, rows_by_origin
from shotspotter_assets.alerts.sources.tabular_settings import ApiSettings, Patience
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.storage.catalogue import POLLED
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of, period

POLLED_DAYS: Final = 200  # days of a live source that a poll compares. Some publishers load a quarter at a time
PATIENCE: Final = Patience(answer_seconds=20, retries=1)
"""Time-outs of a poll, which is soon repeated; runs have those of the city's file."""
MIN_ROWS_OUTSIDE: Final = 10
MAX_SHARE_OUTSIDE: Final = 0.2  # of real cities at most 3% of the rows lie outside their districts


class Polled(BaseModel):
    """The last answer of a live source about the days `first` to `last`."""

    asked_at: datetime
    first: date
    last: date
    days: dict[date, tuple[str, int]] = {}  # version and number of the rows of each day that has any
    error: str = ""  # reason why the last poll failed; empty if it did not


_POLLED: Final = TypeAdapter(dict[str, Polled])


@dataclass(frozen=True)
class Snapshot:
    """The rows that the sources of a site hold."""

    site: Site
    landed: Sequence[Landed] = ()  # contents of the landing folders
    live: Mapping[str, date] = field(default_factory=dict)  # first day of each live source by address
    polled: Mapping[str, Polled] = field(default_factory=dict)  # last answers of the live sources by address
    reports: Sequence[SourceReport] = ()  # reports about days without rows, in the order of the sources
    words: Words = NO_WORDS  # a person's words about days

    @cached_property
    def rows(self) -> dict[date, dict[str, tuple[str, int]]]:
        """Version and number of the rows of each day by folder or address; days without rows have none."""
        rows: dict[date, dict[str, tuple[str, int]]] = {}
        for folder in self.landed:
            for day, version in folder.rows.items():
                rows.setdefault(day, {})[folder.address] = version
        for address, answer in self.polled.items():
            for day, version in answer.days.items():
                rows.setdefault(day, {})[address] = version
        return rows

    @property
    def folders_without_files(self) -> list[str]:
        """A message for each folder without files."""
        return [folder.without_files for folder in self.landed if folder.without_files]

    @cached_property
    def files(self) -> dict[str, ReceivedFile]:
        """Landed files by path."""
        return {path: file for folder in self.landed for path, file in folder.files.items()}

    @cached_property
    def addresses(self) -> dict[str, str]:
        """Folders of the landed files, by path."""
        return {path: folder.address for folder in self.landed for path in folder.files}

    def files_of(self, day: date) -> list[str]:
        """Return the landed files with rows of a day by receipt; of files with equal rows, the first."""
        paths = [path for folder in self.landed for path in folder.paths.get(day, ())]
        return sorted(paths, key=lambda path: (self.files[path].received, path))

    @property
    def unusable(self) -> dict[str, str]:
        """Reasons why landed files are not used, by path."""
        return unusable_files(self.files, self.site)

    @cached_property
    def is_box_doubted(self) -> bool:
        """True if so many rows of landed files lie outside the city's box that the box is probably wrong."""
        used = [file.places for path, file in self.files.items() if not is_set_aside(path, file, self.site)]
        return is_doubtful(sum(places.outside for places in used), sum(places.points for places in used))

    def _covers(self, origin: str, day: date) -> bool:
        if origin in self.live:
            answer = self.polled.get(origin)
            return answer is not None and answer.first <= day <= answer.last
        return origin != SIMULATED

    def stored_days(self, table: DayTable) -> set[date]:
        """Return the stored days whose rows are those of the snapshot, as far as it has them."""
        same = set()
        for day, stored in table.days.items():
            now = {origin: version for origin, (version, _) in self.rows.get(day, {}).items()}
            before = stored.sources
            if now == before or now == {name: before[name] for name in before if self._covers(name, day)}:
                same.add(day)
        return same

    def day_rows(self, table: DayTable, same: Collection[date]) -> dict[date, Day | DayRows]:
        """Return the rows of each day: of `same` (see `stored_days`) those that are stored, of others the snapshot's."""
        rows_of_day: dict[date, Day | DayRows] = {day: table.days[day] for day in same}
        for day in self.rows.keys() - same:
            origins = self.rows[day]
            times = [self.files[path].received for path in self.files_of(day)]
            times += [self.polled[origin].asked_at for origin in origins if origin in self.polled]
            rows = sum(rows for _, rows in origins.values())
            rows_of_day[day] = DayRows(rows, min(times, default=None), origins=origins.keys())
        return rows_of_day

    def of_first_source(self, rows: pa.Table) -> pa.Table:
        """Return the rows of the first source, from whose arrivals its lateness is learned."""
        gives = self.reports[0].gives
        names = pc.unique(rows["received_from"]).to_pylist()
        of_source = [name for name in names if gives is None or gives(self.addresses.get(name, name))]
        return rows.filter(pc.is_in(rows["received_from"], pa.array(of_source, pa.string())))

    @property
    def reported(self) -> set[date]:
        """Days that a person, or a file of the first source, has reported, with rows or without."""
        return {*self.words.quiet, *(day for report in self.reports[:1] for day in report.files)}

    def last_due(self, now: datetime) -> date:
        """Return the last day to store: the last awaited one, or yesterday once a source has its rows, its file or its end."""
        yesterday = now.astimezone(self.site.zone).date() - timedelta(days=1)
        reported = [day for day in {*self.rows, *self.reported} if day <= yesterday]
        is_complete = any(report.is_complete for report in self.reports)
        is_over = is_complete or yesterday in reported
        last = yesterday if is_over else last_awaited(self.site, now, DayTable())
        newest = max(reported, default=None)
        if newest is not None and has_ended(newest, yesterday):
            last = newest
        return min(last, self.site.end or last)

    def waits(self, today: date) -> list[str]:
        """Return sentences on rows that cannot be stored yet."""
        waits = [file for landed in self.landed for file in landed.in_transfer]
        said = [f"Left alone until transferred: {', '.join(waits)}."] if waits else []
        for landed in self.landed:
            if landed.unread:
                said.append(f"The next tick reads {number_of(landed.unread, 'more file')}.")
            if landed.gone:
                rows = sum(landed.files[path].rows for path in landed.gone)
                gone = f"{number_of(len(landed.gone), 'file')} with most of the rows ({rows:,}) cannot be found; their rows stay"
                said.append(f"{gone}. Put them back, or withdraw them in smaller parts.")
        if today in self.rows:
            early = sum(rows for _, rows in self.rows[today].values())
            files = ", ".join(PurePosixPath(path).name for path in self.files_of(today))
            said.append(
                f"{number_of(early, 'row')} of {today} cannot be stored before the day is over{files and f' ({files})'}."
            )
        for path, file in sorted(self.files.items()):
            if future := {day: rows for day, (_, rows) in file.days.items() if day > today}:
                dated = (
                    f"{number_of(sum(future.values()), 'row')} dated in the future, {period(min(future), max(future))}"
                )
                wait = "They wait for their days; if the dates are wrong, replace the file."
                said.append(f"{path} has {dated}. {wait}")
        said += [*self.folders_without_files, *(answer.error for answer in self.polled.values() if answer.error)]
        return [*said, *self.unusable.values()]


def is_doubtful(outside: int, rows: int) -> bool:
    """Return True if so many rows lie outside a box that it is probably wrong; a few alerts are heard across any edge."""
    return outside >= MIN_ROWS_OUTSIDE and outside > MAX_SHARE_OUTSIDE * rows


def take_snapshot(
    site: Site,
    readers: Sequence[AlertSource],
    store: Store,
    now: datetime,
    *,
    poll_seconds: float | None,
    max_seconds: float = float("inf"),
    words: Words = NO_WORDS,
) -> Snapshot:
    """Read the present state of a site's sources, and keep it in the store; raise SourceError if a folder cannot be listed.

    Live sources are asked if their last answer is older than `poll_seconds`, None for never; files wait after `max_seconds`.
    """
    live = [reader for reader in readers if reader.is_live]
    landed = [reader.refresh(max_seconds) for reader in readers if isinstance(reader, LandingFolder)]
    polled = _answers(site, live, store, now, poll_seconds)
    snapshot = Snapshot(
        site=site,
        landed=landed,
        live={reader.address: reader.since for reader in live},
        polled=polled,
        reports=source_reports(site, readers, polled, now),
        words=words,
    )
    # Another process may have received a file of a present folder meanwhile.
    present = tuple(f"{reader.folder}/" for reader in readers if isinstance(reader, LandingFolder))
    received = read_received(store, site.name)
    if others := {path: file for path, file in received.items() if not path.startswith(present)}:
        write_received(store, site.name, others, {})  # of folders that the city's file no longer names
    return snapshot


def _answers(
    site: Site, readers: Sequence[AlertSource], store: Store, now: datetime, poll_seconds: float | None
) -> dict[str, Polled]:
    """Return the last answers of live sources by address; sources whose answer is old are asked."""
    polled = dict(store.read_index(POLLED, site.name, _POLLED.validate_json) or {})
    for reader in readers if poll_seconds is not None else ():
        before = polled.get(reader.address)
        if before is None or (now - before.asked_at).total_seconds() >= (poll_seconds or 0.0):
            answer = _poll(site, reader, before, now)
            polled = polled | {reader.address: answer}
            _record_answer(store, site.name, reader.address, answer)
    return {reader.address: polled[reader.address] for reader in readers if reader.address in polled}


def source_reports(
    site: Site, readers: Sequence[AlertSource], polled: Mapping[str, Polled], now: datetime
) -> list[SourceReport]:
    """Return the reports of a site's sources; live ones that were never polled are taken to answer now."""
    reports = []
    for reader in readers:
        report = reader.report() if len(readers) > 1 else replace(reader.report(), gives=None)
        if reader.is_live:
            answer = polled.get(reader.address)
            asked_on = now.astimezone(site.zone).date() if answer is None else answer.last + timedelta(days=1)
            has_answered = answer is None or answer.first <= answer.last
            since = max(reader.since, site.start)
            report = replace(report, since=since, answered_on=asked_on if has_answered else None)
        reports.append(report)
    return reports


def impatient(site: Site) -> Site:
    """Return the site with `PATIENCE` for its live sources."""
    sources = (
        source.model_copy(update={"patience": PATIENCE}) if isinstance(source, ApiSettings) else source
        for source in site.sources
    )
    return replace(site, sources=tuple(sources))


def record_answer(store: Store, city: str, rows: pa.Table, first: date, last: date) -> None:
    """Replace the earlier answer about some days by the rows that a run has just read (`RAW_SCHEMA`).

    An answer about the days after the earlier one makes it longer.
    """
    by_origin = rows_by_origin(rows)

    def answered(address: str, answer: Polled) -> Polled:
        others = {day: version for day, version in answer.days.items() if not first <= day <= last}
        reaches_to = max(answer.last, last) if first <= answer.last + timedelta(days=1) else answer.last
        return answer.model_copy(update={"days": others | _days_from(by_origin, address), "last": reaches_to})

    def changed(polled: dict[str, Polled] | None) -> bytes | None:
        answers = {address: answered(address, answer) for address, answer in (polled or {}).items()}
        return _POLLED.dump_json(answers) if answers else None

    store.update(POLLED, city, _POLLED.validate_json, changed)


def _record_answer(store: Store, city: str, address: str, answer: Polled) -> None:
    def changed(polled: dict[str, Polled] | None) -> bytes:
        return _POLLED.dump_json((polled or {}) | {address: answer})

    store.update(POLLED, city, _POLLED.validate_json, changed)


def _poll(site: Site, reader: AlertSource, before: Polled | None, now: datetime) -> Polled:
    today = now.astimezone(site.zone).date()
    last = min(today - timedelta(days=1), site.end or today)
    first = max(site.start, reader.since, last - timedelta(days=POLLED_DAYS))
    try:
        rows = reader.read(first, last)
    except SourceError as error:
        kept = before or Polled(asked_at=now, first=last, last=last - timedelta(days=1))
        return kept.model_copy(update={"asked_at": now, "error": str(error)})
    return Polled(asked_at=now, first=first, last=last, days=_days_from(rows_by_origin(rows), reader.address))


def _days_from(by_origin: Mapping[date, Mapping[str, tuple[str, int]]], address: str) -> dict[date, tuple[str, int]]:
    return {day: origins[address] for day, origins in by_origin.items() if address in origins}
