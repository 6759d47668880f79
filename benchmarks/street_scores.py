"""Scores of forecasts of street segments, and the mean of each segment's own past, which they are compared with.

Hit rate and PAI are of the segments with the most expected per metre, up to a share of the network's
length (Bowers et al. 2004 and Chainey et al. 2008, by length instead of area).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.streets.segments import Parts
from shotspotter_assets.streets.shares import Alerts, nearest_parts

if TYPE_CHECKING:
    from scipy import sparse

Array = npt.NDArray[np.float64]

LENGTHS: Final = (1, 2, 5)  # flagged shares of the network's length in percent
PRIOR_ALERT_DAYS: Final = (0.1, 0.3, 1.0, 3.0)  # strengths of the prior of a segment's mean, in days with an alert


@dataclass(frozen=True)
class Network:
    """The streets in covered cells, which are forecast and scored."""

    shown: Integers  # numbers of the segments
    metres: Array  # their length within covered cells, shape (shown,)
    in_coverage: npt.NDArray[np.bool_]  # of all cells, shape (cells,)

    @classmethod
    def of(cls, parts: Parts, in_coverage: npt.NDArray[np.bool_]) -> "Network":
        """The streets of covered cells, given in any shape in row-major order."""
        covered = parts.metres * in_coverage.ravel()[parts.cell]
        metres = np.bincount(parts.segment, covered, minlength=parts.segments).astype(np.float64)
        shown = np.flatnonzero(metres)
        return cls(shown, metres[shown], in_coverage.ravel())

    def covered(self, city: City, alerts: Alerts) -> Alerts:
        """The alerts in covered cells."""
        return alerts.chosen(self.in_coverage[alerts.cells(city)])

    def alert_days(
        self, city: City, parts: Parts, alerts: Alerts, days: npt.NDArray[np.datetime64]
    ) -> "sparse.csr_array":
        """1 for each segment with an alert on each of contiguous days, else 0; shape (days, shown)."""
        from scipy import sparse

        alerts = self.covered(city, alerts.chosen((alerts.days >= days[0]) & (alerts.days <= days[-1])))
        part = nearest_parts(city, parts, alerts)
        day, segment = (alerts.days - days[0]).astype(np.int64)[part >= 0], parts.segment[part[part >= 0]]
        pairs = np.unique(np.stack([day, np.searchsorted(self.shown, segment)]), axis=1)
        return sparse.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(len(days), len(self.shown)))


def mean_rates(alert_days: Array, days: int, metres: Array, prior: float) -> Array:
    """Alert days per day of each segment, shrunk to the network's mean per metre; all of shape (segments,).

    `alert_days` are those in a number of `days`, `prior` is the weight of the mean, in alert days.
    """
    per_metre = alert_days.sum() / days / metres.sum()
    if not per_metre:
        return np.zeros(len(metres))
    return np.asarray((alert_days + prior) / (days + prior / (per_metre * metres)))


def best_prior(alert_days: Array, days: int, later: Array, later_days: int, metres: Array) -> float:
    """The strength of `PRIOR_ALERT_DAYS` with which the mean of the earlier days has the least loss on the later ones."""

    def loss(prior: float) -> float:
        return constant_loss(mean_rates(alert_days, days, metres, prior), later, later_days)

    return min(PRIOR_ALERT_DAYS, key=loss)


def constant_loss(rates: Array, alert_days: Array, days: int) -> float:
    """Log loss, summed over all segment-days, of alert days per day that are constant; see `mean_rates`."""
    return float(soft_losses(-np.expm1(-rates), alert_days / days).sum() * days)


def soft_losses(probability: Array, observed: Array) -> Array:
    """Log loss of each segment-day; `observed` may be the share of many days."""
    yes, no = (log_losses(probability, np.full(probability.shape, outcome)) for outcome in (True, False))
    return np.asarray(observed * yes + (1 - observed) * no)


def hits(expected: Array, observed: Array, metres: Array) -> dict[int, float]:
    """Alert days on the streets that are flagged each day, by share of the network's length (`LENGTHS`).

    Streets with most expected per metre are flagged, up to a length. `expected` are alerts or alert days, shape (days,
    segments), or (segments,) where all days have the same; `observed` is that of `Network.alert_days`.
    """
    found = dict.fromkeys(LENGTHS, 0.0)
    for of_day, came in zip(np.broadcast_to(expected, observed.shape), observed, strict=True):
        order = np.argsort(-of_day / metres, kind="stable")
        through = np.cumsum(metres[order])
        for length in LENGTHS:
            limit = length / 100 * through[-1]
            found[length] += float(came[order] @ np.clip((limit - (through - metres[order])) / metres[order], 0, 1))
    return found
