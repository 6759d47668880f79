"""The stored state of a city: its table of days, and what each asset's partitions were made from and are to be made from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import last_test_day
from shotspotter_assets.serving.forecast_scores import HISTORY_DAYS, WINDOW_DAYS
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import UNPARTITIONED, Lineage, Origin, read_lineage, record_lineage
from shotspotter_assets.storage.store import Store

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
    _lineages: dict[str, Lineage] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: City) -> "Stored":
        """Read the state of a city."""
        return cls(store, city, DayTable.read(store, city.name))

    def lineage(self, asset: str) -> Lineage:
        """Return the versions of an asset's partitions."""
        if asset not in self._lineages:
            self._lineages[asset] = read_lineage(self.store, asset, self.city.name)
        return self._lineages[asset]

    def origin(self, asset: str, key: date | str = UNPARTITIONED) -> Origin:
        """Return what a partition was made from; `NOT_MADE` if it never was."""
        return self.lineage(asset).get(str(key), NOT_MADE)

    def versions(self, asset: str) -> dict[str, str]:
        """Return the versions of the partitions that were made at least once, by key in order."""
        return {key: origin.version for key, origin in sorted(self.lineage(asset).items()) if origin.version}

    def why_due(self, asset: str, key: date | None = None) -> str:
        """Return why a partition is to be made, as the end of a sentence."""
        return (
            "is new"
            if self.origin(asset, key or UNPARTITIONED) == NOT_MADE
            else "is made from other inputs than there are now"
        )

    def is_current(self, asset: str, key: date | None = None) -> bool:
        """Return True if a partition was made from what its inputs are now."""
        return self.origin(asset, key or UNPARTITIONED).made_from == self.made_from(asset, key)

    def made_from(self, asset: str, key: date | None = None) -> str:
        """Return the version of the present inputs of a partition, None for an asset without partitions."""
        if key is None:
            return {"walk_forward_reports": self._of_walk_forward, "city_pages": self._of_pages}[asset]()
        of_key: dict[str, Callable[[date], str]] = {
            "live_models": lambda day: self.table.version(self.city.start, day) + self._settings(*SERVING_SETTINGS),
            "risk_forecasts": lambda day: self._versions(
                ["live_models"], [day], self.table.version(self.city.start, day)
            ),
            "street_risk": lambda day: self._versions(["risk_forecasts"], [day], self._settings("streets")),
            "patrol_plans": lambda day: self._versions(
                ["risk_forecasts", "street_risk"], [day], self._settings("patrol")
            ),
            "forecast_scores": self._of_scores,
            "street_scores": lambda day: self._versions(["street_risk"], [day - ONE_DAY], self._of_two_days(day)),
            "nowcast_scores": self._of_two_days,
            "fold_models": lambda cutoff: self.table.version(self.city.start, cutoff - ONE_DAY),
            "evaluation_reports": self._of_report,
        }
        return of_key[asset](key)

    def begin(self, asset: str, key: date | None = None) -> str:
        """Return the version of a partition's inputs, and mark it as not made until it is recorded.

        So a run that ends half-way leaves it due, also if its inputs then become what they were before.
        """
        made_from = self.made_from(asset, key)
        self.record(asset, key, "being made", self.origin(asset, key or UNPARTITIONED).version)
        return made_from

    def record(self, asset: str, key: date | None, made_from: str, version: str = "") -> None:
        """Record what a partition that was just written was made from, as it was before its inputs were read."""
        record_lineage(self.store, asset, self.city.name, {key or UNPARTITIONED: Origin(made_from, version)})

    def _versions(self, assets: Iterable[str], keys: Iterable[date], more: str = "") -> str:
        origins = [self.origin(asset, key) for asset in assets for key in keys]
        return sha256(*(part for origin in origins for part in (*origin, ";")), more)[:16]

    def _of_two_days(self, day: date) -> str:
        return self.table.version(day - ONE_DAY, day)

    def _of_scores(self, day: date) -> str:
        days = [day - timedelta(days=back) for back in range(1, WINDOW_DAYS + 1)]
        return self._versions(["risk_forecasts"], days, self.table.version(day - timedelta(days=HISTORY_DAYS - 1), day))

    def _of_report(self, cutoff: date) -> str:
        table = self.table.version(self.city.start, last_test_day(self.city, cutoff))
        return self._versions(["fold_models"], [cutoff], table)

    def _of_walk_forward(self) -> str:
        return sha256(*(f"{key}{version}" for key, version in self.versions("evaluation_reports").items()))[:16]

    def _of_pages(self) -> str:
        table = self.table.version(self.city.start, max(self.table.days, default=self.city.start))
        parts = ("risk_forecasts", "street_risk", "patrol_plans", "forecast_scores", "walk_forward_reports")
        settings = self._settings("layers", "base_map", "patrol")
        return sha256(table, settings, *(str(sorted(self.lineage(asset).items())) for asset in parts))[:16]

    def _settings(self, *keys: str) -> str:
        """Return a version of keys of the city's file."""
        return sha256(self.city.model_dump_json(include=set(keys)))[:8]
