"""The search space of a forecaster: what its settings may be, declared beside them; plain types, for any engine."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

Value = float | int | bool | str


class SearchSpaceError(ValueError):
    """A search space has bounds or conditions that make no sense, or that the settings do not take."""


@dataclass(frozen=True)
class OnlyIf:
    """A parameter that is searched only where a categorical one before it has a certain value."""

    name: str
    value: Value


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """What all kinds of parameters have.

    Attributes:
        only_if: the condition under which it is searched; None for always. Else the setting stays as it is.
        shared: whether it is searched only where there is a model of all cities (true), or only where there is none (false).
        as_list: whether the setting is a list, of which one value is tried.
    """

    only_if: OnlyIf | None = None
    shared: bool | None = None
    as_list: bool = False

    @property
    @abstractmethod
    def ends(self) -> tuple[Value, ...]:
        """Values that the settings have to take if they take all others."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether a value is within the bounds."""

    def setting(self, value: Value) -> Any:
        """The value as the settings take it."""
        return [value] if self.as_list else value


@dataclass(frozen=True)
class Continuous(Parameter):
    """A number from `low` to `high`; `log`: its logarithm is searched evenly."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def contains(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Integer(Parameter):
    """A whole number from `low` to `high` in steps; `log`: its logarithm is searched evenly."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        if self.step < 1 or (self.high - self.low) % self.step or (self.log and self.step > 1):
            raise SearchSpaceError(
                f"a step of {self.step} does not lead from {self.low} to {self.high}, or is along a logarithm"
            )

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def contains(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Categorical(Parameter):
    """One of some values."""

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(set(self.options)) < max(len(self.options), 2):
            raise SearchSpaceError(f"the options {self.options} are fewer than two, or some are the same")

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.options

    def contains(self, value: Any) -> bool:
        return value in self.options


Space = Mapping[str, Parameter]
"""Parameters by the name of their setting; a condition names one that comes before."""
NO_SPACE: Final[Space] = {}


def check_space(settings: type[BaseModel], space: Space) -> None:
    """Refuse a space that the settings do not take.

    Raises:
        SearchSpaceError: a name is no setting, an end is no value of it, or a condition names nothing before it.
    """
    known: list[str] = []
    for name, parameter in space.items():
        place = f"Search space of {settings.__name__}, {name}"
        if name not in settings.model_fields:
            raise SearchSpaceError(f"{place}: there is no such setting; there are: {', '.join(settings.model_fields)}.")
        for end in parameter.ends:
            try:
                settings.model_validate({name: parameter.setting(end)})
            except ValidationError as error:
                raise SearchSpaceError(f"{place}: {end} is refused: {error.errors()[0]['msg']}.") from None
        condition = parameter.only_if
        if condition is not None:
            other = space.get(condition.name) if condition.name in known else None
            if not isinstance(other, Categorical) or condition.value not in other.options:
                raise SearchSpaceError(
                    f"{place}: the condition {condition.name} = {condition.value!r} must name a categorical parameter "
                    "that comes before, and one of its options."
                )
        known.append(name)


def searched(space: Space, has_shared: bool) -> Space:
    """The parameters that are searched for a city with, or without, a model of all cities."""
    return {name: one for name, one in space.items() if one.shared in (None, has_shared)}


def is_active(parameter: Parameter, values: Mapping[str, Value]) -> bool:
    """Whether a parameter is searched, given the values of those before it."""
    condition = parameter.only_if
    return condition is None or values.get(condition.name) == condition.value


def values_of(space: Space, settings: BaseModel) -> dict[str, Value] | None:
    """The point of the space that some settings are; None where they lie outside of it."""
    values: dict[str, Value] = {}
    for name, parameter in space.items():
        value = getattr(settings, name)
        if parameter.as_list:
            if len(value) != 1:
                return None
            [value] = value
        if is_active(parameter, values):
            if not parameter.contains(value):
                return None
            values[name] = value
    return values


def as_settings(space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    """A point of the space as changes of the settings."""
    return {name: space[name].setting(value) for name, value in values.items()}


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SearchSpaceError(f"the bounds must be finite numbers, the lower one first, not {low} to {high}")
    if log and low <= 0:
        raise SearchSpaceError(f"a logarithm needs bounds above zero, not {low} to {high}")
