"""The points of alerts: one point for many alerts that are elsewhere, and points that are rounded too far."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import Window, dates_of

MIN_INCIDENTS: Final = 20
"""Incidents at one point that are worth a question."""

MIN_TIMES_THE_FIFTH: Final = 5
"""A default point has many times the incidents of the fifth busiest point. Hot places, house numbers and rounding
make several busy points: the busiest of a sound city has at most 3 times those of the fifth."""

COARSE_STEP_DEGREES: Final = 0.01
"""About a kilometre: wider than a cell of the usual grid."""

MAX_COARSE_SHARE: Final = 0.1
"""Share of points with two decimals only; where points have three, 1% have a zero as the third of both by chance."""


def points(window: Window) -> Finding:
    """No default point, and no points rounded to a kilometre."""
    incidents = window.incidents
    place = np.column_stack([incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy()])
    dates = dates_of(incidents)
    problems: list[str] = []
    numbers: dict[str, float | int | str] = {}
    for block in window.blocks:
        places = place[block.holds(dates)]
        if len(places) < MIN_INCIDENTS:
            continue
        distinct, counts = np.unique(places, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        most, fifth = int(counts[order[0]]), int(counts[order[min(4, len(order) - 1)]])
        numbers |= {f"most_at_one_point {block}": most}
        if most >= MIN_INCIDENTS and (most >= MIN_TIMES_THE_FIFTH * fifth or len(order) < 5):
            longitude, latitude = distinct[order[0]]
            problems.append(
                f"{most:,} of {len(places):,} incidents of {block} are at exactly {latitude:.6f}, {longitude:.6f}, the fifth "
                f"busiest point has {fifth}: it looks like a default point. Ask the publisher, and take these alerts out "
                "of the source if their place is not known"
            )
        coarse = float(np.mean(np.all(_is_coarse(places), axis=1)))
        if coarse >= MAX_COARSE_SHARE:
            problems.append(
                f"{coarse:.0%} of the points of {block} have two decimals only (about 1 km), coarser than a cell: ask for "
                "exact points, or leave this time out of training"
            )
    message = "; ".join(problems) + "." if problems else "No point stands out, and none is rounded to a kilometre."
    return Finding(not problems, message, numbers)


def _is_coarse(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    steps = degrees / COARSE_STEP_DEGREES
    return np.abs(steps - np.rint(steps)) < 1e-6
