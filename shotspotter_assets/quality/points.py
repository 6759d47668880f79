"""Check of the alerts' points: default points, and too coarse rounding for the grid's cells."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Final

from shotspotter_assets.quality.check import check
from shotspotter_assets.quality.finding import Finding, sentence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shotspotter_assets.cities.city import City
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


@check(alerts=["user_id", "incident_id", "longitude", "latitude"])
def points(window: "Window") -> Finding:
    """Check that no default point stands out, and that points are exact enough for the grid's cells."""
    from shotspotter_assets.calendar.dates import dates_of

    all_points = window.incidents.select(["longitude", "latitude"]).to_pandas().to_numpy()
    dates = dates_of(window.incidents)
    message = f"Fewer than {MIN_INCIDENTS} incidents a year: too few to check."
    problems: dict[str, list[str]] = {}
    days: dict[date, float] = {}
    for block in window.blocks():
        inside = all_points[block.holds(dates)]
        if len(inside) < MIN_INCIDENTS:
            continue
        message = "No point stands out, and points are exact enough for the cells."
        for problem in _problems(window.city, inside):
            problems.setdefault(problem, []).append(str(block))
            days[block.last] = float(len(inside))
    return Finding(False, sentence(problems), {"problems": len(problems)}, days) if problems else Finding(True, message)


def _problems(city: "City", inside: "npt.NDArray[np.float64]") -> Iterator[str]:
    from shotspotter_assets.geometry.cells import cell_metres, rounding_step

    counts = sorted(Counter(map(tuple, inside.tolist())).items(), key=lambda item: (-item[1], item[0]))
    (longitude, latitude), most = counts[0]
    if most >= MIN_INCIDENTS and (len(counts) < 5 or most >= MIN_TIMES_THE_FIFTH * counts[4][1]):
        yield (
            f"{most:,} of {len(inside):,} incidents are at {latitude:.6f}, {longitude:.6f}, which looks like a default point: "
            "ask the publisher, and remove alerts without a known place from the source"
        )
    steps = inside / COARSE_STEP_DEGREES
    share = float((abs(steps - steps.round()) < 1e-6).all(axis=1).mean())
    if share >= MAX_COARSE_SHARE:
        yield f"{share:.0%} of the points have two decimals only (about 1 km): exclude these days from training"
    box, grid, (height, width) = city.box, city.grid, cell_metres(city)
    for name, step, side, cells, metres in (
        ("rows", rounding_step(inside[:, 1]), box.north - box.south, grid.rows, height),
        ("columns", rounding_step(inside[:, 0]), box.east - box.west, grid.columns, width),
    ):
        if len(inside) >= MIN_ROUNDED_INCIDENTS and step and side / cells <= MIN_STEPS * step * (1 - 1e-9):
            yield (
                f"{name} of {metres:.0f} m are too narrow for points rounded to {step:g} degrees: use at most "
                f"{max(int(side / (MIN_STEPS * step) + 1e-9), 2)} {name} in grid"
            )
