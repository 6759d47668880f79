"""Stored state of a city: its table of days, and recorded and present versions of the inputs of each partition."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from pydantic import BaseModel

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.sources.side_settings import table_folder
from shotspotter_assets.alerts.sources.side_tables import TableState, read_state
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.stored_settings import own_settings
from shotspotter_assets.forecasts.approval import Approvals
from shotspotter_assets.storage.catalogue import ALERTS, SERVING_RECORD, WAITING_MODELS, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import (
    BEGUN,
    NOT_MADE,
    Key,
    Lineage,
    Origin,
    key_name,
    read_lineage,
    write_partitions,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import Days, Relation, Whole


class _Models(BaseModel):
    """The part of a serving record that is compared; the record itself imports the models."""

    version: str = ""
    training_due: str = ""


class _Waiting(BaseModel):
    models: _Models


@dataclass
class Stored:
    """The stored state of a city, read once; `table` holds its days."""

    store: Store
    city: City
    table: DayTable
    _lineages: dict[Asset, Lineage] = field(default_factory=dict)
    _settings: dict[Asset, str] = field(default_factory=dict)
    _tables: dict[str, TableState] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: City) -> "Stored":
        """Read the table of a city's days; lineage is read when it is needed."""
        return cls(store, city, DayTable.read(store, city.name))

    def lineage(self, asset: Asset) -> Lineage:
        """Return the versions of an asset's partitions."""
        if asset not in self._lineages:
            self._lineages[asset] = read_lineage(self.store, asset, self.city.name)
        return self._lineages[asset]

    def origin(self, asset: Asset, key: Key = None) -> Origin:
        """Return the recorded versions of a partition, `NOT_MADE` without any; assets without partitions have no `key`."""
        return self.lineage(asset).get(key_name(key), NOT_MADE)

    def versions(self, asset: Asset) -> dict[str, str]:
        """Return by key in order the versions of partitions that were made at least once."""
        return {key: origin.version for key, origin in sorted(self.lineage(asset).items()) if origin.version}

    def ignore_claims(self, asset: Asset) -> None:
        """Take partitions that a run has begun to write for those before it, which serve until it ends."""
        self._lineages[asset] = {
            name: Origin(origin.made_from.removeprefix(BEGUN), origin.version)
            for name, origin in self.lineage(asset).items()
        }

    def training_due(self, issue_date: date) -> str:
        """Return why live models of an issue date must be trained, by the records of its targets; "" if they need not be."""
        for store, city in self.city.by_target(self.store):
            waiting = store.read_index(WAITING_MODELS, city.name, _Waiting.model_validate_json, issue_date)
            served = store.read_index(SERVING_RECORD, city.name, _Models.model_validate_json, issue_date)
            newest = served if waiting is None else waiting.models
            if newest is not None and newest.training_due:
                return newest.training_due
        return ""

    def approved(self, issue_date: date) -> str:
        """Return the version of models that wait on an issue date although a person approved them; "" without any."""
        for store, city in self.city.by_target(self.store) if self.city.approval == "person" else ():
            waiting = store.read_index(WAITING_MODELS, city.name, _Waiting.model_validate_json, issue_date)
            if waiting is not None and waiting.models.version in Approvals.read(store, city.name).approved:
                return waiting.models.version
        return ""

    def table_state(self, section: str) -> TableState:
        """Return the rows of a side table as they were last looked at."""
        if section not in self._tables:
            self._tables[section] = read_state(self.store, table_folder(self.city.name, section))
        return self._tables[section]

    def why_due(self, asset: Asset, key: Key = None) -> str:
        """Return why a partition is due, as the end of a sentence."""
        origin = self.origin(asset, key)
        if origin.made_from.startswith(BEGUN):
            return "was begun and is not complete"
        return "is new" if origin == NOT_MADE else "is made from other inputs than there are now"

    def is_current(self, asset: Asset, key: Key = None) -> bool:
        """Return True if a partition was made from its present inputs."""
        return self.origin(asset, key).made_from == self.made_from(asset, key)

    def made_from(self, asset: Asset, key: Key = None) -> str:
        """Return the version of a partition's present inputs: of those that `Asset.inputs` names, and of its settings."""
        if asset not in self._settings:
            self._settings[asset] = own_settings(self.city, asset)
        inputs = (self._version(source, relation, key) for source, relation in asset.inputs.items())
        rows = (self._rows_version(section, relation, key) for section, relation in asset.spec.rows.items())
        return "".join([*inputs, *rows, self._settings[asset]])

    def write(self, asset: Asset, keys: Sequence[Key], write: Callable[[Key], str]) -> None:
        """Write partitions by `write`, which returns the version of the content, and record their inputs as they were."""
        made_from = {key: self.made_from(asset, key) for key in keys}
        write_partitions(self.store, asset, self.city.name, made_from, write)

    def _version(self, source: Asset, relation: Relation, key: Key) -> str:
        """Return the version of the partitions of an input that have a relation to a partition."""
        if relation is Whole.APPROVALS:
            targets = self.city.by_target(self.store) if self.city.approval == "person" else ()
            return "".join(_hashed([Approvals.read(store, self.city.name).facts()]) for store, _ in targets)
        if relation is Whole.FINISHED:
            return _hashed(f"{name}{version}" for name, version in self.versions(source).items())
        if relation is Whole.FULL_MONTHS and source not in ALERTS:
            _, last = self._window(relation, key)
            return _hashed(f"{name}{version}" for name, version in self.versions(source).items() if name <= str(last))
        if relation is Whole.ALL and source not in ALERTS:
            return _hashed(str(item) for item in sorted(self.lineage(source).items()))
        first, last = self._window(relation, key)
        if source in ALERTS:
            return self.table.version(max(first, self.city.start), last)
        origins = (self.origin(source, day) for day in days_between(first, last))
        return _hashed(part for origin in origins for part in (*origin, ";"))

    def _rows_version(self, section: str, relation: Relation, key: Key) -> str:
        """Return the version of a side table's rows of the days that have a relation to a partition."""
        versions = self.table_state(section).versions
        return _hashed(f"{day}{versions.get(day)}" for day in days_between(*self._window(relation, key)))

    def _window(self, relation: Relation, key: Key) -> tuple[date, date]:
        """Return the first and the last day of the input that have a relation to a partition."""
        if relation is Whole.FULL_MONTHS:
            return date.min, self.table.last_of_full_month or date.min
        if relation is Whole.ALL or key is None:
            return date.min, max(self.table.days, default=self.city.start)
        if isinstance(relation, Days):
            first = date.min if relation.first is None else key + timedelta(days=relation.first)
            return first, key + timedelta(days=relation.last)
        if relation is Whole.OWN_YEAR:
            return key - timedelta(days=1), date(key.year, 12, 31)
        return date.min, self.city.last_test_day(key)


def _hashed(parts: Iterable[str]) -> str:
    return sha256("".join(parts))[:16]
