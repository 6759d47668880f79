"""How one alert of the simulated city triggers others: how many, how much later, how far away."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.simulated.background import HOUR, Floats, cell_metres

OFFSPRING = 0.35
"""Expected number of offspring of an alert, those lost outside the sensors' reach included."""
MEAN_LAG = 6 * HOUR
"""Mean of the exponential lag between an alert and its offspring, before the cut at `MAX_LAG`."""
MAX_LAG = 48 * HOUR
SPREAD_METRES = 200.0
"""Standard deviation of the way from an alert to its offspring along each axis, before the cut."""
MAX_SPREAD = 3.0
"""Where that way is cut along each axis, in standard deviations."""

LAG_REACH = -np.expm1(-MAX_LAG / MEAN_LAG)
SPREAD_REACH = 1 - 2 * ndtr(-MAX_SPREAD)
POINTS_PER_SPREAD = 100
"""Places of parents along `SPREAD_METRES`, over which shares are averaged."""


def draw_lags(random: np.random.Generator, number: int) -> Floats:
    """Draw `number` lags in microseconds from the truncated exponential distribution."""
    return -MEAN_LAG * np.log1p(-LAG_REACH * random.random(number))


def draw_steps(random: np.random.Generator, number: int, city: City) -> tuple[Floats, Floats]:
    """Draw steps along (rows, columns), in cells, from `number` alerts to one offspring each."""
    height, width = cell_metres(city)
    step = ndtri(ndtr(-MAX_SPREAD) + SPREAD_REACH * random.random((2, number)))
    return step[0] * SPREAD_METRES / height, step[1] * SPREAD_METRES / width


def share_heard(city: City, sensors: npt.NDArray[np.bool_], parents: Floats) -> float:
    """Return the share of the offspring of `parents` that falls into cells with sensors.

    Args:
        city: the city.
        sensors: cells with sensors (rows, columns).
        parents: share of each cell (rows, columns) in the parents, which are anywhere in their cells.
    """
    rows, columns = (_between_cells(cells, size) for cells, size in zip(city.shape, cell_metres(city), strict=True))
    return float((rows @ parents @ columns.T)[sensors].sum())


def _between_cells(cells: int, size: float) -> Floats:
    """Return the shares [to, from] of offspring along one axis of `cells` that are `size` metres long."""
    points = POINTS_PER_SPREAD * int(np.ceil(size / SPREAD_METRES))
    within = cells - 1 + (np.arange(points) + 0.5) / points
    # From the middle of a line twice as long there is every step that there can be between two cells.
    edges = (np.arange(2 * cells) - within[:, None]) * size / SPREAD_METRES
    steps = (np.diff(ndtr(np.clip(edges, -MAX_SPREAD, MAX_SPREAD)), axis=1) / SPREAD_REACH).mean(axis=0)
    to, from_ = np.indices((cells, cells))
    return steps[cells - 1 + to - from_]
