"""Points rounded to a step of degrees that is not small beside the grid's cells: rows and columns of cells then have gaps."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_metres
from shotspotter_assets.gridding.rounding import step_of
from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import Window, dates_of

MIN_INCIDENTS: Final = 100
"""Fewer points in a year may have few decimals by chance."""

MAX_RATIO: Final = 1.5
"""Between the possible points of one row of cells and of another: those of cells of two steps and more differ by less."""

ADVICE: Final = "Cells of 250 to 500 m are a good start, larger ones where a cell with alerts has fewer than two a year"


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
    def step_metres(self) -> float:
        return self.step * self.cell_metres * self.cells / (self.last - self.first)

    @property
    def possible_points(self) -> npt.NDArray[np.int64]:
        """How many multiples of the step each row or column holds, shape (cells,)."""
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
        """So many that each is at least two steps wide."""
        return min(self.cells, max(int((self.last - self.first) / (2 * self.step)), 2))

    def __str__(self) -> str:
        points = self.possible_points
        return (
            f"{self.name} of {self.cell_metres:.0f} m hold {points.min()} to {points.max()} steps of {self.step:g} degrees "
            f"({self.step_metres:.0f} m)"
            + (f", {(points == 0).sum()} of {self.cells} none" if not points.min() else "")
        )


def rounded_points(window: Window) -> Finding:
    """Points are exact enough for the grid's cells."""
    incidents, grid = window.incidents, window.city.grid
    dates = dates_of(incidents)
    longitude, latitude = (incidents[name].to_numpy() for name in ("longitude", "latitude"))
    gaps: dict[_Axis, list[str]] = {}
    numbers: dict[str, float | int | str] = {}
    for block in window.blocks:
        inside = block.holds(dates)
        if inside.sum() < MIN_INCIDENTS:
            continue
        for axis in _rounded_axes(window.city, longitude[inside], latitude[inside]):
            numbers[f"step_degrees {axis.name} {block}"] = axis.step
            if axis.has_gaps:
                gaps.setdefault(axis, []).append(str(block))
    if not gaps:
        return Finding(True, "Points are exact enough for the grid's cells.", numbers)
    finest = {"rows": grid.rows, "columns": grid.columns} | {axis.name: axis.max_cells for axis in gaps}
    numbers["alerts_per_cell_and_year"] = round(
        _alerts_per_cell(window.city, longitude, latitude) * 365 / len(window.stored), 1
    )
    sides = "; ".join(f"{axis} ({', '.join(blocks)})" for axis, blocks in gaps.items())
    return Finding(
        False,
        f"Points are rounded too far for the cells: {sides}. Counts then differ from cell to cell for no reason on the ground. "
        f"In the city's file, use grid: {{rows: {finest['rows']}, columns: {finest['columns']}}} or less, or ask for exact "
        f"points. {ADVICE} (here {numbers['alerts_per_cell_and_year']}).",
        numbers,
    )


def _rounded_axes(city: City, longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64]) -> list[_Axis]:
    box, grid, (height, width) = city.box, city.grid, cell_metres(city)
    sides = [
        ("rows", latitude, box.south, box.north, grid.rows, height),
        ("columns", longitude, box.west, box.east, grid.columns, width),
    ]
    return [
        _Axis(name, first, last, number, metres, step)
        for name, degrees, first, last, number, metres in sides
        if (step := step_of(degrees)) is not None
    ]


def _alerts_per_cell(city: City, longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64]) -> float:
    """Incidents of each cell that has any."""
    row, column = cells(longitude, latitude, city.box, city.grid)
    return len(row) / len(np.unique(row.astype(np.int64) * city.grid.columns + column))
