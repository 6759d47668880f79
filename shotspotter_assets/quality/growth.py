"""Is the city measured as it was: its level against the year before, and the area that alerts come from."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.usual import Usual

QUARTER: Final = 91
YEAR: Final = 364
"""Whole weeks, so that the same weekdays and the same season are compared."""

MIN_QUARTER_DAYS: Final = 60
"""Ordinary days with data that a quarter needs."""

MIN_INCIDENTS: Final = 30

SEVERAL_FOLD: Final = 3.0
"""Gunfire itself doubled in a year in New York in 2020; three times within a year is the measuring."""

SURE: Final = 4.0
"""Standard errors of the log ratio, with the days' own dispersion."""

NEW_SHARE: Final = 0.12
"""Share of a quarter's incidents, beyond what is usual, that lie in cells which were silent for the year before."""

NEW_RATIO: Final = 2.0
NEW_CHANCE: Final = 1e-6
"""Probability of so many incidents in silent cells if they were as usual as the year before says, twice over."""


def level_change(daily: Usual, stretch: Sequence[date]) -> Finding:
    """Quarters whose incidents per ordinary day are several times those of the same quarter a year before, or a fraction.

    Args:
        daily: counts of incidents; days without data are NaN.
        stretch: the days that are judged, the last ones of `daily.days`.
    """
    counts = np.where(daily.special, np.nan, daily.counts)
    changes: list[str] = []
    for end in _quarter_ends(daily.days, stretch):
        now = counts[end - QUARTER + 1 : end + 1]
        before = counts[max(end - YEAR - QUARTER + 1, 0) : max(end - YEAR + 1, 0)]
        if min(np.isfinite(now).sum(), np.isfinite(before).sum()) < MIN_QUARTER_DAYS:
            continue
        sums = np.nansum(now), np.nansum(before)
        if max(sums) < MIN_INCIDENTS:
            continue
        rates = (sums[0] + 0.5) / np.isfinite(now).sum(), (sums[1] + 0.5) / np.isfinite(before).sum()
        spread = [max(float(np.nanvar(part)) / max(float(np.nanmean(part)), 1e-9), 1.0) for part in (now, before)]
        error = np.sqrt(spread[0] / (sums[0] + 0.5) + spread[1] / (sums[1] + 0.5))
        ratio = rates[0] / rates[1]
        if abs(np.log(ratio)) >= np.log(SEVERAL_FOLD) and abs(np.log(ratio)) / error >= SURE:
            changes.append(
                f"{rates[0]:.1f} incidents a day in the quarter to {daily.days[end]}, {rates[1]:.1f} a year before"
            )
    message = (
        f"The level changed several-fold: {'; '.join(changes)}. Find out whether sensors were added or removed or the "
        "source changed, and train on the days since then."
        if changes
        else "No quarter is several times, or a fraction of, the same quarter a year before."
    )
    return Finding("level_change", not changes, message, {"quarters": len(changes)})


def new_area(incidents: pa.Table, daily: Usual, stretch: Sequence[date], city: City) -> Finding:
    """Quarters with far more incidents in cells that were silent for the year before than such a year leaves unseen.

    What a year leaves unseen is estimated by Good and Turing: the share of its incidents that were the only one of their
    cell (Good 1953).

    Args:
        incidents: first alerts of incidents (`longitude`, `latitude`, `date`), sorted by day.
        daily: their daily counts; days without data are NaN.
        stretch: the days that are judged, the last ones of `daily.days`.
        city: its box and grid.
    """
    from scipy.stats import binom

    row, column = cells(incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy(), city.box, city.grid)
    cell = row.astype(np.int64) * city.grid.columns + column
    number = incidents["date"].to_numpy().astype("datetime64[D]")
    special = np.array(daily.days, dtype="datetime64[D]")[daily.special]
    ordinary = ~np.isin(number, special)
    cell, number = cell[ordinary], number[ordinary]
    grown: list[str] = []
    shares: dict[str, float | int | str] = {}
    for end in _quarter_ends(daily.days, stretch):
        last = np.datetime64(daily.days[end])
        middle, first = last - QUARTER, last - QUARTER - YEAR
        if np.isfinite(daily.counts[max(end - QUARTER - YEAR, 0) : end - QUARTER + 1]).sum() < YEAR * 2 // 3:
            continue
        now, before = cell[(number > middle) & (number <= last)], cell[(number > first) & (number <= middle)]
        if min(len(now), len(before)) < MIN_INCIDENTS:
            continue
        seen, times = np.unique(before, return_counts=True)
        unseen = float((times == 1).sum() / len(before))
        new = ~np.isin(now, seen)
        chance = binom.sf(new.sum() - 1, len(now), min(NEW_RATIO * unseen, 1.0))
        if new.mean() >= unseen + NEW_SHARE and chance < NEW_CHANCE:
            area = len(np.unique(now[new]))
            grown.append(
                f"{new.mean():.0%} of the incidents of the quarter to {daily.days[end]} are in {area} cells without one in "
                f"the year before (usual {unseen:.0%})"
            )
            shares[f"new_share {daily.days[end]}"] = round(float(new.mean()), 3)
    message = (
        f"The area grew: {'; '.join(grown)}. Sensors were added: give the dates in `coverage` of the city's file, or train "
        "on the days since the last one."
        if grown
        else "Alerts come from the same area as in the year before."
    )
    return Finding("new_area", not grown, message, shares)


def _quarter_ends(days: Sequence[date], stretch: Sequence[date]) -> npt.NDArray[np.int64]:
    """Positions of the last day, and of those a quarter, two quarters, ... before it, within the stretch."""
    last, first = len(days) - 1, days.index(stretch[0])
    return np.arange(last, max(first, QUARTER - 1) - 1, -QUARTER)[::-1]
