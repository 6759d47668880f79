"""The cells that a unit reaches: square groups of cells, and the cells within the travel radius of each."""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_metres

if TYPE_CHECKING:
    from scipy.sparse import csc_array


def reach_matrix(city: City, group: int, radius_m: float) -> "csc_array":
    """1 where a unit in a group reaches a cell, else 0; shape (cells, groups), both in C order.

    A unit reaches all cells of its own group, and every other cell whose middle is at most `radius_m` from the middle
    of the group. Parts of cells are not told apart: with halves of cells the exact plan took ten times as long.

    Args:
        group: side of a group in cells; divides the grid's rows and columns.
    """
    from scipy.sparse import csc_array

    rows, columns = city.shape
    height_m, width_m = cell_metres(city)
    # Offsets of the cells within reach from the first cell of a group, and of their middles from the group's.
    row_offset, north_m = _offsets(height_m, group, radius_m)
    column_offset, east_m = _offsets(width_m, group, radius_m)
    reached = north_m[:, None] ** 2 + east_m[None] ** 2 <= radius_m**2
    reached[np.ix_((row_offset >= 0) & (row_offset < group), (column_offset >= 0) & (column_offset < group))] = True
    row_at, column_at = np.nonzero(reached)
    row = np.arange(0, rows, group)[:, None, None] + row_offset[row_at]
    column = np.arange(0, columns, group)[None, :, None] + column_offset[column_at]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    groups = np.arange((rows // group) * (columns // group)).reshape(rows // group, columns // group, 1)
    cell, cell_group = np.broadcast_arrays(row * columns + column, groups)
    shape = (rows * columns, groups.size)
    return csc_array((np.ones(int(inside.sum())), (cell[inside], cell_group[inside])), shape=shape)


def by_group(values: npt.NDArray, group: int) -> npt.NDArray:
    """Values of cells, (..., rows, columns), by group: (..., group rows, group columns, cells of the group)."""
    *axes, rows, columns = values.shape
    blocks = values.reshape(*axes, rows // group, group, columns // group, group).swapaxes(-3, -2)
    return blocks.reshape(*axes, rows // group, columns // group, group * group)


def to_cells(values: npt.NDArray, group: int) -> npt.NDArray:
    """Values of groups, (..., group rows, group columns), given to each of their cells: (..., rows, columns)."""
    return values.repeat(group, axis=-2).repeat(group, axis=-1)


def areas_of_groups(
    areas: npt.NDArray[np.str_] | None, in_coverage: npt.NDArray[np.bool_], group: int
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The area of each group, an index into the sorted names or -1, shape (groups,); and the names of areas in coverage.

    A group that lies in several areas belongs to the one with most of its cells in coverage.
    """
    names = [] if areas is None else sorted(set(areas[in_coverage].tolist()) - {""})
    if areas is None or not names:
        return np.full(in_coverage.size // group**2, -1), []
    cells = np.stack([by_group(in_coverage & (areas == name), group).sum(axis=-1).ravel() for name in names])
    return np.where(cells.any(axis=0), cells.argmax(axis=0), -1), names


def _offsets(cell_m: float, group: int, radius_m: float) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.floating]]:
    """Along one axis: offsets of cells that may be within reach, and distances of their middles from the group's."""
    margin = math.ceil(radius_m / cell_m)
    offset = np.arange(-margin, group + margin)
    return offset, (offset + 0.5 - group / 2) * cell_m
