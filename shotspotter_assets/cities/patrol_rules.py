"""The patrol rules of a city's file."""

from itertools import pairwise
from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from shotspotter_assets.cities.strict_model import StrictModel

LAST_END: Final = 12  # hour of the next day up to which hours are forecast


class Shift(StrictModel):
    """One shift: local hours and the units that are on duty; 22 to 6 ends on the next day."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]*$")
    start: int = Field(ge=0, le=23)
    end: int = Field(ge=0, le=24)
    units: int = Field(ge=0, le=1_000)

    @model_validator(mode="after")
    def _has_hours(self) -> "Shift":
        if self.start == self.end:
            raise ValueError(f"start and end are both {self.start} (a shift of the whole day is 0 to 24)")
        if LAST_END < self.end < self.start:
            raise ValueError(
                f"end ({self.end}) must not be after {LAST_END} of the next day, because later hours have no forecast"
            )
        return self


class Repeats(StrictModel):
    """Cap on sending units to one cell: on at most `most` of any `days` consecutive days."""

    most: int = Field(ge=1)
    days: int = Field(ge=2, le=366)

    @model_validator(mode="after")
    def _forbids_something(self) -> "Repeats":
        if self.most >= self.days:
            raise ValueError(f"most ({self.most}) must be less than days ({self.days})")
        return self


class PatrolRules(StrictModel):
    """Rules of a city's patrol plans."""

    shifts: tuple[Shift, ...] = Field(min_length=1)
    radius_m: float = Field(default=500.0, ge=0, le=20_000)  # reach of a unit from the middle of its cell
    shares: tuple[float, ...] = Field(default=(0.6, 0.24, 0.1), min_length=1, max_length=10)
    """Share of a cell's alerts that its first unit covers, the second adds, and so on."""
    most_units_per_cell: int = Field(default=2, ge=1)  # maximum of one shift
    least_share_per_area: float = Field(default=0.0, ge=0, le=1)  # minimum of its units in each area, rounded up
    repeats: Repeats | None = None
    lottery: float | None = Field(default=None, gt=0, le=10)
    """Places are drawn with a chance proportional to their expected events to this power; null for the best places."""
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000)]] = Field(default_factory=dict)
    """Weight of an expected event by target; 1 for targets that are not named."""

    @field_validator("shifts")
    @classmethod
    def _have_different_names(cls, value: tuple[Shift, ...]) -> tuple[Shift, ...]:
        names = [shift.name for shift in value]
        if len(set(names)) < len(names):
            raise ValueError(f"two shifts have the same name ({', '.join(names)})")
        return value

    @field_validator("shares")
    @classmethod
    def _diminish(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0 or sum(value) > 1 + 1e-9 or any(later > earlier for earlier, later in pairwise(value)):
            raise ValueError("must be above 0, never rise, and sum to at most 1 (such as [0.6, 0.24, 0.1])")
        return value
