"""Base of stored records: facts of one partition as JSON."""

from datetime import date
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile


class StoredRecord(BaseModel):
    """Facts of one partition; the field that the file's `date_name` names holds the partition's date."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    stored_as: ClassVar[StoredFile]

    city: str

    @classmethod
    def load(cls, store: Store, city: str, day: date | None = None) -> Self:
        """Return the record of a partition; raise MissingObjectError without one."""
        return cls.model_validate_json(store.read_bytes(cls.stored_as, city, day))

    @classmethod
    def find(cls, store: Store, city: str, day: date | None = None) -> Self | None:
        """Return the record of a partition; None without one."""
        return cls.load(store, city, day) if store.exists(cls.stored_as, city, day) else None

    def content(self) -> bytes:
        """Return the file's content."""
        return self.model_dump_json(indent=1).encode()

    def write(self, store: Store) -> str:
        """Write the record, and return its address."""
        day = getattr(self, self.stored_as.date_name) if self.stored_as.date_name else None
        store.write_bytes(self.stored_as, self.content(), self.city, day)
        return store.uri(self.stored_as, self.city, day)
