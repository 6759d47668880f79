"""Share of each street in the alerts of its cell, learned from the past with shrinkage, and the forecast of segments.

Alerts of a cell lie on one of the parts of segments there, or on no street. The mean of the Dirichlet posterior of these
places is w = (n + a e) / (N + a) (Gelman et al. 2013, Bayesian Data Analysis, 3.4): n and N are days with alerts at the
place and in the cell, e is the prior share and a the strength of the prior in days. Shares add up to 1 in each cell, so the
forecasts of segments add up to the forecast of the cell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from shotspotter_assets.cities.city import City
from shotspotter_assets.forecasts.street_segments import Parts
from shotspotter_assets.grid.cells import Plane, cell_numbers, cells_at
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers

MAX_METRES_AWAY: Final = 150.0  # an alert further from all streets of its cell is on no street
HALF_LIFE_DAYS: Final = 730.0
PRIOR_DAYS: Final = 10.0  # strength of the prior, in days with an alert in the cell
KERNEL_METRES: Final = 100.0  # standard deviation of the kernel: streets near ones with alerts have more of the prior
KERNEL_PRIOR_METRES: Final = 100.0  # metres of street of the city's mean rate that are added within the kernel


@dataclass(frozen=True)
class Alerts:
    """Alerts of a city within its box, each array of shape (alerts,)."""

    days: Days  # local
    longitude: Array  # WGS84 degrees
    latitude: Array  # WGS84 degrees

    def __len__(self) -> int:
        return len(self.days)

    def chosen(self, chosen: Booleans) -> "Alerts":
        """Return the flagged alerts; `chosen` has shape (alerts,)."""
        return Alerts(self.days[chosen], self.longitude[chosen], self.latitude[chosen])

    def cells(self, city: City) -> Integers:
        """Return the number of each alert's cell, row by row."""
        return cell_numbers(city, *cells_at(city, self.longitude, self.latitude))


def nearest_parts(city: City, parts: Parts, alerts: Alerts) -> Integers:
    """Return the nearest part within `MAX_METRES_AWAY` in each alert's cell; -1 for none; shape (alerts,)."""
    points = shapely.points(Plane.of(city.box).metres(np.column_stack([alerts.longitude, alerts.latitude])))
    alert, part = shapely.STRtree(parts.lines).query(points, predicate="dwithin", distance=MAX_METRES_AWAY)
    in_cell = parts.cell[part] == alerts.cells(city)[alert]
    alert = alert[in_cell]
    part = part[in_cell]
    order = np.lexsort((shapely.distance(points[alert], parts.lines[part]), alert))
    alert, first = np.unique(alert[order], return_index=True)
    nearest = np.full(len(alerts), -1)
    nearest[alert] = part[order][first]
    return nearest


@dataclass(frozen=True)
class StreetShares:
    """Shares of places in the alerts of their cell: of each part, then of being on no street in each cell."""

    parts: Parts
    share: Array  # shape (parts + cells,); adds up to 1 in each cell
    cell_days: Array  # weighted days with alerts, shape (cells,)
    segments_per_day: float  # mean segments with alerts in a cell and day with alerts

    @classmethod
    def fit(cls, city: City, parts: Parts, alerts: Alerts) -> "StreetShares":
        """Fit to past alerts. A cell's alerts of a day have a weight of one together, and older days less."""
        cell = alerts.cells(city)
        part = nearest_parts(city, parts, alerts)
        place = np.where(part >= 0, part, len(parts) + cell)
        day = alerts.days.astype(np.int64)
        cells_by_day, group, number = np.unique(
            np.column_stack([day, cell]), axis=0, return_inverse=True, return_counts=True
        )
        places_by_day = np.unique(np.column_stack([day, place]), axis=0)
        age = (alerts.days.max() - alerts.days).astype(np.float64) if len(alerts) else np.zeros(0)
        weights = 0.5 ** (age / HALF_LIFE_DAYS) / number[group.ravel()]
        cell_of_place = _cells_of_places(parts)
        days = np.bincount(place, weights, minlength=len(cell_of_place)).astype(np.float64)
        cell_days = np.bincount(cell_of_place, days, minlength=parts.cells).astype(np.float64)
        share = (days + PRIOR_DAYS * _prior(parts, days)) / (cell_days[cell_of_place] + PRIOR_DAYS)
        return cls(parts, share, cell_days, len(places_by_day) / len(cells_by_day) if len(cells_by_day) else 1.0)

    def divided(self, cells: Array) -> tuple[Array, Array]:
        """Divide a forecast of cells (..., cells) among segments (..., segments) and no street (..., cells)."""
        of_places = cells[..., _cells_of_places(self.parts)] * self.share
        of_parts, on_no_street = np.split(of_places, [len(self.parts)], axis=-1)
        return self.by_segment(of_parts), on_no_street

    def by_segment(self, of_parts: Array) -> Array:
        """Sum values of parts, (..., parts), by segment, (..., segments)."""
        part = np.arange(len(self.parts))
        shape = (len(self.parts), self.parts.segments)
        return np.asarray(of_parts @ csr_array((np.ones(len(part)), (part, self.parts.segment)), shape=shape))


@dataclass(frozen=True)
class CellRisk:
    """Forecast of all cells row by row, 0 where nothing is forecast; arrays have shape (cells,)."""

    expected: Array  # alerts
    probability: Array  # probability of at least one alert
    low: Array  # lower end of the interval of the probability
    high: Array


@dataclass(frozen=True)
class SegmentRisk(CellRisk):
    """Forecast of segments; arrays have shape (segments,)."""

    expected_on_no_street: float  # alerts of all cells; with `expected` they add up to those of the cells


def segment_risk(shares: StreetShares, cells: CellRisk, ends: tuple[float, float]) -> SegmentRisk:
    """Return the forecast of segments.

    Expected alerts are divided by the shares, and so are hazards (-log(1 - p)), times `segments_per_day`. The interval,
    with `ends` such as (0.1, 0.9), adds the cell's interval and that of the share (a gamma distribution with its mean and
    variance) as independent, on the logarithm of the hazard.
    """
    from scipy.stats import gamma

    expected, on_no_street = shares.divided(cells.expected)
    hazard, low, high = (
        shares.segments_per_day * shares.divided(-np.log1p(-values))[0]
        for values in (cells.probability, cells.low, cells.high)
    )
    variance = _hazard_variance(shares, -np.log1p(-cells.probability))
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = gamma.ppf(np.array(ends)[:, None], hazard**2 / variance, scale=variance / hazard)
        below = np.hypot(np.log(low / hazard), np.log(np.minimum(least / hazard, 1)))
        above = np.hypot(np.log(high / hazard), np.log(np.maximum(most / hazard, 1)))
    probability, low, high = (
        -np.expm1(-np.where(hazard > 0, values, 0.0))
        for values in (hazard, hazard * np.exp(-below), hazard * np.exp(above))
    )
    return SegmentRisk(expected, np.minimum(probability, expected), low, high, float(on_no_street.sum()))


def _hazard_variance(shares: StreetShares, cell_hazard: Array) -> Array:
    """Return the variance of each segment's hazard by that of its shares, shape (segments,)."""
    cell = shares.parts.cell
    share = shares.share[: len(shares.parts)]
    of_parts = cell_hazard[cell] ** 2 * share * (1 - share) / (shares.cell_days[cell] + PRIOR_DAYS + 1)
    return shares.segments_per_day**2 * shares.by_segment(of_parts)


def _cells_of_places(parts: Parts) -> Integers:
    return np.concatenate([parts.cell, np.arange(parts.cells)])


def _prior(parts: Parts, days: Array) -> Array:
    """Return shares by length and nearby alerts; being on no street has one share in all cells with streets."""
    count = len(parts)
    of_parts = parts.metres * _nearby(parts, days[:count])
    in_cell = np.bincount(parts.cell, of_parts, minlength=parts.cells)
    has_streets = in_cell > 0
    off_streets = days[count:][has_streets].sum()
    off = off_streets / max(days[:count].sum() + off_streets, 1.0)
    return np.concatenate([(1 - off) * of_parts / in_cell[parts.cell], np.where(has_streets, off, 1.0)])


def _nearby(parts: Parts, days: Array) -> Array:
    """Return days with alerts by metre of the streets around each part, relative to the city's mean, shape (parts,)."""
    if not days.sum():
        return np.ones(len(parts))
    tree = KDTree(shapely.get_coordinates(shapely.centroid(parts.lines)))
    near = tree.sparse_distance_matrix(tree, 3 * KERNEL_METRES, output_type="coo_matrix")
    kernel = csr_array((np.exp(-0.5 * (near.data / KERNEL_METRES) ** 2), (near.row, near.col)), shape=near.shape)
    mean = days.sum() / parts.metres.sum()
    return np.asarray((kernel @ days / mean + KERNEL_PRIOR_METRES) / (kernel @ parts.metres + KERNEL_PRIOR_METRES))
