"""Spread alerts over the streets within the inexactness of their points."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.incidents import METRES_PER_DEGREE
from shotspotter_assets.gridding.cells import Plane, rounding_step
from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.streets.segments import Integers, Parts

if TYPE_CHECKING:
    from scipy import sparse

Array = npt.NDArray[np.float64]

MIN_METRES: Final = 2.0
"""No point is more exact than the streets' own lines."""
MAX_METRES_AWAY: Final = 150.0
"""An alert further from all streets of its cell is on none of them."""


@dataclass(frozen=True)
class Alerts:
    """Alerts of a city within its box.

    Attributes:
        days: local day of each, shape (alerts,).
        longitude: in WGS84 degrees, same shape.
        latitude: same.
    """

    days: npt.NDArray[np.datetime64]
    longitude: Array
    latitude: Array

    def __len__(self) -> int:
        return len(self.days)

    def before(self, day: np.datetime64) -> "Alerts":
        """Those of earlier days."""
        return self.chosen(self.days < day)

    def chosen(self, chosen: npt.NDArray[np.bool_]) -> "Alerts":
        """Those of a mask, shape (alerts,)."""
        return Alerts(self.days[chosen], self.longitude[chosen], self.latitude[chosen])

    def cells(self, city: City) -> Integers:
        """The grid's cell of each, as row x columns + column."""
        row, column = cells(self.longitude, self.latitude, city.box, city.grid)
        return row.astype(np.int64) * city.grid.columns + column


@dataclass(frozen=True)
class Inexactness:
    """Distance by which the place of an alert may differ from its point.

    Attributes:
        east: at most so many metres to the east or west.
        north: and to the north or south.
        is_rounded: whether the decimals of the points cause the inexactness.
    """

    east: float
    north: float
    is_rounded: bool

    @classmethod
    def of(cls, city: City, alerts: Alerts, parts: Parts) -> "Inexactness":
        """Half of the step to which points are rounded; of exact points, how far half of them lie from a street."""
        import shapely

        plane = Plane.of(city)
        by_axis = (alerts.longitude, plane.metres_east), (alerts.latitude, METRES_PER_DEGREE)
        east, north = ((rounding_step(degrees) or 0.0) / 2 * metres for degrees, metres in by_axis)
        if east and north:
            return cls(east, north, True)
        points = np.unique(np.column_stack([alerts.longitude, alerts.latitude]), axis=0)
        if not len(points) or not len(parts):
            return cls(MIN_METRES, MIN_METRES, False)
        _, away = shapely.STRtree(parts.lines).query_nearest(
            shapely.points(plane.metres(points)), all_matches=False, return_distance=True
        )
        typical = float(np.median(away))
        return cls(max(east, typical, MIN_METRES), max(north, typical, MIN_METRES), False)

    def __str__(self) -> str:
        if self.is_rounded:
            return f"points are rounded to {2 * self.east:.0f} x {2 * self.north:.0f} m"
        return f"points are exact to about {max(self.east, self.north):.0f} m"


@dataclass(frozen=True)
class Ambiguity:
    """Number of streets on which alerts may have been, given their points.

    Attributes:
        candidates: segments that an alert on a street may belong to, on average.
        likeliest: share that the likeliest of them has, on average.
        on_no_street: share of the alerts that are on no street.
    """

    candidates: float
    likeliest: float
    on_no_street: float

    @classmethod
    def of(cls, on_streets: "sparse.csr_array") -> "Ambiguity | None":
        """Of alerts that are `spread`; None where none is on a street."""
        candidates = np.diff(on_streets.indptr)
        some = candidates > 0
        if not some.any():
            return None
        likeliest = on_streets.max(axis=1).toarray().ravel()[some]
        return cls(float(candidates[some].mean()), float(likeliest.mean()), float(1 - some.mean()))


def spread(city: City, parts: Parts, alerts: Alerts, inexactness: Inexactness) -> "sparse.csr_array":
    """The share of each alert in each part of a segment of its cell, shape (alerts, parts); rows add up to 1 or 0.

    The place of an alert is somewhere on the streets within the inexactness of its point, each metre as likely as any
    other; where there is none, on the nearest street up to `MAX_METRES_AWAY`; else on no street (0). Streets of other cells
    are left out, as the grid counts it in its own.
    """
    import shapely
    from scipy import sparse

    plane = Plane.of(city)
    degrees, of_alert = np.unique(np.column_stack([alerts.longitude, alerts.latitude]), axis=0, return_inverse=True)
    cell = Alerts(np.empty(len(degrees), "datetime64[D]"), *degrees.T).cells(city)
    east, north = plane.metres(degrees).T
    areas = shapely.box(
        east - inexactness.east, north - inexactness.north, east + inexactness.east, north + inexactness.north
    )
    tree = shapely.STRtree(parts.lines)
    point, part = tree.query(areas, predicate="intersects")
    point, part = _in_own_cell(point, part, cell, parts)
    metres = shapely.length(shapely.intersection(areas[point], parts.lines[part]))
    point, part, metres = (values[metres > 0] for values in (point, part, metres))
    lone = np.setdiff1d(np.arange(len(degrees)), point)
    middles = shapely.points(east[lone], north[lone])
    at, near_part = tree.query(middles, predicate="dwithin", distance=MAX_METRES_AWAY)
    near_point, near_part = _in_own_cell(lone[at], near_part, cell, parts)
    order = np.lexsort(
        (shapely.distance(shapely.points(east[near_point], north[near_point]), parts.lines[near_part]), near_point)
    )
    near_point, nearest = np.unique(near_point[order], return_index=True)
    near_part = near_part[order][nearest]
    rows, columns = np.concatenate([point, near_point]), np.concatenate([part, near_part])
    weights = np.concatenate([metres, np.ones(len(near_point))])
    weights /= np.bincount(rows, weights, minlength=len(degrees))[rows]
    return sparse.csr_array((weights, (rows, columns)), shape=(len(degrees), len(parts)))[of_alert.ravel()]


def _in_own_cell(point: Integers, part: Integers, cell: Integers, parts: Parts) -> tuple[Integers, Integers]:
    own = parts.cell[part] == cell[point]
    return point[own], part[own]
