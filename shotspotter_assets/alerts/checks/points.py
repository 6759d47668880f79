"""Check of the alerts' points: default points, and too coarse rounding for the grid's cells."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import Finding, Problems
from shotspotter_assets.cities.city import City

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window
    from shotspotter_assets.storage.arrays import Array

MIN_POINT_INCIDENTS: Final = 20
MIN_TIMES_THE_FIFTH: Final = 5  # multiple of the fifth busiest point's incidents; sound cities reach 3
COARSE_STEP_DEGREES: Final = 0.01
MAX_COARSE_SHARE: Final = 0.1  # maximum share of points with two decimals; with three, 1% look so by chance
MIN_STEPS: Final = 2  # minimum width of a cell in rounding steps; narrower ones differ in possible points


def points(window: "Window") -> Finding:
    """Check that no default point stands out, and that points are exact enough for the grid's cells.

    In a city that ranks streets, the message states the rounding of its points.
    """
    from shotspotter_assets.grid.cells import COARSE_STEP_METRES, METRES_PER_DEGREE, Plane, rounding_step

    all_points = window.incidents.select(["longitude", "latitude"]).to_pandas().to_numpy()
    message = f"Fewer than {MIN_POINT_INCIDENTS} incidents a year: too few to check."
    problems = Problems()
    for block, inside in window.full_blocks(window.incident_dates, MIN_POINT_INCIDENTS):
        message = "No point stands out, and points are exact enough for the cells."
        for problem in _problems(window.city, all_points[inside]):
            problems.add(problem, block, inside.sum())
    step = rounding_step(all_points) if window.city.streets is not None else 0.0
    if step * METRES_PER_DEGREE >= COARSE_STEP_METRES:
        message += f" They are rounded to {Plane.of(window.city.box).step_text(step)}, longer than many streets."
    return problems.finding(message, {"problems": len(problems.times)} if problems.times else {})


def _problems(city: City, inside: "Array") -> Iterator[str]:
    """Yield the problems of the points of a block (longitude, latitude), shape (incidents, 2)."""
    from shotspotter_assets.grid.cells import are_rounded

    yield from _default_point(inside)
    share = float(are_rounded(inside, COARSE_STEP_DEGREES).all(axis=1).mean())
    if share >= MAX_COARSE_SHARE:
        yield f"{share:.0%} of the points have only two decimals (about 1 km): exclude these days from training"
    yield from _narrow_cells(city, inside)


def _default_point(inside: "Array") -> Iterator[str]:
    """Yield a problem if one point has far more incidents than the fifth busiest point."""
    import numpy as np

    distinct, counts = np.unique(inside, axis=0, return_counts=True)
    busiest = np.argsort(-counts, kind="stable")
    longitude, latitude = distinct[busiest[0]]
    most = counts[busiest[0]]
    if most >= MIN_POINT_INCIDENTS and (len(counts) < 5 or most >= MIN_TIMES_THE_FIFTH * counts[busiest[4]]):
        point = f"{most:,} of {len(inside):,} incidents are at {latitude:.6f}, {longitude:.6f}"
        remedy = "ask the publisher, and remove alerts without a known place from the source"
        yield f"{point}, which looks like a default point: {remedy}"


def _narrow_cells(city: City, inside: "Array") -> Iterator[str]:
    """Yield a problem for rows, and for columns, that are too narrow for the rounding of the points."""
    from shotspotter_assets.grid.cells import cell_metres, rounding_step

    step = rounding_step(inside)
    height, width = cell_metres(city)
    rows = ("rows", city.box.north - city.box.south, city.grid.rows, height)
    columns = ("columns", city.box.east - city.box.west, city.grid.columns, width)
    for name, side, cells, metres in (rows, columns):
        if step and side / cells <= MIN_STEPS * step * (1 - 1e-9):
            remedy = f"use at most {max(int(side / (MIN_STEPS * step) + 1e-9), 2)} {name} in grid"
            yield f"{name} of {metres:.0f} m are too narrow for points rounded to {step:g} degrees: {remedy}"
