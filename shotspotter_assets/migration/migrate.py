"""Move a store to the present format in place, file by file.

The marker of the store names the migration from its first to its last write, so that nothing else uses a half-migrated store.
Each file is replaced in one step, its conversion may be repeated, and an old file is deleted after the files that replace it.
So a killed migration is finished by the next one, with the result of one that was not disturbed.
"""

import os
import re
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.migration import from_0_2_0
from shotspotter_assets.migration.conversion import Conversion, Rebuilt
from shotspotter_assets.migration.days_0_2_0 import CarriedDays, carry_days
from shotspotter_assets.migration.old_indexes import NOT_REMADE, keep_unlisted
from shotspotter_assets.storage.catalogue import LINEAGE, Asset, OtherFolder
from shotspotter_assets.storage.errors import StoreError, error_reason
from shotspotter_assets.storage.lineage import UNPARTITIONED, with_origins_of, without_partitions
from shotspotter_assets.storage.objects import Objects
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import (
    FIRST_FORMAT,
    FORMAT_VERSION,
    MARKER,
    StoreFormat,
    decoded_marker,
    found_format,
    present_format,
)
from shotspotter_assets.wording import first_of, number_of

CONVERSIONS: Final[Mapping[int, Conversion]] = {
    FIRST_FORMAT: from_0_2_0.convert
}  # to the present format, by the old one
CLAIM: Final = timedelta(minutes=2)  # a migration without a sign of life for longer, by any clock, counts as dead
RENEWAL: Final = timedelta(seconds=10)  # between two signs of life
LINEAGE_NAME: Final = LINEAGE[Asset.RAW_ALERTS].file
_Result = TypeVar("_Result")
_PARTITION: Final = re.compile(r"/(?:date|fold)=([^/]+)/")


class MigrationError(StoreError):
    """A migration that cannot begin or go on."""


class Change(NamedTuple):
    """A file of the old format, and what a migration does with it."""

    path: str
    verb: str  # kept, converted, rebuilt or damaged
    reason: str = ""  # of a rebuilt or damaged file

    @property
    def partition(self) -> str:
        """Name of the file's partition in a lineage."""
        found = _PARTITION.search(self.path)
        return found[1] if found else UNPARTITIONED


@dataclass(frozen=True)
class FolderChanges:
    """Changes of the files of an asset of a city."""

    folder: str  # such as `raw_alerts/city=washington_dc`
    changes: list[Change]

    def text(self) -> str:
        """Return the numbers of files by what happens to them, and why some are rebuilt or left as they are."""
        numbers = Counter(change.verb for change in self.changes)
        counted = ", ".join(f"{numbers[verb]:,} {verb}" for verb in ("kept", "converted", "rebuilt") if numbers[verb])
        reasons = dict.fromkeys(change.reason for change in self.changes if change.verb == "rebuilt")
        damaged = [f"{change.path} ({change.reason})" for change in self.changes if change.verb == "damaged"]
        lines = [f"{self.folder}: {number_of(len(self.changes), 'file')}: {counted or 'none can be used'}"]
        lines[0] += f" ({'; '.join(reasons)})" if reasons else ""
        if damaged:
            lines.append(f"  left as they are, damaged: {first_of(damaged)}")
        return "\n".join(lines)


@dataclass
class Migration:
    """The migration of a store, by one process."""

    objects: Objects
    owner: str = field(default_factory=lambda: f"process {os.getpid()} on {socket.gethostname()}")
    now: Callable[[], datetime] = local_time.now
    conversions: Mapping[int, Conversion] = field(default_factory=lambda: CONVERSIONS)
    cities: Collection[City] = ()  # those whose days of 0.2.0 are compared with their files
    _seen_at: datetime | None = None

    def found(self) -> StoreFormat | None:
        """Return the marker of a store that can be migrated; None if it is empty or in the present format.

        Raises FormatError for a damaged marker or a newer format, MigrationError if there is no conversion from the old format.
        """
        marker = found_format(self.objects)
        if marker is None or marker.is_present:
            return None
        if marker.format_version not in self.conversions:
            raise MigrationError(
                f"The store {self.objects.name} has the unknown format {marker.format_version}. Restore {MARKER} from a backup."
            )
        return marker

    def planned(self) -> Iterator[FolderChanges]:
        """Yield what a migration would do in each folder, and change nothing."""
        if marker := self.found():
            yield from self._all_changes(self.conversions[marker.format_version], writes=False)

    def run(self) -> Iterator[FolderChanges | CarriedDays]:
        """Migrate the store, and yield what was done in each folder, and with the days of each city.

        Raises MigrationError if another migration is running, or if the store fails; the next migration then continues.
        """
        if (marker := self.found()) is None:
            return
        self._claim()
        try:
            yield from self._all_changes(self.conversions[marker.format_version], writes=True)
            if marker.format_version == FIRST_FORMAT:
                keep_unlisted(Store.in_migration(self.objects), self.objects)
                yield from self._carried_days()
            self.objects.update(MARKER, self._finished)
        except MigrationError:
            raise
        except StoreError as error:
            raise MigrationError(
                f"The migration has stopped, and `shotspotter migrate` goes on with it; nothing is lost. {error}"
            ) from error
        finally:
            self._release()

    def _carried_days(self) -> Iterator[CarriedDays]:
        """Carry over the days of each city that has any of 0.2.0."""
        store = Store.in_migration(self.objects)
        for city in self.cities:
            self._renew()
            if (carried := carry_days(store, city)).days:
                yield carried

    def _all_changes(self, convert: Conversion, *, writes: bool) -> Iterator[FolderChanges]:
        for asset in sorted(self.objects.folders() & {*Asset, *OtherFolder}):  # other folders are not the store's
            by_city: dict[str, list[str]] = {}
            for path in sorted(self.objects.files_in(asset)):
                city, _, rest = path.partition("/")
                if rest and not path.rpartition("/")[2].startswith("."):
                    by_city.setdefault(f"{asset}/{city}", []).append(f"{asset}/{path}")
            for folder, paths in by_city.items():
                yield FolderChanges(folder, self._changes(paths, convert, writes=writes))
            if writes:
                self.objects.prune(asset)

    def _changes(self, paths: Iterable[str], convert: Conversion, *, writes: bool) -> list[Change]:
        """Convert the files of an asset of a city, and its lineage after the others.

        Partitions of rebuilt files leave the lineage before the files are deleted, so that they are due even if the
        migration is killed in between. Those of damaged files keep their old origins if a run can make them again.
        """
        lineages = [path for path in paths if path.endswith(f"/{LINEAGE_NAME}")]
        others = [path for path in paths if path not in lineages]
        changes: list[Change] = []
        for change in self._mapped(lambda path: self._change(path, convert, writes=writes), others):
            changes.append(change)
            if writes:
                self._renew()
        due = {change.partition for change in changes if change.verb == "rebuilt"}
        damaged = {change.partition for change in changes if change.verb == "damaged"}
        if any(path.startswith(NOT_REMADE) for path in lineages):
            damaged = set()
        of_lineages = [self._change(path, convert, writes=writes, due=due, damaged=damaged) for path in lineages]
        if writes:
            for deleted in (of_lineages, changes):
                list(self._mapped(self.objects.delete, [change.path for change in deleted if change.verb == "rebuilt"]))
        return [*of_lineages, *changes]

    def _change(
        self,
        path: str,
        convert: Conversion,
        *,
        writes: bool,
        due: Collection[str] = (),
        damaged: Collection[str] = (),
    ) -> Change:
        """Convert one file; `due` are partitions that leave a lineage, `damaged` ones have their old origins in it."""
        content = self.objects.read(path)
        try:
            result = convert(path, content)
        except ValueError as error:
            return Change(path, "damaged", error_reason(error))
        if isinstance(result, Rebuilt):
            return Change(path, "rebuilt", result.reason)
        new = {file.path: file.content for file in result}
        if damaged:
            new[path] = with_origins_of(new[path], content, damaged)
        if due:
            new[path] = without_partitions(new[path], due)
        if new == {path: content}:
            return Change(path, "kept")
        if writes:
            for new_path, new_content in new.items():
                if new_path != path or new_content != content:
                    self.objects.write(new_path, new_content)
            if path not in new:
                self.objects.delete(path)
        return Change(path, "converted")

    def _mapped(self, function: Callable[[str], _Result], paths: Iterable[str]) -> Iterator[_Result]:
        """Yield the results in order, from threads on S3."""
        if self.objects.threads == 1:
            yield from map(function, paths)
            return
        with ThreadPoolExecutor(self.objects.threads) as pool:
            yield from pool.map(function, paths)

    def _claim(self) -> None:
        """Write this process into the marker; raise MigrationError if another one is migrating the store."""

        def claimed(content: bytes | None) -> bytes:
            marker = self._decoded(content)
            if marker.is_present:
                raise MigrationError(f"The store {self.objects.name} has just been migrated by another process.")
            if marker.seen_at is not None and marker.owner != self.owner and abs(self.now() - marker.seen_at) < CLAIM:
                raise MigrationError(
                    f"The store {self.objects.name} is being migrated by {marker.owner}, last seen at "
                    f"{marker.seen_at:%H:%M:%S} UTC. If that process has ended, try again {number_of(CLAIM.seconds, 'second')} "
                    "later."
                )
            return self._claimed(marker)

        self.objects.update(MARKER, claimed)

    def _renew(self) -> None:
        """Renew the claim if it is due; raise MigrationError if another process has taken over."""
        if self._seen_at is None or abs(self.now() - self._seen_at) > RENEWAL:
            self.objects.update(MARKER, lambda content: self._claimed(self._own(content)))

    def _release(self) -> None:
        """Remove this process from the marker of an unfinished migration, so that the next one may begin immediately."""

        def released(content: bytes | None) -> bytes | None:
            marker = self._decoded(content)
            free = marker.model_copy(update={"owner": "", "seen_at": None})
            return free.content() if marker.owner == self.owner else None

        with suppress(StoreError):  # the claim expires anyway
            self.objects.update(MARKER, released)

    def _finished(self, content: bytes | None) -> bytes:
        """Return the marker of the present format; raise MigrationError if another process has taken over."""
        self._own(content)
        return present_format().content()

    def _own(self, content: bytes | None) -> StoreFormat:
        marker = self._decoded(content)
        if marker.owner != self.owner:
            raise MigrationError(
                f"The migration of {self.objects.name} was taken over by {marker.owner or 'another one'}."
            )
        return marker

    def _claimed(self, marker: StoreFormat) -> bytes:
        self._seen_at = self.now()
        claim = {"migrating_to": FORMAT_VERSION, "owner": self.owner, "seen_at": self._seen_at}
        return marker.model_copy(update=claim).content()

    def _decoded(self, content: bytes | None) -> StoreFormat:
        if content is None:
            return StoreFormat(format_version=FIRST_FORMAT)
        return decoded_marker(content, self.objects.uri(MARKER))
