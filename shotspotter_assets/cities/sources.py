"""What a city's file says about where its alerts come from. Reading them is the task of `shotspotter_assets.sources`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

NaiveTimes = Literal["reject", "local", "utc"]
"""What a time without a zone means: unusable, the city's wall clock, or UTC."""


class Described(BaseModel):
    """Part of a city's file: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(Described):
    """Names of the source's own columns, by what they hold. A null means that the source has no such column."""

    time: str
    longitude: str = "longitude"
    latitude: str = "latitude"
    gunshot_type: str | None = None
    rounds: str | None = None
    source_id: str | None = None

    def named(self) -> dict[str, str]:
        """The mapping without the columns that the source does not have."""
        return {ours: theirs for ours, theirs in self.model_dump().items() if theirs is not None}


class TabularSource(Described):
    """What is said of every source that hands over rows with columns of its own."""

    columns: Columns
    time_format: str | None = None
    """`strptime` pattern of times written as text; null for ISO 8601."""
    naive_times: NaiveTimes = "reject"


class LandingSource(TabularSource):
    """Files in the city's landing folder."""

    kind: Literal["landing"]
    file_date: str | None = None
    """`strptime` pattern of the local date in the names of daily files (`alerts_%Y%m%d`); null where
    files hold any days."""

    @field_validator("file_date")
    @classmethod
    def _names_a_day(cls, value: str | None) -> str | None:
        if value is not None and not ("%Y" in value and ("%j" in value or ("%m" in value and "%d" in value))):
            raise ValueError("must hold a whole date (allowed: a strptime pattern such as %Y-%m-%d or alerts_%Y%m%d)")
        return value


class SimulatedCitySource(Described):
    """The embedded simulation with known true intensity."""

    kind: Literal["simulated"]
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)


Source = Annotated[LandingSource | SimulatedCitySource, Field(discriminator="kind")]
