"""Checks of the alerts' points: default points, and too coarse rounding for the grid's cells."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import cell_metres, rounding_step
from shotspotter_assets.quality.finding import Finding, sentence
from shotspotter_assets.quality.window import Window

MIN_INCIDENTS: Final = 20
"""Minimum incidents of a default point."""
MIN_TIMES_THE_FIFTH: Final = 5
"""A default point's minimum incidents, as a multiple of the fifth busiest point's. Sound cities reach 3: hot places,
house numbers and rounding make several busy points."""
COARSE_STEP_DEGREES: Final = 0.01
"""About a kilometre: wider than a usual cell."""
MAX_COARSE_SHARE: Final = 0.1
"""Maximum share of points with two decimals; of points with three, 1% end in two zeros by chance."""
MIN_ROUNDED_INCIDENTS: Final = 100
"""Minimum points of a year: fewer may have few decimals by chance."""
MIN_STEPS: Final = 2
"""Minimum width of a cell in steps of rounding; narrower cells hold unequal numbers of possible points."""


def points(window: Window) -> Finding:
    """Check for default points, and for points too coarse for the grid's cells."""
    incidents = window.incidents
    place = np.column_stack([incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy()])
    dates = dates_of(incidents)
    problems: dict[str, list[str]] = {}
    days: dict[date, float] = {}
    checked = 0
    for block in window.blocks:
        places = place[block.holds(dates)]
        if len(places) < MIN_INCIDENTS:
            continue
        checked += len(places)
        for problem in (*_default_point(places), *_coarse(places), *_rounded(window.city, places)):
            problems.setdefault(problem, []).append(str(block))
            days[block.last] = float(len(places))
    if not problems:
        well = "No point stands out, and points are exact enough for the cells."
        return Finding(True, well if checked else f"Fewer than {MIN_INCIDENTS} incidents a year: too few to check.")
    return Finding(False, sentence(problems), {"problems": len(problems)}, days)


def _default_point(places: npt.NDArray[np.float64]) -> list[str]:
    distinct, counts = np.unique(places, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    most, fifth = int(counts[order[0]]), int(counts[order[min(4, len(order) - 1)]])
    if most < MIN_INCIDENTS or (most < MIN_TIMES_THE_FIFTH * fifth and len(order) >= 5):
        return []
    longitude, latitude = distinct[order[0]]
    return [
        f"{most:,} of {len(places):,} incidents are at {latitude:.6f}, {longitude:.6f}, which looks like a default point: ask "
        "the publisher, and remove alerts without a known place from the source"
    ]


def _coarse(places: npt.NDArray[np.float64]) -> list[str]:
    steps = places / COARSE_STEP_DEGREES
    share = float(np.mean(np.all(np.abs(steps - np.rint(steps)) < 1e-6, axis=1)))
    if share < MAX_COARSE_SHARE:
        return []
    return [f"{share:.0%} of the points have two decimals only (about 1 km): exclude these days from training"]


def _rounded(city: City, places: npt.NDArray[np.float64]) -> list[str]:
    box, grid, (height, width) = city.box, city.grid, cell_metres(city)
    sides = (
        ("rows", rounding_step(places[:, 1]), box.north - box.south, grid.rows, height),
        ("columns", rounding_step(places[:, 0]), box.east - box.west, grid.columns, width),
    )
    problems = []
    for name, step, side, cells, metres in sides:
        if len(places) < MIN_ROUNDED_INCIDENTS or step is None or side / cells > MIN_STEPS * step * (1 - 1e-9):
            continue
        problems.append(
            f"{name} of {metres:.0f} m are too narrow for points rounded to {step:g} degrees: use at most "
            f"{max(int(side / (MIN_STEPS * step) + 1e-9), 2)} {name} in grid"
        )
    return problems
