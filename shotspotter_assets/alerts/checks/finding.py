"""The finding of a check, its texts, and blocks of days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

from shotspotter_assets.storage.wording import first_of, number_of, period

if TYPE_CHECKING:
    from shotspotter_assets.storage.arrays import Booleans, Days


QUARTER_DAYS: Final = 91
MIN_LEVEL_DAYS: Final = 56  # minimum number of ordinary days before a day for its usual level


@dataclass(frozen=True)
class Block:
    """Contiguous days, such as a year or a month, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return period(self.first, self.last)

    def holds(self, dates: "Days") -> "Booleans":
        """Flag the dates in the block."""
        import numpy as np

        return (dates >= np.datetime64(self.first)) & (dates <= np.datetime64(self.last))


Numbers = Mapping[str, float | int | str]
MAX_DAYS_NAMED: Final = 10
MAX_SHARE_CHANCE: Final = 1e-3  # a share is excessive if it is less probable than this at the usual share


@dataclass(frozen=True)
class Finding:
    """Outcome of one check; `days` holds the failing days with a number that the check explains."""

    passed: bool
    message: str
    numbers: Numbers = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)
    is_error: bool = False  # True if the check raised an error instead of checking the data


Findings = Mapping[str, Finding]  # by check


@dataclass(frozen=True)
class Problems:
    """Problems found in blocks of days."""

    times: dict[str, list[str]] = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)

    def add(self, problem: str | None, block: Block, number: float) -> None:
        """Add a problem of a block, with a number for the block's last day; None adds nothing."""
        if problem is not None:
            self.times.setdefault(problem, []).append(str(block))
            self.days[block.last] = float(number)

    def finding(self, sound: str, numbers: Numbers) -> Finding:
        """Return a failed finding with all problems in one sentence, or a passed one with the message `sound`."""
        text = "; ".join(f"{problem} ({named_days(times)})" for problem, times in self.times.items())
        return Finding(not text, f"{text[0].upper()}{text[1:]}." if text else sound, numbers, self.days)


def named_days(days: Iterable[date | str]) -> str:
    """Name the first days or periods."""
    return first_of(sorted(map(str, days)), MAX_DAYS_NAMED)


def share_finding(
    part: Mapping[date, int], whole: Mapping[date, int], usual: float, verb: str, remedy: str, undated: int = 0
) -> Finding:
    """Check that `part` is not an unusual share of `whole`: on each day, and on all days together with `undated`."""
    from scipy.special import bdtrc

    numbers = {day: part.get(day, 0) for day in whole}
    total = sum(numbers.values()) + undated
    rows = sum(whole.values()) + undated
    if not rows:
        return Finding(True, "No rows to check.", {"rows": 0, "share": 0.0})

    def is_excessive(count: int, trials: int, days: int) -> bool:
        # A day counts when it would stand out among all days.
        # More rows than there are have no probability: they are of an earlier state of the day.
        is_rare = count > trials or bool(bdtrc(count - 1, trials, usual) < MAX_SHARE_CHANCE / days)
        return count > usual * trials and is_rare

    too_many = is_excessive(total, rows, 1)
    bad = [day for day, number in numbers.items() if is_excessive(number, whole[day], len(whole))]
    message = f"{total:,} of {number_of(rows, 'row')} {verb} ({total / rows:.1%}; usual is at most {usual:.0%})"
    message += f", too many on {named_days(bad)}" if bad else ""
    message += f". {remedy}" if bad or too_many else "."
    concerned = [day for day, number in numbers.items() if number > 0] if too_many else bad
    shares = {day: part[day] / whole[day] for day in concerned}
    return Finding(not bad and not too_many, message, {"rows": total, "share": round(total / rows, 4)}, shares)
