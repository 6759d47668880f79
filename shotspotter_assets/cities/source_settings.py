"""The base of the settings of sources, and the part of a city that readers of sources need."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.cities.strict_model import StrictModel


class SourceSettings(StrictModel):
    """Settings of one source. `sources.source_kinds` lists the models of all kinds, which import readers in functions."""

    kind: str
    arrival: ClassVar[Literal["landed", "polled", "daily"]]  # way of new days: as files, by polls, by the clock

    row_rules: ClassVar[tuple[str, ...]] = ()  # settings that change the meaning of a row; others leave rows valid

    @property
    def has_types(self) -> bool:
        """True if the source gives gunshot types."""
        return True

    @property
    def address(self) -> str:
        """The `received_from` of a live source's rows, without secrets; unique among a city's sources."""
        return ""

    def beside(self, folder: Path) -> Self:
        """Return the settings with paths resolved from the city file's folder; raise ValueError if one does not exist."""
        return self

    def open(self, site: "Site", access: Any) -> Any:
        """Return the reader of the source (`sources.alert_source`)."""
        raise NotImplementedError


class Limits(StrictModel):
    """Limits of the process that reads one landed file."""

    memory_mb: int = Field(default=4_096, ge=64)
    seconds: float = Field(default=300, gt=0)


@dataclass(frozen=True)
class Site:
    """A city, or a table beside its alerts, as readers of its sources need it."""

    name: str  # folder of what was received, in the store
    zone: ZoneInfo
    start: date  # first day of the rows
    end: date | None  # last day of the rows; None for a service that goes on
    box: Box
    grid: Grid
    sources: tuple[SourceSettings, ...]
    limits: Limits
    max_share_rejected: float  # maximum share of rows without a usable date of a landed file
    acknowledged_files: frozenset[str]  # names of the landed files that a person has accepted

    @property
    def live_since(self) -> list[date]:
        """First day requested from each live source."""
        live = [source for source in self.sources if source.arrival == "polled"]
        return [getattr(source, "since", None) or self.start for source in live]
