"""The stored state of a city: its table of days, and what each asset's partitions were made from and are to be made from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import last_test_day
from shotspotter_assets.serving.issued_scores import HISTORY_DAYS, WINDOW_DAYS
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import UNPARTITIONED, Lineage, Origin, read_lineage, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import Asset

ONE_DAY = timedelta(days=1)
NOT_MADE = Origin("never")
SERVING_SETTINGS = ("serves", "forecasters", "forecast", "holidays", "factors", "coverage")
"""Keys of the city's file that change what is served; `retraining` says when to train, not what."""


@dataclass
class Stored:
    """The stored state of a city, read once.

    Attributes:
        table: its days.
    """

    store: Store
    city: City
    table: DayTable
    _lineages: dict[Asset, Lineage] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: City) -> "Stored":
        """Read the state of a city."""
        return cls(store, city, DayTable.read(store, city.name))

    def lineage(self, asset: Asset) -> Lineage:
        """Return the versions of an asset's partitions."""
        if asset not in self._lineages:
            self._lineages[asset] = read_lineage(self.store, asset, self.city.name)
        return self._lineages[asset]

    def origin(self, asset: Asset, key: date | str = UNPARTITIONED) -> Origin:
        """Return what a partition was made from; `NOT_MADE` if it never was."""
        return self.lineage(asset).get(str(key), NOT_MADE)

    def versions(self, asset: Asset) -> dict[str, str]:
        """Return the versions of the partitions that were made at least once, by key in order."""
        return {key: origin.version for key, origin in sorted(self.lineage(asset).items()) if origin.version}

    def why_due(self, asset: Asset, key: date | None = None) -> str:
        """Return why a partition is to be made, as the end of a sentence."""
        return (
            "is new"
            if self.origin(asset, key or UNPARTITIONED) == NOT_MADE
            else "is made from other inputs than there are now"
        )

    def is_current(self, asset: Asset, key: date | None = None) -> bool:
        """Return True if a partition was made from what its inputs are now."""
        return self.origin(asset, key or UNPARTITIONED).made_from == self.made_from(asset, key)

    def made_from(self, asset: Asset, key: date | None = None) -> str:
        """Return the version of the present inputs of a partition; `key` is None for an asset without partitions."""
        if key is None:
            return {Asset.WALK_FORWARD_REPORTS: self._of_walk_forward, Asset.CITY_PAGES: self._of_pages}[asset]()
        return MADE_FROM[asset](self, key)

    def begin(self, asset: Asset, key: date | None = None) -> str:
        """Return the version of a partition's inputs, and mark it as not made until it is recorded.

        So a run that ends half-way leaves it due, also if its inputs then become what they were before.
        """
        made_from = self.made_from(asset, key)
        self.record(asset, key, "being made", self.origin(asset, key or UNPARTITIONED).version)
        return made_from

    def record(self, asset: Asset, key: date | None, made_from: str, version: str = "") -> None:
        """Record what a partition that was just written was made from, as it was before its inputs were read."""
        record_lineage(self.store, asset, self.city.name, {key or UNPARTITIONED: Origin(made_from, version)})

    def days(self, first: date, last: date) -> str:
        """Return the version of the city's days from `first` to `last`."""
        return self.table.version(max(first, self.city.start), last)

    def settings(self, *keys: str) -> str:
        """Return a version of keys of the city's file."""
        return sha256(self.city.model_dump_json(include=set(keys)))[:8]

    def inputs(self, assets: Iterable[Asset], keys: Iterable[date], more: str = "") -> str:
        """Return the version of partitions of other assets, and of what is given as text."""
        origins = [self.origin(asset, key) for asset in assets for key in keys]
        return sha256(*(part for origin in origins for part in (*origin, ";")), more)[:16]

    def _of_walk_forward(self) -> str:
        return sha256(*(f"{key}{version}" for key, version in self.versions(Asset.EVALUATION_REPORTS).items()))[:16]

    def _of_pages(self) -> str:
        table = self.table.version(self.city.start, max(self.table.days, default=self.city.start))
        parts = (
            Asset.RISK_FORECASTS,
            Asset.STREET_RISK,
            Asset.PATROL_PLANS,
            Asset.FORECAST_SCORES,
            Asset.WALK_FORWARD_REPORTS,
        )
        settings = self.settings("layers", "base_map", "patrol")
        return sha256(table, settings, *(str(sorted(self.lineage(asset).items())) for asset in parts))[:16]


def _of_scores(stored: Stored, day: date) -> str:
    issue_dates = [day - timedelta(days=back) for back in range(1, WINDOW_DAYS + 1)]
    days = stored.days(day - timedelta(days=HISTORY_DAYS - 1), day)
    return stored.inputs([Asset.RISK_FORECASTS], issue_dates, days)


def _of_report(stored: Stored, cutoff: date) -> str:
    return stored.inputs([Asset.FOLD_MODELS], [cutoff], stored.days(date.min, last_test_day(stored.city, cutoff)))


MADE_FROM: Final[dict[Asset, Callable[[Stored, date], str]]] = {
    Asset.LIVE_MODELS: lambda stored, day: stored.days(date.min, day) + stored.settings(*SERVING_SETTINGS),
    Asset.RISK_FORECASTS: lambda stored, day: stored.inputs([Asset.LIVE_MODELS], [day], stored.days(date.min, day)),
    Asset.STREET_RISK: lambda stored, day: stored.inputs([Asset.RISK_FORECASTS], [day], stored.settings("streets")),
    Asset.PATROL_PLANS: lambda stored, day: stored.inputs(
        [Asset.RISK_FORECASTS, Asset.STREET_RISK], [day], stored.settings("patrol")
    ),
    Asset.FORECAST_SCORES: _of_scores,
    Asset.STREET_SCORES: lambda stored, day: stored.inputs(
        [Asset.STREET_RISK], [day - ONE_DAY], stored.days(day - ONE_DAY, day)
    ),
    Asset.NOWCAST_SCORES: lambda stored, day: stored.days(day - ONE_DAY, day),
    Asset.FOLD_MODELS: lambda stored, cutoff: stored.days(date.min, cutoff - ONE_DAY),
    Asset.EVALUATION_REPORTS: _of_report,
}
"""Version of the inputs of a partition (a day or a cutoff), by asset."""
