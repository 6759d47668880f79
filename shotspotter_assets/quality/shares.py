"""Whether too large a share of the rows is such as it should not be."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.quality.finding import Finding, named_days
from shotspotter_assets.quality.tails import binomial_at_least

MAX_CHANCE: Final = 1e-3
"""There are too many when so many are this unlikely at the usual share: one row of ten is no news."""


def share_finding(
    rows_in_question: Mapping[date, int], all_rows: Mapping[date, int], usual: float, what: str, remedy: str
) -> Finding:
    """Whether some rows are a larger share of all rows than is usual, on all days together or on one of them.

    Args:
        rows_in_question: by day.
        all_rows: by day; its days are those that are judged.
        usual: the share that sound sources stay below.
        what: what the rows are, as in "12 of 100 rows <what>".
        remedy: the next step.
    """
    days = list(all_rows)
    part: npt.NDArray[np.int64] = np.array([rows_in_question.get(day, 0) for day in days], dtype=np.int64)
    whole: npt.NDArray[np.int64] = np.array([all_rows[day] for day in days], dtype=np.int64)
    total, rows = int(part.sum()), int(whole.sum())
    share = total / rows if rows else 0.0
    numbers: dict[str, float | int | str] = {"rows": total, "share": round(share, 4)}
    # A day counts when it would stand out among all days.
    bad = np.flatnonzero(_improbable(part, whole, usual, MAX_CHANCE / max(len(days), 1)))
    bad_days = {days[at]: float(part[at] / whole[at]) for at in bad}
    passed = not bad_days and not _improbable(np.array([total]), np.array([rows]), usual, MAX_CHANCE)[0]
    message = f"{total:,} of {rows:,} rows {what} ({share:.1%}; usual is at most {usual:.0%})"
    if bad_days:
        message += f", too many on {named_days(list(bad_days))}"
    message += "." if passed else f". {remedy}"
    return Finding(passed, message, numbers, bad_days)


def _improbable(
    part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], usual: float, chance: float
) -> npt.NDArray[np.bool_]:
    return (part > usual * whole) & (binomial_at_least(part, whole, usual) < chance)
