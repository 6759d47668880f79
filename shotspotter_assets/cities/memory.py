"""What a city's grid and days take to train on, estimated before anything is read, and refused where there is less memory."""

import os
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City, Grid

GIGABYTE: Final = 2**30

PROCESS_BYTES: Final = GIGABYTE // 4
"""Of a process with its libraries."""
BYTES_PER_COUNT: Final = 2
BYTES_PER_CELL_DAY: Final = 12
"""Of every cell and day beside the counts of its types: all alerts, twice, and those of the evening."""
BYTES_PER_COVERED_DAY: Final = 60
"""Of every covered cell and day: its counts, and the smoothed maps and rates that inputs are made of, one at a time."""
MAX_FIT_ROWS: Final = 1_200_000
"""Cell-days up to which a fit takes all: the usual 36 x 36 cells of a large city, 540 of them covered, have a million in five
years. Of more, so many are drawn, and those with alerts beside."""
BYTES_PER_FIT_ROW: Final = 1_400
"""Of the inputs of a cell-day of a fit."""
MAX_CELL_HOURS: Final = 60_000_000
"""Of a history by hour, which is shorter in a finer grid: the usual cells have as many in five years if all are covered."""
BYTES_PER_CELL_HOUR: Final = 40
FORECAST_DAYS: Final = 92
BYTES_PER_FORECAST: Final = 1_000
"""Of the inputs of every covered cell on each of `FORECAST_DAYS` that are validated or tested together."""
MIN_DAYS: Final = 365
"""A later start that leaves fewer is not worth a suggestion."""
STEPS: Final = 50
"""Coarser grids that are tried for a suggestion, each with so much less of the rows and columns."""
CONTAINER_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class CityTooLargeError(MemoryError):
    """A city's grid and days need more memory than there is."""


@dataclass(frozen=True)
class Memory:
    """Bytes that training on a city takes.

    Attributes:
        all_cells: of the counts of all cells of the grid.
        covered_cells: of the inputs of the covered ones.
    """

    all_cells: int
    covered_cells: int

    @classmethod
    def estimate(cls, grid: Grid, types: int, days: int, covered: int) -> "Memory":
        """The memory for days of a grid, of which some cells are covered, as far as that is known."""
        return cls(
            grid.rows * grid.columns * days * (types * BYTES_PER_COUNT + BYTES_PER_CELL_DAY),
            covered * (days * BYTES_PER_COVERED_DAY + min(days, FORECAST_DAYS) * BYTES_PER_FORECAST)
            + max(
                min(covered * days, MAX_FIT_ROWS) * BYTES_PER_FIT_ROW,
                min(covered * days * DAY_HOURS, MAX_CELL_HOURS) * BYTES_PER_CELL_HOUR,
            ),
        )

    @property
    def total(self) -> int:
        """With the process itself."""
        return PROCESS_BYTES + self.all_cells + self.covered_cells


def require_memory(city: City, last: date, covered: int = 0) -> None:
    """Refuse what would fail after hours, or be killed.

    Args:
        city: its grid, its first day, and `memory_gb`.
        last: the last day of the history.
        covered: number of covered cells; 0 while it is not known.

    Raises:
        CityTooLargeError: more memory is needed than there is; says what would fit.
    """
    types, days = FIRST_EVENT_CODE + len(city.event_types), (last - city.start).days + 1
    needed = Memory.estimate(city.grid, types, days, covered)
    limit = machine_bytes() if city.memory_gb is None else int(city.memory_gb * GIGABYTE)
    if needed.total <= limit:
        return
    coarser = (
        Grid(rows=max(city.grid.rows * step // STEPS, 2), columns=max(city.grid.columns * step // STEPS, 2))
        for step in range(STEPS - 1, 0, -1)
    )
    fitting = next(
        (
            grid
            for grid in coarser
            if Memory.estimate(grid, types, days, min(covered, grid.rows * grid.columns)).total <= limit
        ),
        None,
    )
    remedies = [] if fitting is None else [f"a grid of {fitting.rows} x {fitting.columns} cells or coarser"]
    fits = bisect_right(range(days), limit, key=lambda fewer: Memory.estimate(city.grid, types, fewer, covered).total)
    days_that_fit = fits - 1
    if days_that_fit >= MIN_DAYS:
        remedies.append(f"a start of {last - timedelta(days=days_that_fit - 1)} or later")
    remedies.append("a machine with more memory (memory_gb in the city's file, if there is more than is found)")
    raise CityTooLargeError(
        f"City {city.name}: to train on {city.grid.rows} x {city.grid.columns} cells"
        f"{f', {covered:,} of them covered,' if covered else ''} over {days:,} days to {last} takes about "
        f"{needed.total / GIGABYTE:.1f} GB of memory, and there are {limit / GIGABYTE:.1f}. In the city's file, give it "
        f"{', or '.join(remedies)}."
    )


def machine_bytes() -> int:
    """Memory of the machine, or of the container that this process runs in."""
    of_container = (Path(file) for file in CONTAINER_LIMITS)
    texts = [file.read_text().strip() for file in of_container if file.is_file()]
    limits = [int(text) for text in texts if text.isdigit()]  # it says "max" where there is none
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])
