"""The finding of a check, and checks of shares of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAX_DAYS_SHOWN: Final = 10
"""Maximum days in a message; `Finding.days` holds all."""
MAX_CHANCE: Final = 1e-3
"""Maximum probability of an excessive share at the usual share: one row of ten is no news."""


@dataclass(frozen=True)
class Finding:
    """Outcome of one check; `days` holds the failing days with a number that the check explains."""

    passed: bool
    message: str
    numbers: dict[str, float | int | str] = field(default_factory=dict)
    days: dict[date, float] = field(default_factory=dict)


def number_of(count: int, noun: str) -> str:
    """Return the count with the noun in singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def named_days(days: Sequence[date | str]) -> str:
    """Name the first `MAX_DAYS_SHOWN` days or periods, and the number of further ones."""
    shown = ", ".join(sorted(map(str, days))[:MAX_DAYS_SHOWN])
    return shown if len(days) <= MAX_DAYS_SHOWN else f"{shown}, and {len(days) - MAX_DAYS_SHOWN:,} more"


def sentence(problems: Mapping[str, Sequence[str]]) -> str:
    """Join problems, each with the times at which it was found, into one sentence."""
    text = "; ".join(f"{problem} ({named_days(times)})" for problem, times in problems.items())
    return f"{text[0].upper()}{text[1:]}."


def share_finding(
    rows_in_question: Mapping[date, int],
    all_rows: Mapping[date, int],
    usual: float,
    what: str,
    remedy: str,
    undated: int = 0,
) -> Finding:
    """Check that rows are no larger share than usual, on all days of `all_rows` together and on each.

    The message is "12 of 100 rows <what>", and the remedy. Rows that are `undated` count among those of all days.
    """
    days = list(all_rows)
    part: npt.NDArray[np.int64] = np.array([rows_in_question.get(day, 0) for day in days], dtype=np.int64)
    whole: npt.NDArray[np.int64] = np.array([all_rows[day] for day in days], dtype=np.int64)
    total, rows = int(part.sum()) + undated, int(whole.sum()) + undated
    if not rows:
        return Finding(True, "No rows to check.", {"rows": 0, "share": 0.0})
    share = total / rows
    # A day counts when it would stand out among all days.
    bad = np.flatnonzero(_improbable(part, whole, usual, MAX_CHANCE / max(len(days), 1)))
    too_many = bool(_improbable(np.array([total]), np.array([rows]), usual, MAX_CHANCE)[0])
    passed = not len(bad) and not too_many
    message = f"{total:,} of {rows:,} rows {what} ({share:.1%}; usual is at most {usual:.0%})"
    message += f", too many on {named_days([days[at] for at in bad])}" if len(bad) else ""
    message += "." if passed else f". {remedy}"
    concerned = np.flatnonzero(part) if too_many else bad
    numbers: dict[str, float | int | str] = {"rows": total, "share": round(share, 4)}
    return Finding(passed, message, numbers, {days[at]: float(part[at] / whole[at]) for at in concerned})


def binomial_at_least(
    count: npt.ArrayLike, trials: npt.ArrayLike, probability: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the probability of at least `count` successes (DLMF 8.17.5), without the load time of `scipy.stats`."""
    from scipy.special import betainc

    k, n = np.maximum(count, 1), np.asarray(trials)
    tail: Any = np.where(np.asarray(count) > n, 0.0, betainc(k, np.maximum(n - k + 1, 1), probability))
    return np.where(np.asarray(count) <= 0, 1.0, tail)


def _improbable(
    part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], usual: float, chance: float
) -> npt.NDArray[np.bool_]:
    return (part > usual * whole) & (binomial_at_least(part, whole, usual) < chance)
