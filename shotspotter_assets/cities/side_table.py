"""Sections of a city's file that name a table beside the alerts, such as the outcomes of alerts."""

from typing import Any, ClassVar

from shotspotter_assets.cities.source_settings import SourceSettings
from shotspotter_assets.cities.strict_model import StrictModel


class SideTable(StrictModel):
    """A table from any tabular source. `source.columns` names time, place and id of a row, `columns` the further ones."""

    time_columns: ClassVar[tuple[str, ...]] = ()  # fields of `columns` that hold times

    source: SourceSettings
    columns: StrictModel  # the source's names of further columns; null for one that it does not have

    @property
    def further_columns(self) -> dict[str, str]:
        """The source's names of the further columns by ours."""
        named: dict[str, Any] = self.columns.model_dump()
        return {ours: theirs for ours, theirs in named.items() if theirs is not None}
