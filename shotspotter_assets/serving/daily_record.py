"""Records of a city's day in the store: `record.json` of an asset."""

from datetime import date
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store


class DailyRecord(BaseModel):
    """Stated facts of an asset on a city's day."""

    model_config = ConfigDict(frozen=True)

    asset: ClassVar[str]

    city: str
    day: date

    @classmethod
    def partition(cls, city: str, day: date) -> Partition:
        """The partition of a day's record."""
        return Partition(cls.asset, city, "date", day)

    @classmethod
    def load(cls, store: Store, city: str, day: date) -> Self:
        """The record of a day.

        Raises:
            MissingObjectError: there is none.
        """
        return cls.model_validate_json(store.read_bytes(cls.partition(city, day), RECORD_FILE))

    @classmethod
    def find(cls, store: Store, city: str, day: date) -> Self | None:
        """The record of a day; None without one."""
        return cls.load(store, city, day) if store.exists(cls.partition(city, day), RECORD_FILE) else None

    def write(self, store: Store) -> str:
        """Write the record; returns where it is."""
        partition = self.partition(self.city, self.day)
        store.write_bytes(partition, RECORD_FILE, self.model_dump_json(indent=1).encode())
        return store.uri(partition, RECORD_FILE)
