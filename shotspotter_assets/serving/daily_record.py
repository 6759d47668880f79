"""Records of a city's day: `record.json` of an asset."""

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
        return Partition(cls.asset, city, "date", day)

    @classmethod
    def load(cls, store: Store, city: str, day: date) -> Self:
        """Return the record of a day; raise MissingObjectError without one."""
        return cls.model_validate_json(store.read_bytes(cls.partition(city, day), RECORD_FILE))

    @classmethod
    def find(cls, store: Store, city: str, day: date) -> Self | None:
        """Return the record of a day; None without one."""
        return cls.load(store, city, day) if store.exists(cls.partition(city, day), RECORD_FILE) else None

    def write(self, store: Store) -> str:
        """Write the record, and return its address."""
        partition = self.partition(self.city, self.day)
        store.write_bytes(partition, RECORD_FILE, self.model_dump_json(indent=1).encode())
        return store.uri(partition, RECORD_FILE)
