"""Sections of a city's file that no model reads: statements and bounds, tables beside the alerts, residents by group."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.cities.source_settings import SourceSettings
from shotspotter_assets.cities.strict_model import StrictModel

Statement = Annotated[str, Field(min_length=1, max_length=600)]
Subject = Literal[
    "owner",
    "responsible",  # accountable person, by role
    "contact",
    "purpose",
    "legal_basis",
    "supplier",  # of sensors and alerts, with the contract
    "retention",
    "training",  # of the people who use the forecast
    "appeals",
    "impact_assessment",
]
SubjectOfYear = Literal[
    "cost",
    "complaints",
    "records_requests",
    "audits",  # and violations of the policy of use
    "breaches",
    "policy_changes",
    "sharing",  # of data with others
]


class Bounds(StrictModel):
    """Bounds on the last year's numbers, which a check watches; null for none."""

    least_share_with_outcome: float | None = Field(None, ge=0, le=1)  # of the alerts
    least_share_of_plan_made: float | None = Field(None, ge=0, le=1)  # of the planned hours
    most_burden_ratio: float | None = Field(None, ge=1)  # of flagged days for each resident


class Accountability(StrictModel):
    """Statements that reports and pages show as they are, and bounds; a subject that is missing is "not stated"."""

    stated: dict[Subject, Statement] = Field(default_factory=dict)
    years: dict[Annotated[int, Field(ge=1990, le=2099)], dict[SubjectOfYear, Statement]] = Field(default_factory=dict)
    bounds: Bounds = Bounds()


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


class PatrolColumns(StrictModel):
    """Names of the source's further columns; null for one that it does not have."""

    until: str | None = None  # end of a patrol, whose start is `source.columns.time`
    made: str | None = None  # yes or no for a visit of the plan
    shift: str | None = None  # shift of the plan that a patrol or a visit belongs to
    unit: str | None = None
    cell: str | None = None  # name of the cell, such as R12C07; without it, the point counts

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


class AuditFigure(StrictModel):
    """Columns of one figure of each polygon."""

    column: str = Field(min_length=1)
    margin: str | None = None  # column of the margin of error (90%, as the American Community Survey gives it)


class AuditLayer(Layer):
    """One file of polygons, such as census tracts, with figures about their residents; `name` names each polygon."""

    year: int = Field(ge=1990, le=2099)  # last year of the period that the figures describe
    residents: AuditFigure  # number of residents
    groups: dict[str, AuditFigure] = Field(default_factory=dict)  # number of residents by group; groups do not overlap
    income: AuditFigure | None = None  # median household income
