"""The City model: what one YAML file says about a city. Reading the files is `cities.registry`'s task."""

from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

GUNSHOT_TYPES = {0: "single gunshot", 1: "multiple gunshots", 2: "gunshot or firecracker"}
"""The gunshot types by their code; an alert of unknown type has a null code."""

NaiveTimes = Literal["reject", "local", "utc"]
"""What a time without a zone means: unusable, the city's wall clock, or UTC."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Model):
    """Bounding box of a city's grid, in WGS84 degrees; all four edges belong to it."""

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)

    @model_validator(mode="after")
    def _is_the_right_way_up(self) -> "Box":
        if self.west >= self.east:
            raise ValueError(f"west ({self.west}) must be less than east ({self.east})")
        if self.south >= self.north:
            raise ValueError(f"south ({self.south}) must be less than north ({self.north})")
        return self


class Grid(_Model):
    """Number of equal rows (south to north) and columns (west to east) that the box is cut into."""

    rows: int = Field(default=36, ge=2, le=500)
    columns: int = Field(default=36, ge=2, le=500)


class Columns(_Model):
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


class LandingSource(_Model):
    """Files in the city's landing folder."""

    kind: Literal["landing"]
    columns: Columns
    time_format: str | None = None
    """`strptime` pattern of times written as text; null for ISO 8601."""
    naive_times: NaiveTimes = "reject"
    file_date: str | None = None
    """`strptime` pattern of the local date in the names of daily files (`alerts_%Y%m%d`); null where
    files hold any days."""

    @field_validator("file_date")
    @classmethod
    def _names_a_day(cls, value: str | None) -> str | None:
        if value is not None and not ("%Y" in value and ("%j" in value or ("%m" in value and "%d" in value))):
            raise ValueError("must hold a whole date (allowed: a strptime pattern such as %Y-%m-%d or alerts_%Y%m%d)")
        return value


class SimulatedCitySource(_Model):
    """The embedded simulation with known true intensity."""

    kind: Literal["simulated"]
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)


class City(_Model):
    """One city: its clock, its box and grid, the first day that has data, and where its alerts come from."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    time_zone: str
    start: date
    box: Box
    grid: Grid = Grid()
    source: Annotated[LandingSource | SimulatedCitySource, Field(discriminator="kind")]

    @field_validator("time_zone")
    @classmethod
    def _is_a_known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone (allowed: names such as America/New_York)")
        return value

    @field_validator("start", mode="before")
    @classmethod
    def _is_a_date(cls, value: Any) -> Any:
        # YAML reads an unquoted 20140101 as a number, which pydantic would take for seconds since 1970.
        if isinstance(value, int | float):
            raise ValueError("write the date as YYYY-MM-DD")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The city's clock."""
        return ZoneInfo(self.time_zone)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the grid."""
        return self.grid.rows, self.grid.columns
