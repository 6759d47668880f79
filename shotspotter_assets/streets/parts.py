"""Segments cut along the edges of the grid's cells, so that what is forecast of a cell can be divided among them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.cells import cell_metres
from shotspotter_assets.streets.segments import Segments

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Pieces of segments within one cell each.

    Attributes:
        segment: that each belongs to, shape (parts,).
        cell: in which it lies, as row x columns + column, shape (parts,).
        lines: Shapely lines in metres of the city's `Plane`, shape (parts,).
        metres: length of each, shape (parts,).
        segments: number of segments.
        cells: number of cells of the grid.
    """

    segment: Integers
    cell: Integers
    lines: npt.NDArray[np.object_]
    metres: Array
    segments: int
    cells: int

    def __len__(self) -> int:
        return len(self.segment)


def parts_of(city: City, segments: Segments) -> Parts:
    """The parts of all segments in all cells of the city's grid."""
    import shapely

    height, width = cell_metres(city)
    row, column = (index.ravel() for index in np.indices(city.shape))
    cells = shapely.box(column * width, row * height, (column + 1) * width, (row + 1) * height)
    cell, segment = shapely.STRtree(segments.lines).query(cells, predicate="intersects")
    lines = shapely.intersection(cells[cell], segments.lines[segment])
    metres = shapely.length(lines)
    # A line along an edge lies in both cells; it is the first one's.
    _, first = np.unique(shapely.to_wkb(shapely.normalize(lines)), return_index=True)
    kept = np.intersect1d(np.flatnonzero(metres > 0), first)
    return Parts(segment[kept], cell[kept], lines[kept], metres[kept], len(segments), len(cells))
