"""The audit layer of a city's file: polygons with residents by group, for audits of burden alone."""

from pydantic import Field

from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.cities.strict_model import StrictModel


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
