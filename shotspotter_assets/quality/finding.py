"""The finding of a check, and its texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

MAX_DAYS_SHOWN: Final = 10
"""Maximum days in a message; `Finding.days` holds all."""
MAX_SHARE_CHANCE: Final = 1e-3
"""Maximum probability of an excessive share at the usual share: one row of ten is no news."""


@dataclass(frozen=True)
class Finding:
    """Outcome of one check; `days` holds the failing days with a number that the check explains."""

    passed: bool
    message: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)
    is_error: bool = False
    """True if the check raised an error instead of checking the data."""


def number_of(count: int, noun: str) -> str:
    """Return the count with the noun in singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def named_days(days: Sequence[date | str]) -> str:
    """Return the first `MAX_DAYS_SHOWN` days or periods, and the number of further ones."""
    shown = ", ".join(sorted(map(str, days))[:MAX_DAYS_SHOWN])
    return shown if len(days) <= MAX_DAYS_SHOWN else f"{shown}, and {len(days) - MAX_DAYS_SHOWN:,} more"


def sentence(problems: Mapping[str, Sequence[str]]) -> str:
    """Join problems, each with the times at which it was found, into one sentence."""
    text = "; ".join(f"{problem} ({named_days(times)})" for problem, times in problems.items())
    return f"{text[0].upper()}{text[1:]}."


def share_finding(
    part: Mapping[date, int], whole: Mapping[date, int], usual: float, verb: str, remedy: str, undated: int = 0
) -> Finding:
    """Check that `part` is no larger share of `whole` than usual, on all days of `whole` together and on each.

    The message is "12 of 100 rows <verb>", and the remedy. Rows that are `undated` count among those of all days.
    """
    import numpy as np

    from shotspotter_assets.quality.usual import binomial_at_least

    days, rows = list(whole), sum(whole.values()) + undated
    if not rows:
        return Finding(True, "No rows to check.", {"rows": 0, "share": 0.0})
    numbers = [part.get(day, 0) for day in days]
    total = sum(numbers) + undated
    counts, rows_each = np.array([*numbers, total]), np.array([*whole.values(), rows])
    # A day counts when it would stand out among all days.
    chance = np.array([MAX_SHARE_CHANCE / max(len(days), 1)] * len(days) + [MAX_SHARE_CHANCE])
    *is_bad, too_many = (counts > usual * rows_each) & (binomial_at_least(counts, rows_each, usual) < chance)
    bad = [day for day, flag in zip(days, is_bad, strict=True) if flag]
    passed = not bad and not too_many
    message = f"{total:,} of {rows:,} rows {verb} ({total / rows:.1%}; usual is at most {usual:.0%})"
    message += f", too many on {named_days(bad)}" if bad else ""
    message += "." if passed else f". {remedy}"
    concerned = [day for day, number in zip(days, numbers, strict=True) if number > 0] if too_many else bad
    shares = {day: part[day] / whole[day] for day in concerned}
    return Finding(passed, message, {"rows": total, "share": round(total / rows, 4)}, shares)
