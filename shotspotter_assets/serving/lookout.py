"""A city's source asked again and again for new alerts: each answer that says something new makes a nowcast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shotspotter_assets.cities.city import City
from shotspotter_assets.serving.nowcasts import Nowcast, days_to_read, nowcast, record_in_force, with_rows
from shotspotter_assets.serving.record import ServingModels, ServingRecord
from shotspotter_assets.sources.api.json_rows import versions_of_days
from shotspotter_assets.sources.protocol import AlertSource
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store


@dataclass(frozen=True)
class Seen:
    """What the last nowcast was made of."""

    rows: str = ""
    """A hash of what the source had."""
    hour: str = ""
    """The hour (UTC) in which it was made."""


@dataclass
class _Loaded:
    """What is the same for all nowcasts of an hour; a day that is stored anew, or a new model, is seen in the next."""

    hour: str
    store: Store
    record: ServingRecord
    models: ServingModels


@dataclass
class Lookout:
    """What one process keeps of a city, so that a further nowcast costs no loading of models and of stored days.

    Attributes:
        city: whose.
        open_store: a store that may remember what it has read; called once an hour.
        readers: opens the city's sources.
        clock: tells the instant.
    """

    city: City
    open_store: Callable[[], Store]
    readers: Callable[[], Sequence[AlertSource]]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _loaded: _Loaded | None = field(default=None, init=False)

    def look(self, seen: Seen) -> tuple[Nowcast | None, Seen]:
        """(a nowcast, what it was made of) if the source has other rows than those seen, or a new hour has begun; else None.

        Raises:
            NoHoursError: the city has no models of hours, or the source has not said yet what happened on the last days.
            SourceError: a source cannot be read.
        """
        loaded = self._load(self.clock())
        days = days_to_read(loaded.store, self.city, self.clock())
        readers = self.readers()
        rows = read_sources(readers, days[0], days[-1])
        # After the answer, or what came while the source was asked would be of the future.
        now = self.clock()
        versions = sorted(versions_of_days(rows).items())
        found = Seen(sha256(*(f"{day}{version}" for day, version in versions))[:16], _hour_of(now))
        if found == seen or days != days_to_read(loaded.store, self.city, now):
            return None, seen
        until_now = with_rows(loaded.store, readers, self.city, now, days, rows)
        return nowcast(loaded.record, loaded.models, until_now, now), found

    def _load(self, now: datetime) -> _Loaded:
        before = self._loaded
        if before is not None and before.hour == _hour_of(now):
            return before
        store = self.open_store()
        record = record_in_force(store, self.city, now)
        is_same = before is not None and before.record.data_version == record.data_version
        models = before.models if before is not None and is_same else record.loaded(store)
        self._loaded = _Loaded(_hour_of(now), store, record, models)
        return self._loaded


def _hour_of(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H")
