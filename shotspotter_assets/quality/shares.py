"""Which share of the rows cannot be used, has no type, came twice or lies where no sensor hears."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.quality.finding import Finding, named_days

USUAL_REJECTED: Final = 0.01
USUAL_DUPLICATES: Final = 0.01
USUAL_UNTYPED: Final = 0.05
USUAL_OUTSIDE: Final = 0.05
"""Shares that sound sources stay below. Sensors hear across a published edge: 2.8% of Washington DC's alerts lie outside
its six districts with sensors."""

CHANCE: Final = 1e-3
"""A day or stretch has too many when so many are this unlikely at the usual share: one row of ten is no news."""


def too_many(
    check: str, some: Mapping[date, int], all_rows: Mapping[date, int], usual: float, what: str, remedy: str
) -> Finding:
    """Whether the rows `some` are more of `all_rows` than the `usual` share, in the stretch or on one of its days.

    Args:
        check: name of the check.
        some: rows in question by day.
        all_rows: all rows by day; its days are the stretch.
        usual: share that is usual.
        what: what the rows are, as in "12 of 100 rows <what>".
        remedy: the next step.
    """
    days = list(all_rows)
    part: npt.NDArray[np.int64] = np.array([some.get(day, 0) for day in days], dtype=np.int64)
    whole: npt.NDArray[np.int64] = np.array([all_rows[day] for day in days], dtype=np.int64)
    total, rows = int(part.sum()), int(whole.sum())
    share = total / rows if rows else 0.0
    numbers: dict[str, float | int | str] = {"rows": total, "share": round(share, 4)}
    # A day counts when it would stand out among all days of the stretch.
    bad = _improbable(part, whole, usual, CHANCE / max(len(days), 1))
    found = {days[at]: float(part[at] / whole[at]) for at in np.flatnonzero(bad)}
    stretch = bool(_improbable(np.array([total]), np.array([rows]), usual, CHANCE)[0])
    message = f"{total:,} of {rows:,} rows {what} ({share:.1%}; usual is at most {usual:.0%})"
    if found:
        message += f", too many on {named_days(list(found))}"
    message += f". {remedy}" if found or stretch else "."
    return Finding(check, not (found or stretch), message, numbers, found)


def _improbable(
    part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], usual: float, chance: float
) -> npt.NDArray[np.bool_]:
    from scipy.stats import binom

    return (part > usual * whole) & (binom.sf(part - 1, whole, usual) < chance)


def rows_of_each(dates: npt.NDArray[np.datetime64], days: Sequence[date]) -> dict[date, int]:
    """Number of rows of each of contiguous days.

    Args:
        dates: day of each row; rows of other days are not counted.
    """
    at = (dates.astype("datetime64[D]") - np.datetime64(days[0])).astype(np.int64)
    counts = np.bincount(at[(at >= 0) & (at < len(days))], minlength=len(days))
    return {day: int(count) for day, count in zip(days, counts, strict=True)}
