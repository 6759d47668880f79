"""The section `outcomes` of a city's file: a table of calls about shots, with what became of them."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from shotspotter_assets.cities.side_table import SideTable
from shotspotter_assets.cities.strict_model import StrictModel

Outcome = Literal["confirmed", "unfounded", "unconfirmed", "open"]
Origin = Literal["sensor", "person"]
MAX_MATCH_MINUTES: Final = 180  # a day's matching reads the days around it


class OutcomeColumns(StrictModel):
    """Names of the source's further columns; null for one that it does not have."""

    alert_id: str | None = None  # id of the alert at the city's source of alerts
    code: str | None = None  # disposition
    dispatched: str | None = None
    arrived: str | None = None
    cleared: str | None = None
    origin: str | None = None  # who reported the shots


class Outcomes(SideTable):
    """Calls about shots, from sensors and persons; `source.columns.source_id` is the number of the call."""

    time_columns: ClassVar = ("dispatched", "arrived", "cleared")

    columns: OutcomeColumns = OutcomeColumns()
    codes: dict[str, Outcome] = Field(default_factory=dict)  # outcome by code, in any case; codes not named are open
    origins: dict[str, Origin] = Field(default_factory=dict)
    """Origin by the text of `columns.origin`, in any case; texts not named are persons. Without the column, all are sensor."""
    within_minutes: float = Field(default=15, gt=0, le=MAX_MATCH_MINUTES)
    """Maximum time between an alert and a call without its id that are matched."""
    within_m: float = Field(default=400, gt=0, le=5_000)  # maximum distance between them, metres

    def outcome_of(self, code: str) -> Outcome | None:
        """Return the outcome of a code in any case; None for one that is not named."""
        return {name.lower(): outcome for name, outcome in self.codes.items()}.get(code.lower())

    def origin_of(self, text: str) -> Origin:
        """Return the origin of a text in any case, a person for one that is not named."""
        return {name.lower(): origin for name, origin in self.origins.items()}.get(text.lower(), "person")
