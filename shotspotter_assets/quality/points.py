"""Are the points real places: one point for many alerts that are elsewhere, and points that are rounded too far."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.quality.finding import Finding, blocks, in_block

MIN_INCIDENTS: Final = 20
"""Incidents at one point that are worth a question."""

TIMES_THE_FIFTH: Final = 5
"""A default point has many times the incidents of the fifth busiest point. Hot places, house numbers and rounding
make several busy points: the busiest of a sound city has at most 3 times those of the fifth."""

COARSE_STEP: Final = 0.01
"""Degrees, about a kilometre: wider than a cell of the usual grid."""

COARSE_SHARE: Final = 0.1
"""Share of points with two decimals only; where points have three, 1% have a zero as the third of both by chance."""


def points(alerts: pa.Table, known: Sequence[date], stretch: Sequence[date]) -> Finding:
    """Many incidents at exactly one point, and points with two decimals.

    Args:
        alerts: cleaned alerts (`longitude`, `latitude`, `user_id`, `incident_id`, `date`) of the stretch and its history.
        known: all days that `alerts` are of, in order.
        stretch: the days that are judged, the last ones of `known`.
    """
    first_of_incident = alerts["user_id"].to_numpy() == alerts["incident_id"].to_numpy()
    place = np.column_stack([alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy()])[first_of_incident]
    day = alerts["date"].to_numpy().astype("datetime64[D]")[first_of_incident]
    problems: list[str] = []
    numbers: dict[str, float | int | str] = {}
    for block in blocks(known, stretch):
        of_block = place[in_block(day, block)]
        if len(of_block) < MIN_INCIDENTS:
            continue
        distinct, counts = np.unique(of_block, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        most, fifth = int(counts[order[0]]), int(counts[order[min(4, len(order) - 1)]])
        when = f"{block[0]} to {block[1]}"
        numbers |= {f"most_at_one_point {when}": most}
        if most >= MIN_INCIDENTS and (most >= TIMES_THE_FIFTH * fifth or len(order) < 5):
            longitude, latitude = distinct[order[0]]
            problems.append(
                f"{most:,} of {len(of_block):,} incidents of {when} are at exactly {latitude:.6f}, {longitude:.6f}, the fifth "
                f"busiest point has {fifth}: it looks like a default point. Ask the publisher, and take these alerts out "
                "of the source if their place is not known"
            )
        coarse = float(np.mean(np.all(_is_coarse(of_block), axis=1)))
        if coarse >= COARSE_SHARE:
            problems.append(
                f"{coarse:.0%} of the points of {when} have two decimals only (about 1 km), coarser than a cell: ask for "
                "exact points, or leave this time out of training"
            )
    message = "; ".join(problems) + "." if problems else "No point stands out, and none is rounded to a kilometre."
    return Finding("points", not problems, message, numbers)


def _is_coarse(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    steps = degrees / COARSE_STEP
    return np.abs(steps - np.rint(steps)) < 1e-6
