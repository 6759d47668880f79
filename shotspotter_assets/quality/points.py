"""The points of alerts: default points, and points rounded too far for the grid's cells."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_metres, rounding_step
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import Window

MIN_INCIDENTS: Final = 20
"""Incidents at one point that are worth a question."""

MIN_TIMES_THE_FIFTH: Final = 5
"""A default point has many times the incidents of the fifth busiest point. Hot places, house numbers and rounding
make several busy points: the busiest of a sound city has at most 3 times those of the fifth."""

COARSE_STEP_DEGREES: Final = 0.01
"""About a kilometre: wider than a cell of the usual grid."""

MAX_COARSE_SHARE: Final = 0.1
"""Share of points with two decimals only; where points have three, 1% have a zero as the third of both by chance."""

MIN_ROUNDED_INCIDENTS: Final = 100
"""Fewer points in a year may have few decimals by chance."""

MAX_RATIO: Final = 1.5
"""Between the possible points of one row of cells and of another; rows of two steps and more differ by less."""


def points(window: Window) -> Finding:
    """No default point, and points are exact enough for the grid's cells."""
    incidents = window.incidents
    place = np.column_stack([incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy()])
    dates = dates_of(incidents)
    problems: list[str] = []
    rounded: dict[_Axis, list[str]] = {}
    numbers: dict[str, float | int | str] = {}
    days: dict[date, float] = {}
    for block in window.blocks:
        places = place[block.holds(dates)]
        if len(places) < MIN_INCIDENTS:
            continue
        distinct, counts = np.unique(places, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        most, fifth = int(counts[order[0]]), int(counts[order[min(4, len(order) - 1)]])
        numbers |= {f"most_at_one_point {block}": most}
        found = len(problems)
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
        gaps = [axis for axis in _rounded_axes(window.city, places) if axis.has_gaps]
        if len(places) >= MIN_ROUNDED_INCIDENTS:
            for axis in gaps:
                rounded.setdefault(axis, []).append(str(block))
        if len(problems) > found or (gaps and len(places) >= MIN_ROUNDED_INCIDENTS):
            days[block.last] = float(most)
    if rounded:
        grid = window.city.grid
        finest = {"rows": grid.rows, "columns": grid.columns} | {axis.name: axis.max_cells for axis in rounded}
        sides = "; ".join(f"{axis} ({', '.join(blocks)})" for axis, blocks in rounded.items())
        problems.append(
            f"points are rounded too far for the cells: {sides}, so that counts differ from cell to cell for no reason on the "
            f"ground. In the city's file, use grid: {{rows: {finest['rows']}, columns: {finest['columns']}}} or less, or ask "
            "for exact points"
        )
    message = (
        "; ".join(problems) + "." if problems else "No point stands out, and points are exact enough for the cells."
    )
    return Finding(not problems, message[0].upper() + message[1:], numbers, days)


@dataclass(frozen=True)
class _Axis:
    """The rows or columns of cells from one edge of the box to the other, and the step to which points are rounded."""

    name: str
    first: float
    last: float
    cells: int
    cell_metres: float
    step: float

    @property
    def possible_points(self) -> npt.NDArray[np.int64]:
        """Number of multiples of the step in each row or column, shape (cells,)."""
        multiples = np.arange(np.ceil(self.first / self.step), np.floor(self.last / self.step) + 1) * self.step
        at = np.floor((multiples - self.first) / (self.last - self.first) * self.cells).astype(np.int64)
        return np.bincount(np.clip(at, 0, self.cells - 1), minlength=self.cells)

    @property
    def has_gaps(self) -> bool:
        """Whether some rows or columns can hold far fewer points than others."""
        points = self.possible_points
        return bool(points.max() > MAX_RATIO * points.min())

    @property
    def max_cells(self) -> int:
        """The largest number of cells that are two steps wide."""
        return min(self.cells, max(int((self.last - self.first) / (2 * self.step)), 2))

    def __str__(self) -> str:
        points = self.possible_points
        step_metres = self.step * self.cell_metres * self.cells / (self.last - self.first)
        return (
            f"{self.name} of {self.cell_metres:.0f} m hold {points.min()} to {points.max()} steps of {self.step:g} degrees "
            f"({step_metres:.0f} m)"
        )


def _rounded_axes(city: City, places: npt.NDArray[np.float64]) -> list[_Axis]:
    box, grid, (height, width) = city.box, city.grid, cell_metres(city)
    sides = [
        ("rows", places[:, 1], box.south, box.north, grid.rows, height),
        ("columns", places[:, 0], box.west, box.east, grid.columns, width),
    ]
    return [
        _Axis(name, first, last, number, metres, step)
        for name, degrees, first, last, number, metres in sides
        if (step := rounding_step(degrees)) is not None
    ]


def _is_coarse(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    steps = degrees / COARSE_STEP_DEGREES
    return np.abs(steps - np.rint(steps)) < 1e-6
