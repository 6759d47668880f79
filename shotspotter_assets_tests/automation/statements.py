"""Statements of status, status file and first page, each with the truth that it is compared with."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final

from shotspotter_assets.alerts.days.city_now import held_back_days
from shotspotter_assets.alerts.sources.snapshot import Snapshot, take_snapshot
from shotspotter_assets.automation.due_days import due_days
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.commands.status import status_facts, status_text
from shotspotter_assets.pages.rendering import plain
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity


@dataclass
class Said:
    """What a city says at an instant, and what is so."""

    town: LivingCity

    @cached_property
    def status(self) -> dict[str, list[str]]:
        """The lines of `shotspotter status` by title."""
        with self.town.clock():
            lines = status_text(status_facts(self.town.on.settings, NAME, self.town.instance)).splitlines()[1:]
        found: dict[str, list[str]] = {}
        title = ""
        for line in lines:
            title = line[2:20].strip() or title
            found.setdefault(title, []).append(line[20:])
        return found

    @cached_property
    def status_file(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.town.store.read_bytes(STATUS, NAME))
        return content

    @cached_property
    def beside(self) -> dict[str, Any]:
        """The present state in the script that the first page and the overview load."""
        script = self.town.store.read_bytes(PAGE.named(file="waiting.js"), NAME).decode()
        content: dict[str, Any] = json.loads(script.partition(", ")[2].rstrip().removesuffix(");"))
        return content

    @cached_property
    def page(self) -> str:
        return self.town.store.read_bytes(INDEX, NAME).decode()

    @cached_property
    def snapshot(self) -> Snapshot:
        town = self.town
        sources = self.town.on["sources"]
        with town.clock():
            words = sources.words(town.city).read()
            readers = sources.readers(town.city.site, town.store)
            return take_snapshot(town.city.site, readers, town.store, town.now, poll_seconds=None, words=words)

    @cached_property
    def due(self) -> set[date]:
        """Days that a run has to store again: nobody is waited for then."""
        town = self.town
        with town.clock():
            return {*due_days(town.city, self.snapshot, Stored.read(town.store, town.city), town.now).due}

    @cached_property
    def waiting_files(self) -> set[str]:
        """Names of landed files with rows of days that are over and are not stored as they landed."""
        stored = self.snapshot.stored_days(self.town.table)
        days = {day: files for day, files in self.snapshot.rows.items() if day <= self.town.yesterday}
        unbuilt = [(day, files) for day, files in days.items() if day not in stored]
        before = {day: entry.sources for day, entry in self.town.table.days.items()}
        return {
            PurePosixPath(file).name
            for day, files in unbuilt
            for file, (version, _) in files.items()
            if before.get(day, {}).get(file) != version
        }

    @property
    def last_known(self) -> date | None:
        return self.town.table.last_counted(date.max)

    @property
    def landed(self) -> list[date]:
        """Landed days with rows that are over, after the last one that the forecast used."""
        used = self.status_file["last_known"]
        return [day for day in sorted(self.snapshot.rows) if used and used < str(day) <= str(self.town.yesterday)]

    def says_nothing_came(self, day: date) -> bool:
        """Return True if the words about the data say that a day is not known."""
        absent = [part for part in self.status_file["data"].split("; ") if part.endswith("not known")]
        return any(f"{day.day} {day:%B %Y}" in part or f" {day.day}th" in part for part in absent)

    @property
    def long_days(self) -> list[str]:
        """The forecast's day in the words of the first page, if there is a forecast."""
        days = [date.fromisoformat(text) for text in [self.status_file["forecast_date"]] if text]
        return [f"{day:%A}, {day.day} {day:%B %Y}" for day in days]


Statement = tuple[str, Callable[[Said], object], Callable[[Said], object]]
"""Name of a statement, what is said, and what is so."""
SHOWN: Final[tuple[Statement, ...]] = (
    (
        "days in words: status and status file",
        lambda said: said.status["alerts"][0][1:].startswith(f"{said.status_file['data'][1:]}."),
        lambda said: True,
    ),
    (
        "pages: status and status file",
        lambda said: said.status.get("pages", []),
        lambda said: [text for text in [said.status_file["made"]] if text],
    ),
    (
        "landed: status and status file",
        lambda said: said.status.get("landed", []),
        lambda said: said.status_file["waits"],
    ),
    (
        "present state beside the pages, which Now and All cities load",
        lambda said: said.beside,
        lambda said: (
            {name: said.status_file[name] for name in ("as_of", "made", "data", "version")}
            | {"waits": [plain(text) for text in said.status_file["waits"]]}
        ),
    ),
    (
        "days held back and files set aside are among what waits",
        lambda said: [text for text in _for_people(said) if text not in said.status_file["waits"]],
        lambda said: [],
    ),
    (
        "a stored day that the forecast lacks is said to have arrived",
        lambda said: "have arrived" in said.status_file["made"],
        lambda said: bool(_lacking(said)),
    ),
    (
        "only days without a landed row are not known",
        lambda said: [day for day in said.landed if said.says_nothing_came(day)],
        lambda said: [],
    ),
)
"""Statements that hold after each tick, once the pages are made."""
ALWAYS: Final[tuple[Statement, ...]] = (
    ("newest known day", lambda said: said.status["newest known day"], lambda said: [str(said.last_known or "none")]),
    (
        "nothing is due only if all that landed is stored",
        lambda said: said.status["due"] == ["nothing"] and bool(said.waiting_files),
        lambda said: False,
    ),
    (
        "days held back",
        lambda said: {line[:10] for line in said.status.get("held back", ())},
        lambda said: {str(day) for day in sorted(said.town.table.in_state("held_back").keys() - said.due)[-5:]},
    ),
    (
        "files set aside",
        lambda said: {
            path
            for path in said.snapshot.unusable
            if PurePosixPath(path).name not in " ".join(said.status.get("landed", ()))
        },
        lambda said: set(),
    ),
)
"""Statements that hold at each step."""
IDLE: Final[tuple[Statement, ...]] = (
    ("nothing is due", lambda said: said.status["due"], lambda said: ["nothing"]),
    ("only people are waited for", lambda said: said.status_file["waits"], lambda said: [*_for_people(said)]),
    (
        "last known day of the status file",
        lambda said: said.status_file["last_known"],
        lambda said: str(said.last_known),
    ),
    (
        "lead",
        lambda said: said.status_file["lead"],
        lambda said: (
            said.last_known
            and said.status_file["forecast_date"]
            and (date.fromisoformat(said.status_file["forecast_date"]) - said.last_known).days
        ),
    ),
    (
        "the forecast's day is not over",
        lambda said: not said.status_file["ends"] or datetime.fromisoformat(said.status_file["ends"]) > said.town.now,
        lambda said: True,
    ),
    (
        "the first page shows the forecast of the status file",
        lambda said: re.findall(r'id="day">([^<]+)<', said.page)[:1],
        lambda said: said.long_days,
    ),
)
"""Statements that hold once nothing is due and the pages are made."""


def untrue(town: LivingCity, statements: tuple[Statement, ...]) -> list[str]:
    """Return the statements that are not so, with what is said and what is so."""
    said = Said(town)
    found = [(name, of_said(said), of_truth(said)) for name, of_said, of_truth in statements]
    return [f"{name}: said {one!r}, so is {other!r}" for name, one, other in found if one != other]


def _for_people(said: Said) -> list[str]:
    """Return the sentences about days held back and files set aside."""
    return [*held_back_days(said.town.table, said.town.city, said.due), *said.snapshot.unusable.values()]


def _lacking(said: Said) -> list[date]:
    counted = {day for day, entry in said.town.table.days.items() if entry.is_counted}
    unstored = said.snapshot.rows.keys() - said.snapshot.stored_days(said.town.table)
    reported = said.snapshot.reported - set(said.snapshot.words.quiet)
    table = said.town.table
    unstored |= {day for day in reported if table.state(day) == "unknown" and "implausible" not in table.days[day].why}
    unstored |= reported - table.days.keys()
    used = "" if said.status_file["replayed"] else said.status_file["last_known"]
    last = said.last_known
    days = {day for day in counted if last and day <= last} | {day for day in unstored if day <= said.town.yesterday}
    return [day for day in sorted(days) if used and (str(day) > used or str(day) in said.status_file["missing"])]
