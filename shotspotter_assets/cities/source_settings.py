"""The base of the settings of sources."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from shotspotter_assets.cities.strict_model import StrictModel

if TYPE_CHECKING:
    from shotspotter_assets.cities.city import City


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

    def open(self, city: "City", access: Any) -> Any:
        """Return the reader of the source (`sources.alert_source`)."""
        raise NotImplementedError
