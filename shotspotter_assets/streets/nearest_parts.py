"""Points of alerts, and the part of a street that each is nearest to."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import Plane, cells_at
from shotspotter_assets.streets.segments import Array, Integers, Parts

MAX_METRES_AWAY: Final = 150.0
"""An alert further from all streets of its cell is on no street."""


@dataclass(frozen=True)
class Alerts:
    """Alerts of a city within its box, each array of shape (alerts,)."""

    days: npt.NDArray[np.datetime64]  # local
    longitude: Array  # WGS84 degrees
    latitude: Array  # WGS84 degrees

    def __len__(self) -> int:
        return len(self.days)

    def chosen(self, chosen: npt.NDArray[np.bool_]) -> "Alerts":
        return Alerts(self.days[chosen], self.longitude[chosen], self.latitude[chosen])

    def cells(self, city: City) -> Integers:
        """Return the number of each alert's cell, row by row, shape (alerts,)."""
        row, column = cells_at(city, self.longitude, self.latitude)
        return row.astype(np.int64) * city.grid.columns + column


def nearest_parts(city: City, parts: Parts, alerts: Alerts) -> Integers:
    """Return the nearest part within `MAX_METRES_AWAY` in each alert's cell; -1 for none; shape (alerts,)."""
    import shapely

    points = shapely.points(Plane.of(city.box).metres(np.column_stack([alerts.longitude, alerts.latitude])))
    alert, part = shapely.STRtree(parts.lines).query(points, predicate="dwithin", distance=MAX_METRES_AWAY)
    own = parts.cell[part] == alerts.cells(city)[alert]
    alert, part = alert[own], part[own]
    order = np.lexsort((shapely.distance(points[alert], parts.lines[part]), alert))
    alert, first = np.unique(alert[order], return_index=True)
    nearest = np.full(len(alerts), -1)
    nearest[alert] = part[order][first]
    return nearest
