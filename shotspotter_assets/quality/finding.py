"""What a check of the data found, and the stretches of days that checks look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

HISTORY_DAYS: Final = 456
"""Days before a stretch that the checks look back on: a year, and the quarter that is compared with the same one of
the year before."""

BLOCK_DAYS: Final = 365
"""Shares that need many rows (clock, points) are judged a year at a time, so that a defect of one year is not diluted."""

CHECKS: Final = {
    "share_rejected": "Few rows cannot be used.",
    "share_untyped": "Few alerts have no gunshot type, where the source gives types.",
    "share_outside_coverage": "Few alerts lie where the city publishes no sensors.",
    "duplicates": "Few rows came twice, or with the identifier of another row of the day.",
    "unusual_days": "No day is far from its usual volume; holidays and fireworks are expected.",
    "silent_days": "No run of days without alerts that the usual rate rules out.",
    "firework_days": "Independence Day and New Year are not mostly fireworks.",
    "level_change": "No quarter has several times the alerts of the year before, or a fraction.",
    "new_area": "Alerts come from the same area as in the year before.",
    "points": "No default point, and no points rounded to a kilometre.",
    "clock": "Times are as exact as the city's file says, and on the city's clock.",
}
"""Name and meaning of each check that `alerts.alert_findings` makes."""

SHOWN_DAYS: Final = 10
"""Days that a message names; the numbers hold all."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check of one city's stretch of days.

    `message` says what was found, when, and the next step. `days` are those days of the stretch on which something is
    wrong, with a number that the check explains; `numbers` are of the stretch as a whole.
    """

    check: str
    passed: bool
    message: str
    numbers: dict[str, float | int | str] = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)


def named_days(days: Sequence[date]) -> str:
    """The first `SHOWN_DAYS` of some days, and how many there are."""
    shown = ", ".join(map(str, sorted(days)[:SHOWN_DAYS]))
    return shown if len(days) <= SHOWN_DAYS else f"{shown} and {len(days) - SHOWN_DAYS:,} more"


def blocks(known: Sequence[date], stretch: Sequence[date]) -> list[tuple[date, date]]:
    """(first, last) of the years that end with the stretch's last day, the year before, ..., as far as the stretch goes.

    A stretch shorter than a year is judged with as much of the year up to its end as is known. A rest of less than half
    a year at the beginning goes with the block after it.
    """
    last = stretch[-1]
    first = max(min(known[0], stretch[0]), min(stretch[0], last - timedelta(days=BLOCK_DAYS - 1)))
    edges = [last + timedelta(days=1)]
    while (edges[-1] - first).days > 1.5 * BLOCK_DAYS:
        edges.append(edges[-1] - timedelta(days=BLOCK_DAYS))
    edges.append(first)
    return [(start, end - timedelta(days=1)) for end, start in pairwise(edges)][::-1]


def in_block(dates: npt.NDArray[np.datetime64], block: tuple[date, date]) -> npt.NDArray[np.bool_]:
    """Which of some days (datetime64[D]) lie in a block; same shape."""
    return (dates >= np.datetime64(block[0])) & (dates <= np.datetime64(block[1]))
