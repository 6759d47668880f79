"""The share of each street in the alerts of its cell, learned from the past with shrinkage, and the forecast of segments.

On a day with alerts in a cell, their place is one of the parts of segments in the cell, or off the streets. The mean of the
Dirichlet posterior of these places is w = (n + a e) / (N + a): n are the (fractional) days with alerts of the place, N those of
the cell, e is its prior share and a the strength of the prior in days (Gelman et al. 2013, Bayesian Data Analysis, 3.4). Shares
add up to 1 in each cell, so the forecasts of segments add up to the forecast of the cell.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.streets.segments import Integers, Parts
from shotspotter_assets.streets.spread import Alerts, Ambiguity, Inexactness, spread

if TYPE_CHECKING:
    from scipy import sparse

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShareSettings:
    """Settings of the shares; `benchmarks/street_settings.py` compares others on days before the test years.

    Attributes:
        half_life_days: of the weight of a past day.
        prior_days: strength of the prior.
        kernel_metres: standard deviation of the kernel by which streets near streets with alerts have more of the prior; 0
            for a prior by length alone.
        kernel_prior_metres: metres of street of the city's mean rate that are added within the kernel.
    """

    half_life_days: float = 730.0
    prior_days: float = 10.0
    kernel_metres: float = 100.0
    kernel_prior_metres: float = 100.0


USUAL: Final = ShareSettings()


@dataclass(frozen=True)
class StreetShares:
    """The share of each place in its cell. Places are the parts, and after them being on no street, for each cell.

    Attributes:
        parts: of the segments.
        share: of each place, shape (parts + cells,); adds up to 1 in each cell.
        cell_days: days with alerts of each cell, later ones counting more, shape (cells,).
        prior_days: strength of the prior.
        segments_per_day: how many segments of a cell have alerts on a day on which the cell has some.
        inexactness: of the alerts' points.
        ambiguity: on which streets they may have been; None without alerts on streets.
    """

    parts: Parts
    share: Array
    cell_days: Array
    prior_days: float
    segments_per_day: float
    inexactness: Inexactness
    ambiguity: Ambiguity | None

    @classmethod
    def fit(cls, city: City, parts: Parts, alerts: Alerts, settings: ShareSettings = USUAL) -> "StreetShares":
        """From all alerts that are known."""
        inexactness = Inexactness.of(city, alerts, parts)
        on_streets = spread(city, parts, alerts, inexactness)
        places = _places(parts, on_streets, alerts.cells(city))
        past = _Past(parts, alerts.days, alerts.cells(city), places, settings)
        share, cell_days = past.shares()
        ambiguity = Ambiguity.of(on_streets)
        prior_days, segments_per_day = settings.prior_days, past.segments_per_day()
        return cls(parts, share, cell_days, prior_days, segments_per_day, inexactness, ambiguity)

    @property
    def cell(self) -> Integers:
        """The cell of each place."""
        return np.concatenate([self.parts.cell, np.arange(self.parts.cells)])

    def divided(self, cells: Array) -> tuple[Array, Array]:
        """(of each segment, on no street in each cell) of what is forecast of cells.

        Args:
            cells: shape (..., cells).

        Returns:
            Shapes (..., segments) and (..., cells); together they add up to `cells`.
        """
        of_places = cells[..., self.cell] * self.share
        of_parts, on_no_street = np.split(of_places, [len(self.parts)], axis=-1)
        return self.by_segment(of_parts), on_no_street

    def by_segment(self, of_parts: Array) -> Array:
        """Sums of values of parts, (..., parts), by segment, (..., segments)."""
        from scipy import sparse

        count = len(self.parts)
        sums = sparse.csr_array(
            (np.ones(count), (np.arange(count), self.parts.segment)), shape=(count, self.parts.segments)
        )
        return np.asarray(of_parts @ sums)

    def share_variance(self) -> Array:
        """Variance of the share of each part, shape (parts,)."""
        share = self.share[: len(self.parts)]
        return share * (1 - share) / (self.cell_days[self.parts.cell] + self.prior_days + 1)


@dataclass(frozen=True)
class CellRisk:
    """A forecast of all cells of the grid in row-major order, 0 where nothing is forecast; each (cells,).

    Attributes:
        expected: alerts.
        probability: of at least one alert.
        low: end of the interval of the probability.
        high: same.
    """

    expected: Array
    probability: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class SegmentRisk:
    """A forecast of segments.

    Attributes:
        expected: alerts, shape (segments,).
        probability: of at least one alert, same shape.
        low: end of the interval of the probability.
        high: same.
        expected_on_no_street: alerts of all cells that are on no street; with `expected` they add up to those of the cells.
    """

    expected: Array
    probability: Array
    low: Array
    high: Array
    expected_on_no_street: float


def segment_risk(shares: StreetShares, cells: CellRisk, ends: tuple[float, float]) -> SegmentRisk:
    """The forecast of segments.

    Expected alerts are divided by the shares. So are hazards (-log(1 - p)), times the number of segments that have alerts on a
    day on which their cell has some. The interval adds, on the logarithm of the hazard, the cell's own interval and that of the
    share (a gamma distribution of its mean and variance) as independent ones.

    Args:
        shares: of the streets in the cells.
        cells: their forecast.
        ends: of the interval, such as (0.1, 0.9).
    """
    from scipy.stats import gamma

    expected, on_no_street = shares.divided(cells.expected)
    of_part = shares.parts.cell
    cell_hazard, cell_low, cell_high = (-np.log1p(-values) for values in (cells.probability, cells.low, cells.high))
    part_hazard = cell_hazard[of_part] * shares.share[: len(of_part)]
    low, hazard, high = (
        shares.segments_per_day * shares.by_segment(values)
        for values in (
            shares.share[: len(of_part)] * cell_low[of_part],
            part_hazard,
            shares.share[: len(of_part)] * cell_high[of_part],
        )
    )
    variance = shares.segments_per_day**2 * shares.by_segment(cell_hazard[of_part] ** 2 * shares.share_variance())
    with np.errstate(divide="ignore", invalid="ignore"):
        shape, scale = hazard**2 / variance, variance / hazard
        of_share = np.array([gamma.ppf(end, shape, scale=scale) for end in ends])
        below = np.hypot(np.log(low / hazard), np.log(np.minimum(of_share[0] / hazard, 1)))
        above = np.hypot(np.log(high / hazard), np.log(np.maximum(of_share[1] / hazard, 1)))
    some = hazard > 0
    probability, low, high = (
        -np.expm1(-np.where(some, values, 0.0)) for values in (hazard, hazard * np.exp(-below), hazard * np.exp(above))
    )
    return SegmentRisk(expected, np.minimum(probability, expected), low, high, float(on_no_street.sum()))


@dataclass(frozen=True)
class _Past:
    """Past alerts, and the places to which they may belong.

    Attributes:
        days: of each alert, shape (alerts,).
        cell: same.
        places: shares, shape (alerts, places); rows add up to 1.
        settings: how they are learned from.
    """

    parts: Parts
    days: npt.NDArray[np.datetime64]
    cell: Integers
    places: "sparse.csr_array"
    settings: ShareSettings

    def shares(self) -> tuple[Array, Array]:
        """`share` and `cell_days` of `StreetShares`."""
        cells, prior_days = self.parts.cells, self.settings.prior_days
        of_place = np.concatenate([self.parts.cell, np.arange(cells)])
        days: Array = np.asarray(self.places.T @ self._weights(), dtype=np.float64)
        cell_days = np.bincount(of_place, days, minlength=cells).astype(np.float64)
        share = (days + prior_days * self._prior(days)) / (cell_days[of_place] + prior_days)
        return share, cell_days

    def segments_per_day(self) -> float:
        """Of one alert, its places count as one segment however many they may be."""
        if not len(self.days):
            return 1.0
        from scipy import sparse

        _, group = np.unique(np.column_stack([self.days.astype(np.int64), self.cell]), axis=0, return_inverse=True)
        places = self.places.tocoo()
        alert, place = places.coords
        groups = int(group.max()) + 1
        none = sparse.csr_array(
            (np.log1p(-np.minimum(places.data, 1 - 1e-9)), (group.ravel()[alert], place)),
            shape=(groups, self.places.shape[1]),
        )
        return float(-np.expm1(none.data).sum() / groups)

    def _weights(self) -> Array:
        """Of each alert: the alerts of a cell and day are one together, and older days count less."""
        if not len(self.days):
            return np.zeros(0)
        _, group, number = np.unique(
            np.column_stack([self.days.astype(np.int64), self.cell]), axis=0, return_inverse=True, return_counts=True
        )
        age = (self.days.max() - self.days).astype(np.float64)
        return 0.5 ** (age / self.settings.half_life_days) / number[group.ravel()]

    def _prior(self, days: Array) -> Array:
        """Shares by length and by how many alerts there are nearby; being on no street is as likely in all cells with streets."""
        count, cells = len(self.parts), self.parts.cells
        of_parts = self.parts.metres * _nearby(self.parts, days[:count], self.settings)
        in_cell = np.bincount(self.parts.cell, of_parts, minlength=cells)
        has_streets = in_cell > 0
        in_such = np.bincount(self.parts.cell, days[:count], minlength=cells)[has_streets].sum()
        off_such = days[count:][has_streets].sum()
        off = off_such / max(in_such + off_such, 1.0)
        on_no_street = np.where(has_streets, off, 1.0)
        return np.concatenate([(1 - off) * of_parts / in_cell[self.parts.cell], on_no_street])


def _places(parts: Parts, on_streets: "sparse.csr_array", cell: Integers) -> "sparse.csr_array":
    """`spread` with the alerts on no street in the places after the parts."""
    from scipy import sparse

    off = np.flatnonzero(np.diff(on_streets.indptr) == 0)
    on_no_street = sparse.csr_array((np.ones(len(off)), (off, cell[off])), shape=(on_streets.shape[0], parts.cells))
    return sparse.hstack([on_streets, on_no_street], format="csr")


def _nearby(parts: Parts, days: Array, settings: ShareSettings) -> Array:
    """Days with alerts by metre of the streets around each part, relative to the city's mean, shape (parts,)."""
    import shapely
    from scipy import sparse
    from scipy.spatial import KDTree

    metres, prior_metres = settings.kernel_metres, settings.kernel_prior_metres
    if not days.sum() or not metres:
        return np.ones(len(parts))
    middles = shapely.get_coordinates(shapely.centroid(parts.lines))
    near = KDTree(middles).sparse_distance_matrix(KDTree(middles), 3 * metres, output_type="coo_matrix")
    kernel = sparse.csr_array((np.exp(-0.5 * (near.data / metres) ** 2), (near.row, near.col)), shape=near.shape)
    mean = days.sum() / parts.metres.sum()
    return np.asarray((kernel @ days / mean + prior_metres) / (kernel @ parts.metres + prior_metres))
