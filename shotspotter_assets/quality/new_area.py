"""The area that alerts come from: quarters with far more incidents in cells that were silent for the year before.

What such a year leaves unseen is estimated by Good and Turing: the share of its incidents that were the only one of their
cell (Good 1953).
"""

from datetime import date, timedelta
from typing import Final

import numpy as np

from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.quality.finding import Finding, binomial_at_least
from shotspotter_assets.quality.window import MIN_INCIDENTS, QUARTER_DAYS, YEAR_DAYS, Window, dates_of, quarter_ends

MIN_NEW_SHARE: Final = 0.12
"""Share of a quarter's incidents, beyond what is usual, that lie in cells which were silent for the year before."""

MAX_RATIO_TO_UNSEEN: Final = 2.0
MAX_CHANCE: Final = 1e-6
"""Probability of so many incidents in silent cells if they were as usual as the year before tells, twice over."""


def new_area(window: Window) -> Finding:
    """Alerts come from the same area as in the year before."""
    city, incidents, daily = window.city, window.incidents, window.known_incidents
    row, column = cells(incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy(), city.box, city.grid)
    cell = row.astype(np.int64) * city.grid.columns + column
    dates = dates_of(incidents)
    special = np.array(daily.days, dtype="datetime64[D]")[daily.special]
    ordinary = ~np.isin(dates, special)
    cell, dates = cell[ordinary], dates[ordinary]
    grown: list[str] = []
    days: dict[date, float] = {}
    for end in quarter_ends(window):
        first, middle, last = (
            np.datetime64(daily.days[end] - timedelta(days=days_before))
            for days_before in (QUARTER_DAYS + YEAR_DAYS, QUARTER_DAYS, 0)
        )
        if (
            np.isfinite(daily.counts[max(end - QUARTER_DAYS - YEAR_DAYS, 0) : end - QUARTER_DAYS + 1]).sum()
            < YEAR_DAYS * 2 // 3
        ):
            continue
        now, before = cell[(dates > middle) & (dates <= last)], cell[(dates > first) & (dates <= middle)]
        if min(len(now), len(before)) < MIN_INCIDENTS:
            continue
        known_cells, times = np.unique(before, return_counts=True)
        unseen = float((times == 1).sum() / len(before))
        new = ~np.isin(now, known_cells)
        chance = binomial_at_least(new.sum(), len(now), min(MAX_RATIO_TO_UNSEEN * unseen, 1.0))
        if new.mean() >= unseen + MIN_NEW_SHARE and chance < MAX_CHANCE:
            area = len(np.unique(now[new]))
            grown.append(
                f"{new.mean():.0%} of the incidents of the quarter to {daily.days[end]} are in {area} cells without one in "
                f"the year before (usual {unseen:.0%})"
            )
            days[daily.days[end]] = round(float(new.mean()), 3)
    message = (
        f"The area grew: {'; '.join(grown)}. Sensors were added: give the dates in `coverage` of the city's file, or train "
        "on the days since the last one."
        if grown
        else "Alerts come from the same area as in the year before."
    )
    return Finding(not grown, message, {"quarters": len(grown)}, days)
