"""Stored state of a city: its table of days, and recorded and present versions of the inputs of each partition."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import City
from shotspotter_assets.serving.approvals import Approvals
from shotspotter_assets.serving.score_windows import HISTORY_DAYS, WINDOW_DAYS
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import (
    BEGUN,
    UNPARTITIONED,
    Lineage,
    Origin,
    begin_lineage,
    read_lineage,
    record_lineage,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import Asset

NOT_MADE: Final = Origin("never")
SERVING_SETTINGS: Final = (
    "serves", "network", "gate", "approval", "forecasters", "targets", "holidays", "factors", "coverage", "folds",
)  # fmt: skip
"""Keys of the city's file that change the served forecast."""
PAGE_SETTINGS: Final = (
    "title",
    "short_name",
    "targets",
    "layers",
    "base_map",
    "patrol",
    "acknowledged",
    "public",
)  # keys that change pages


@dataclass
class Stored:
    """The stored state of a city, read once; `table` holds its days."""

    store: Store
    city: City
    table: DayTable
    _lineages: dict[Asset, Lineage] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: City) -> "Stored":
        """Read the table of a city's days; lineage is read when it is needed."""
        return cls(store, city, DayTable.read(store, city.name))

    def lineage(self, asset: Asset) -> Lineage:
        """Return the versions of an asset's partitions."""
        if asset not in self._lineages:
            self._lineages[asset] = read_lineage(self.store, asset, self.city.name)
        return self._lineages[asset]

    def origin(self, asset: Asset, key: date | None = None) -> Origin:
        """Return the recorded versions of a partition, `NOT_MADE` without any; assets without partitions have no `key`."""
        return self.lineage(asset).get(str(key or UNPARTITIONED), NOT_MADE)

    def versions(self, asset: Asset) -> dict[str, str]:
        """Return by key in order the versions of partitions that were made at least once."""
        return {key: origin.version for key, origin in sorted(self.lineage(asset).items()) if origin.version}

    def why_due(self, asset: Asset, key: date | None = None) -> str:
        """Return why a partition is due, as the end of a sentence."""
        origin = self.origin(asset, key)
        if origin.made_from.startswith(BEGUN):
            return "was begun and is not complete"
        return "is new" if origin == NOT_MADE else "is made from other inputs than there are now"

    def is_current(self, asset: Asset, key: date | None = None) -> bool:
        """Return True if a partition was made from its present inputs."""
        return self.origin(asset, key).made_from == self.made_from(asset, key)

    def made_from(self, asset: Asset, key: date | None = None) -> str:
        """Return the version of a partition's present inputs."""
        return MADE_FROM[asset](self, key)

    def begin(self, asset: Asset, key: date | None = None) -> str:
        """Return the version of a partition's inputs, and leave it due until it is recorded, as a run may end half-way."""
        made_from = self.made_from(asset, key)
        begin_lineage(self.store, asset, self.city.name, {key or UNPARTITIONED: made_from})
        return made_from

    def record(self, asset: Asset, key: date | None, made_from: str, version: str = "") -> None:
        """Record the versions of a written partition; `made_from` was read before its inputs."""
        record_lineage(self.store, asset, self.city.name, {key or UNPARTITIONED: Origin(made_from, version)})

    def days(self, first: date, last: date) -> str:
        """Return the version of the city's days from `first` to `last`."""
        return self.table.version(max(first, self.city.start), last)

    def settings(self, *keys: str) -> str:
        """Return the version of keys of the city's file."""
        return sha256(self.city.model_dump_json(include=set(keys)))[:8]

    def inputs(self, assets: Iterable[Asset], keys: Iterable[date], more: str = "") -> str:
        """Return the version of partitions of other assets and of a text."""
        origins = [self.origin(asset, key) for asset in assets for key in keys]
        return sha256(*(part for origin in origins for part in (*origin, ";")), more)[:16]


def _of_scores(stored: Stored, day: date) -> str:
    issue_dates = [day - timedelta(days=back) for back in range(1, WINDOW_DAYS + 1)]
    days = stored.days(day - timedelta(days=HISTORY_DAYS - 1), day)
    return stored.inputs([Asset.RISK_FORECASTS], issue_dates, days)


def _of_walk_forward(stored: Stored, _: None) -> str:
    reports = stored.versions(Asset.EVALUATION_REPORTS).items()
    targets = stored.city.by_target(stored.store) if stored.city.approval == "person" else ()
    approvals = [Approvals.read(store, stored.city.name).model_dump_json() for store, _ in targets]
    return sha256(stored.settings("gate", "targets"), *approvals, *(f"{key}{version}" for key, version in reports))[:16]


def _of_pages(stored: Stored, _: None) -> str:
    days = stored.days(date.min, max(stored.table.days, default=stored.city.start))
    daily = (Asset.RISK_FORECASTS, Asset.STREET_RISK, Asset.PATROL_PLANS, Asset.FORECAST_SCORES)
    lineages = (str(sorted(stored.lineage(asset).items())) for asset in (*daily, Asset.WALK_FORWARD_REPORTS))
    return sha256(days, stored.settings(*PAGE_SETTINGS), *lineages)[:16]


MADE_FROM: Final[dict[Asset, Callable[[Stored, Any], str]]] = {
    Asset.LIVE_MODELS: lambda stored, day: stored.days(date.min, day) + stored.settings(*SERVING_SETTINGS),
    Asset.RISK_FORECASTS: lambda stored, day: stored.inputs([Asset.LIVE_MODELS], [day], stored.days(date.min, day)),
    Asset.STREET_RISK: lambda stored, day: stored.inputs([Asset.RISK_FORECASTS], [day], stored.settings("streets")),
    Asset.PATROL_PLANS: lambda stored, day: stored.inputs(
        [Asset.RISK_FORECASTS, Asset.STREET_RISK], [day], stored.settings("patrol", "targets")
    ),
    Asset.FORECAST_SCORES: _of_scores,
    Asset.STREET_SCORES: lambda stored, day: stored.inputs(
        [Asset.STREET_RISK], [day - ONE_DAY], stored.days(day - ONE_DAY, day)
    ),
    Asset.NOWCAST_SCORES: lambda stored, day: stored.days(day - ONE_DAY, day),
    Asset.FOLD_MODELS: lambda stored, cutoff: stored.days(date.min, cutoff - ONE_DAY) + stored.settings("targets"),
    Asset.EVALUATION_REPORTS: lambda stored, cutoff: stored.inputs(
        [Asset.FOLD_MODELS], [cutoff], stored.days(date.min, stored.city.last_test_day(cutoff))
    ),
    Asset.WALK_FORWARD_REPORTS: _of_walk_forward,
    Asset.CITY_PAGES: _of_pages,
}
"""Version of the inputs of a partition (a day, a cutoff or None) by asset. A fold keeps the other settings of its training."""
