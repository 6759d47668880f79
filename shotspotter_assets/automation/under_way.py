"""Runs to request, and runs under way: both name assets, days and the version of their inputs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.wording import period

# priorities in the queue, in which people's runs have 0
NEWEST_DAY: Final = 5
CORRECTIONS: Final = 4
NEW_MODELS: Final = 3
REPORTS: Final = 2
BACKLOG: Final = 1
FOLDS: Final = -1

Days = tuple[date, date] | None  # first and last day, or twice the cutoff of a fold; None without partitions


@dataclass(frozen=True)
class DueRun:
    """A run to request."""

    assets: tuple[Asset, ...]
    days: Days
    priority: int
    why: str  # reason, in words
    version: str  # version of the inputs, equal in repeated requests
    replaces: str = ""  # version of the stored partitions
    is_stopgap: bool = False  # True for a run that is requested only if no run before it can be
    waits_for: str = ""  # run under way that has to end before, in words; empty for a run that may start

    @property
    def is_training(self) -> bool:
        """True for a run that trains live models; runs of other assets as well leave them as they are."""
        return _is_training(self.assets)

    @property
    def is_long(self) -> bool:
        """True for a run that may take more than a minute, so that it must leave a place for the newest day."""
        return self.priority <= NEW_MODELS

    @property
    def waiting_text(self) -> str:
        """The reason for the run, and the run that it waits for."""
        return f"{self.why.rstrip('.')}; it waits for {self.waits_for}."


@dataclass(frozen=True)
class RunUnderWay:
    """A run of a city that has not ended."""

    assets: frozenset[str]
    days: Days
    version: str = ""  # `version` of the `DueRun`; empty for a run that a person launched
    has_started: bool = True  # False for a run in the queue

    @property
    def is_training(self) -> bool:
        """True for a run that trains live models."""
        return _is_training(self.assets)

    def writes(self, assets: Collection[str], days: Days) -> bool:
        """Return True if the run writes one of the assets on one of the days, or at all for assets without partitions."""
        if self.assets.isdisjoint(assets):
            return False
        return days is None or (self.days is not None and self.days[0] <= days[1] and days[0] <= self.days[1])

    def __str__(self) -> str:
        days = "" if self.days is None else f" of {period(*self.days)}"
        return f"the run of {', '.join(sorted(self.assets))}{days}"


def writer(under_way: Sequence[RunUnderWay], assets: Collection[str], days: Days) -> RunUnderWay | None:
    """Return the first run under way that writes a partition of one of the assets on one of the days."""
    return next((run for run in under_way if run.writes(assets, days)), None)


def _is_training(assets: Collection[str]) -> bool:
    return set(assets) == {Asset.LIVE_MODELS}
