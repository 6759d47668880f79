"""What was done to an installation, and what has to come of it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.rehearsal.chaos.hostile_files import Outcome

CityDay = tuple[str, date]


class BadFile(NamedTuple):
    """A file of which nothing is made."""

    city: str
    name: str
    outcome: Outcome


class Spoiled(NamedTuple):
    """A landed file that is cut off."""

    city: str
    day: date
    path: Path
    whole: bytes
    """What it held before."""


@dataclass
class Ledger:
    """What has landed or was published by now."""

    received: dict[CityDay, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids of the alerts that have to be stored of a day, and no others."""
    rejected: set[str] = field(default_factory=set)
    """Those of `received` of which no alert can be made."""
    versions: Counter[CityDay] = field(default_factory=Counter)
    """Times that a day has changed."""
    bad_files: list[BadFile] = field(default_factory=list)
    spoiled: list[Spoiled] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    """Ids of the processes that were killed, or ended together with all others."""
    together: set[str] = field(default_factory=set)
    """What two runs made at the same time."""
    harms: set[str] = field(default_factory=set)
    """Files and addresses at which a run may fail: what it reads was spoiled, or went away, once it had been asked for."""
    daemons: int = 0
    """Second ones that were started. From then on runs of the same partition may meet."""

    def take(self, city: str, rows: pa.Table) -> None:
        """Alerts land or are published, each on its day."""
        days: dict[date, set[str]] = defaultdict(set)
        for time, source_id in zip(rows["occurred_at"].to_pylist(), rows["source_id"].to_pylist(), strict=True):
            days[time.date()].add(source_id)
        for day, ids in days.items():
            self.take_ids(city, day, ids)

    def take_ids(self, city: str, day: date, ids: set[str]) -> None:
        """Alerts of one day land or are published; of a day without alerts none."""
        self.received[city, day] |= ids
        self.versions[city, day] += 1

    def pass_over(self, city: str, day: date) -> None:
        """A file of any days holds this one: days before it of which nothing has come count as days without alerts.

        They are made as such, and change once their own alerts come.
        """
        newest = max(self.days_of(city), default=day)
        for passed in days_between(newest + timedelta(days=1), day - timedelta(days=1)):
            self.versions[city, passed] += 1

    def refused(self) -> set[BadFile]:
        """The files that have to be told of, spoiled ones included."""
        spoiled = {BadFile(file.city, file.path.name, "refused") for file in self.spoiled}
        return {file for file in self.bad_files if file.outcome == "refused"} | spoiled

    def days_of(self, city: str) -> Iterator[date]:
        """The days of a city that have to be stored."""
        return (day for name, day in self.received if name == city)
