"""A person's word about single days: small files in the city's landing folders, which a vendor's job can write as well.

`quiet_2026-11-28` reports a day without alerts, and `accept_2026-11-28` accepts a day with far more alerts than usual. Any
suffix may follow, and the content is ignored. A word is taken back by removing its file.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Final, Literal

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.objects import Objects

Word = Literal["quiet", "accept"]
NAME: Final = re.compile(r"(?:quiet|accept)_(\d{4}-\d{2}-\d{2})(\.\w+)*")  # name of a word's file


def day_of_word(path: str) -> date | None:
    """Return the day of a file of a word; None for other files."""
    match = NAME.fullmatch(PurePosixPath(path).name)
    with suppress(ValueError):
        return None if match is None else date.fromisoformat(match[1])
    return None


@dataclass(frozen=True)
class Words:
    """The words about a city's days."""

    quiet: Collection[date] = frozenset()  # days without alerts
    accepted: Collection[date] = frozenset()  # days whose unusual number of alerts is right

    def days(self, word: Word) -> frozenset[date]:
        """Return the days of a word."""
        return frozenset(self.quiet if word == "quiet" else self.accepted)

    def with_days(self, word: Word, days: Collection[date]) -> "Words":
        """Return the words with other days of a word."""
        return replace(self, quiet=days) if word == "quiet" else replace(self, accepted=days)


NO_WORDS: Final = Words()


@dataclass(frozen=True)
class WordFolder:
    """The folders of a city's words: its landing folders, or one with its name if it has none below the landing root."""

    city: City
    objects: Objects  # of the landing root

    @property
    def folders(self) -> list[str]:
        """Paths of the folders below the landing root, in the order of the city's sources; the first one is written to."""
        landing = [part for part in self.city.all_sources if isinstance(part, LandingSettings) and part.path is None]
        return [source.folder or self.city.name for source in landing] or [self.city.name]

    def read(self) -> Words:
        """Return the words; raise SourceError if a folder cannot be listed."""
        quiet, accepted = (frozenset(day for _, day in self._files(word)) for word in ("quiet", "accept"))
        return Words(quiet, accepted)

    def add(self, word: Word, day: date) -> None:
        """Write the file of a word."""
        self.objects.write(f"{self.folders[0]}/{word}_{day}", b"")

    def remove(self, word: Word, day: date) -> None:
        """Remove the files of a word."""
        for path in (path for path, of_day in self._files(word) if of_day == day):
            self.objects.delete(path)

    def _files(self, word: str) -> list[tuple[str, date]]:
        """Return path and day of the files of a word."""
        named = [f"{folder}/{name}" for folder in self.folders for name in self._names(folder, word)]
        return [(path, day) for path in named if (day := day_of_word(path)) is not None]

    def _names(self, folder: str, word: str) -> list[str]:
        try:
            names = self.objects.files_in(folder, named=f"{word}_")
        except StoreError as error:
            remedy = "Check SHOTSPOTTER_LANDING and, for S3, the keys, region and endpoint of the AWS environment."
            problem = f"the landing folder {self.objects.uri(folder)} cannot be listed ({error})"
            raise SourceError(f"City {self.city.name}: {problem}. {remedy}") from None
        return [name for name in names if "/" not in name]
