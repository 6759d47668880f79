"""Statements about accountability in the city's file: what only a person knows, and bounds that the city sets."""

from typing import Annotated, Literal

from pydantic import Field

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
    most_hours_unconfirmed: float | None = Field(None, ge=0)  # officer hours on unconfirmed alerts
    least_share_of_plan_made: float | None = Field(None, ge=0, le=1)  # of the planned hours
    most_burden_difference: float | None = Field(None, ge=0)  # flagged days for each resident and year
    most_burden_ratio: float | None = Field(None, ge=1)  # of flagged days for each resident


class Accountability(StrictModel):
    """Statements that reports and pages show as they are, and bounds; a subject that is missing is "not stated"."""

    stated: dict[Subject, Statement] = Field(default_factory=dict)
    years: dict[Annotated[int, Field(ge=1990, le=2099)], dict[SubjectOfYear, Statement]] = Field(default_factory=dict)
    bounds: Bounds = Bounds()
