"""What the sensors have seen of each city, in the store: a table per sensor, and the landed files that cannot be read."""

import json
from dataclasses import asdict
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.arrivals import SEEN_SCHEMA, Unreadable, unreadable_files
from shotspotter_assets.storage.file_names import ARRIVALS, UNREADABLE_FILE, seen_file
from shotspotter_assets.storage.store import Partition, Store


class SeenTable:
    """What one sensor has seen of a city; a changed table is stored as the next generation, beside the present one.

    Args:
        store: the store.
        city: the city.
        sensor: name of the sensor's tables.
        generation: of the table, 0 for a city that was not looked at yet.
    """

    def __init__(self, store: Store, city: City, sensor: str, generation: int) -> None:
        self.city, self._store, self._sensor = city, store, sensor
        self._partition = Partition(ARRIVALS, city.name)
        self.generation = generation

    @cached_property
    def table(self) -> pa.Table:
        """`SEEN_SCHEMA`, without rows where nothing was seen yet."""
        if not self._store.exists(self._partition, self._file(self.generation)):
            return SEEN_SCHEMA.empty_table()
        table = self._store.read_table(self._partition, self._file(self.generation))
        if "asked" not in table.column_names:
            # In tables stored before the column, a day had its version only once it was asked for.
            table = table.append_column("asked", pc.is_valid(table["day_version"]))
        return table.select(SEEN_SCHEMA.names).cast(SEEN_SCHEMA)

    @property
    def uri(self) -> str:
        """Where the table is stored: another place for each generation."""
        return self._store.uri(self._partition, self._file(self.generation))

    def keep(self, table: pa.Table) -> None:
        """Store the next generation; the one before the present one is no longer needed."""
        if table.equals(self.table):
            return
        self._store.write_table(self._partition, self._file(self.generation + 1), table)
        if self._sensor == "landing":
            unreadable = {path: asdict(file) for path, file in unreadable_files(table).items()}
            self._store.write_bytes(self._partition, UNREADABLE_FILE, json.dumps(unreadable).encode())
        self._store.delete(self._partition, self._file(self.generation - 1))
        self.table = table
        self.generation += 1

    def unreadable(self) -> dict[str, Unreadable]:
        """The files that could not be read when they were last looked at, by path."""
        return unreadable_files(self.table)

    def _file(self, generation: int) -> str:
        return seen_file(self._sensor, generation)


def read_unreadable(store: Store, city: str) -> dict[str, Unreadable]:
    """The landed files of a city that a sensor found unreadable, by path."""
    partition = Partition(ARRIVALS, city)
    if not store.exists(partition, UNREADABLE_FILE):
        return {}
    return _unreadable(store.read_bytes(partition, UNREADABLE_FILE))


def read_all_unreadable(store: Store) -> dict[str, dict[str, Unreadable]]:
    """`read_unreadable` of all cities of which a sensor has seen landed files."""
    contents = store.read_of_cities(ARRIVALS, UNREADABLE_FILE)
    return {city: _unreadable(of_city[UNREADABLE_FILE]) for city, of_city in contents.items()}


def _unreadable(content: bytes) -> dict[str, Unreadable]:
    return {path: Unreadable(**file) for path, file in json.loads(content).items()}


def unreadable_versions(store: Store, city: str) -> dict[str, str]:
    """The version in which each landed file was found unreadable, by path."""
    return {path: file.version for path, file in read_unreadable(store, city).items()}
