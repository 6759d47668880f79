"""Which alerts of a day belong to one incident."""

from typing import Final

import numpy as np
import numpy.typing as npt

MINUTES: Final = 5
METRES: Final = 150
"""Alerts this close in time and space belong together: the diffusion scales of gunfire in Washington DC are 10
minutes and 126 m (Loeffler and Flaxman 2018), and a sensor's own error is about 25 m."""

METRES_PER_DEGREE: Final = 111_320.0


def incident_numbers(
    day: npt.NDArray[np.int64],
    seconds: npt.NDArray[np.float64],
    longitude: npt.NDArray[np.float64],
    latitude: npt.NDArray[np.float64],
    city_latitude: float,
) -> npt.NDArray[np.int64]:
    """For each alert, the position of the first alert of its incident, shape (alerts,).

    Incidents are the connected components of the graph that joins alerts of the same `day` at most `MINUTES` and
    `METRES` apart, degrees of longitude being as long as at `city_latitude`. The alerts must be sorted by time.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    count = len(seconds)
    if count == 0:
        return np.empty(0, dtype=np.int64)
    east = longitude * METRES_PER_DEGREE * np.cos(np.radians(city_latitude)) / METRES
    north = latitude * METRES_PER_DEGREE / METRES
    points = np.column_stack([east, north, seconds / (60 * MINUTES)])
    first, second = cKDTree(points).query_pairs(1.0, p=np.inf, output_type="ndarray").T
    near = (east[first] - east[second]) ** 2 + (north[first] - north[second]) ** 2 <= 1
    joined = near & (day[first] == day[second])
    links = coo_array((np.ones(joined.sum(), dtype=bool), (first[joined], second[joined])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    _, first_of_component = np.unique(component, return_index=True)
    return first_of_component[component].astype(np.int64)
