"""Poll a city's sources for new alerts; each changed answer makes a nowcast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shotspotter_assets.cities.city import City
from shotspotter_assets.serving.nowcasts import Nowcast, days_to_read, nowcast, record_in_force, with_rows
from shotspotter_assets.serving.serving_record import ServingModels, ServingRecord
from shotspotter_assets.sources.alert_source import AlertSource
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.sources.schema import versions_of_days
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store


@dataclass(frozen=True)
class NowcastInputs:
    """Inputs of a nowcast: a hash of the sources' rows, and the hour (UTC)."""

    rows: str = ""
    hour: str = ""


@dataclass
class NowcastPoller:
    """Nowcasts of one city in one process.

    `open_store` is called once an hour, so that the store may cache; `readers` opens the city's sources.
    """

    city: City
    open_store: Callable[[], Store]
    readers: Callable[[], Sequence[AlertSource]]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _loaded: tuple[str, Store, ServingRecord, ServingModels] | None = field(default=None, init=False)
    """Shared by an hour's nowcasts; corrected days and new models count from the next hour on."""

    def poll(self, last: NowcastInputs) -> tuple[Nowcast | None, NowcastInputs]:
        """Return (nowcast, its inputs) after changed rows or in a new hour, else (None, the last inputs).

        Raises:
            ValueError: the city has no models of hours, or the source has not reported the last days yet.
            SourceError: a source cannot be read.
        """
        store, record, models = self._load(self.clock())
        days = days_to_read(store, self.city, self.clock())
        readers = self.readers()
        rows = read_sources(readers, days[0], days[-1])
        # The clock is read after the answer: rows that arrived during the request must not lie in the future.
        now = self.clock()
        versions = sorted(versions_of_days(rows).items())
        found = NowcastInputs(sha256(*(f"{day}{version}" for day, version in versions))[:16], _hour_of(now))
        if found == last or days != days_to_read(store, self.city, now):
            return None, last
        until_now = with_rows(store, readers, self.city, now, days, rows)
        return nowcast(record, models, until_now, now), found

    def _load(self, now: datetime) -> tuple[Store, ServingRecord, ServingModels]:
        if self._loaded is None or self._loaded[0] != _hour_of(now):
            store = self.open_store()
            record = record_in_force(store, self.city, now)
            is_same = self._loaded is not None and self._loaded[2].data_version == record.data_version
            models = self._loaded[3] if self._loaded is not None and is_same else record.loaded(store)
            self._loaded = (_hour_of(now), store, record, models)
        return self._loaded[1:]


def _hour_of(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H")
