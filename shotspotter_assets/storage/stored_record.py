"""Base of stored records: facts of one partition as JSON."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, ClassVar, Self

import pyarrow as pa
from pydantic import AfterValidator, BaseModel

from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import FORMAT_VERSION, checked_version
from shotspotter_assets.storage.stored_file import StoredFile, StoredTable


class StoredRecord(BaseModel, frozen=True, serialize_by_alias=True):
    """Facts of one partition; a field of the file's `date_name` holds the partition's date.

    Fields that programs no longer have are left out.
    """

    stored_as: ClassVar[StoredFile]

    format_version: Annotated[int, AfterValidator(checked_version)] = FORMAT_VERSION
    city: str

    @property
    def _date(self) -> date | None:
        return getattr(self, self.stored_as.date_name) if self.stored_as.date_name else None

    @classmethod
    def load(cls, store: Store, city: str, day: date | None = None) -> Self:
        """Return the record of a partition; raise MissingObjectError without one, CorruptObjectError for an unreadable one."""
        return store.read_json(cls.stored_as, cls.model_validate_json, city, day)

    @classmethod
    def find(cls, store: Store, city: str, day: date | None = None) -> Self | None:
        """Return the record of a partition; None without one."""
        return cls.load(store, city, day) if store.exists(cls.stored_as, city, day) else None

    @classmethod
    def find_sound(cls, store: Store, city: str, day: date | None = None) -> Self | None:
        """Return a record that can be rebuilt; None if it is missing or damaged."""
        return store.read_index(cls.stored_as, city, cls.model_validate_json, day)

    @classmethod
    def find_days(cls, store: Store, city: str, first: date, last: date) -> list[Self]:
        """Return the records of the days from `first` to `last`, in order; missing and damaged ones are left out."""
        days = sorted(store.days_present(cls.stored_as, city, first, last))
        return [record for day in days if (record := cls.find_sound(store, city, day))]

    @classmethod
    def latest_before(cls, store: Store, city: str, day: date) -> Self | None:
        """Return the latest record before `day`; None without any."""
        earlier = store.days_present(cls.stored_as, city, last=day - timedelta(days=1))
        return cls.load(store, city, max(earlier)) if earlier else None

    def content(self) -> bytes:
        """Return the file's content."""
        return self.model_dump_json(indent=1).encode()

    def facts(self) -> str:
        """Return the facts as JSON without the format, to compare contents."""
        return self.model_dump_json(exclude={"format_version"})

    def write(self, store: Store) -> str:
        """Write the record, and return its address."""
        store.write_bytes(self.stored_as, self.content(), self.city, self._date)
        return store.uri(self.stored_as, self.city, self._date)

    def write_after(self, store: Store, files: Mapping[StoredFile, pa.Table | bytes]) -> str:
        """Write other files of the partition and then the record, which marks them as complete; return its address."""
        with store.alone(self.stored_as.asset, self.city):
            for file, content in files.items():
                if isinstance(file, StoredTable):
                    store.write_table(file, content, self.city, self._date)
                else:
                    store.write_bytes(file, content, self.city, self._date)
            return self.write(store)
