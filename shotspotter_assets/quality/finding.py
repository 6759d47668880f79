"""What a check found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

MAX_DAYS_SHOWN: Final = 10
"""Days that a message names; `Finding.days` holds all."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check of a city's days.

    Attributes:
        passed: whether nothing is wrong.
        message: what was found, when, and the next step.
        numbers: of the days as a whole.
        days: the judged days on which something is wrong, with a number that the check explains.
    """

    passed: bool
    message: str
    numbers: dict[str, float | int | str] = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)


def named_days(days: Sequence[date]) -> str:
    """The first `MAX_DAYS_SHOWN` of some days, and how many more there are."""
    shown = ", ".join(map(str, sorted(days)[:MAX_DAYS_SHOWN]))
    return shown if len(days) <= MAX_DAYS_SHOWN else f"{shown} and {len(days) - MAX_DAYS_SHOWN:,} more"
