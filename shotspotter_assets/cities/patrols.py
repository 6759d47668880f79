"""The section `patrols` of a city's file: a table of the patrols that were made, or of plans with a yes or no for each visit."""

from typing import ClassVar

from pydantic import model_validator

from shotspotter_assets.cities.side_table import SideTable
from shotspotter_assets.cities.strict_model import StrictModel


class PatrolColumns(StrictModel):
    """Names of the source's further columns; null for one that it does not have."""

    until: str | None = None  # end of a patrol, whose start is `source.columns.time`
    made: str | None = None  # yes or no for a visit of the plan
    shift: str | None = None  # shift of the plan that a patrol or a visit belongs to
    unit: str | None = None
    cell: str | None = None  # name of the cell, such as R12C07; without it, `row` and `column`, or the point
    row: str | None = None
    column: str | None = None

    @model_validator(mode="after")
    def _states_what_was_done(self) -> "PatrolColumns":
        if self.until is None and self.made is None:
            raise ValueError("name until (the end of a patrol), or made (yes or no for a visit of the plan)")
        return self


class Patrols(SideTable):
    """Patrols that were made; `source.columns.time` is the start of a patrol, or of the shift of a planned visit."""

    time_columns: ClassVar = ("until",)

    columns: PatrolColumns
    log_is_complete: bool = False  # the department states that each visit has a row: one without a row was not made
