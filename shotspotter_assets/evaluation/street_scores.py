"""Scores of forecasts of street segments, and the mean of each segment's own past, which they are compared with.

An alert whose point is rounded counts in part for each segment that it may belong to, so what is observed of a segment-day
is a probability. Hit rate and PAI are of the segments with the most expected per metre, up to a share of the network's
length (Bowers et al. 2004 and Chainey et al. 2008, by length in place of area).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.streets.segments import Integers, Parts
from shotspotter_assets.streets.spread import Alerts, Inexactness, spread

if TYPE_CHECKING:
    from scipy import sparse

Array = npt.NDArray[np.float64]

LENGTHS: Final = (1, 2, 5)
"""Flagged shares of the network's length in percent."""
PRIOR_ALERT_DAYS: Final = (0.1, 0.3, 1.0, 3.0)
"""Strengths of the prior of a segment's mean, in days with an alert."""


@dataclass(frozen=True)
class Network:
    """The streets in covered cells: what is forecast and scored.

    Attributes:
        shown: numbers of the segments.
        metres: their length within covered cells, shape (shown,).
        in_coverage: of all cells, shape (cells,).
    """

    shown: Integers
    metres: Array
    in_coverage: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, parts: Parts, in_coverage: npt.NDArray[np.bool_]) -> "Network":
        """The streets of covered cells, given in any shape in row-major order."""
        covered = in_coverage.ravel()[parts.cell]
        metres: Array = np.bincount(parts.segment[covered], parts.metres[covered], minlength=parts.segments).astype(
            float
        )
        shown = np.flatnonzero(metres)
        return cls(shown, metres[shown], in_coverage.ravel())

    def covered(self, city: City, alerts: Alerts) -> Alerts:
        """The alerts in covered cells."""
        return alerts.chosen(self.in_coverage[alerts.cells(city)])

    def alert_days(
        self,
        city: City,
        parts: Parts,
        alerts: Alerts,
        inexactness: Inexactness,
        days: npt.NDArray[np.datetime64],
    ) -> "sparse.csr_array":
        """How likely each segment had an alert on each of contiguous days, shape (days, shown): 0 or 1 of exact points."""
        from scipy import sparse

        chosen = (alerts.days >= days[0]) & (alerts.days <= days[-1])
        alerts = self.covered(city, alerts.chosen(chosen))
        weights = spread(city, parts, alerts, inexactness).tocoo()
        alert, part = weights.coords
        per_segment = sparse.coo_array(
            (weights.data, (alert, parts.segment[part])), shape=(len(alerts), parts.segments)
        ).tocsr()[:, self.shown]
        per_segment.data = np.log1p(-np.minimum(per_segment.data, 1 - 1e-12))
        day = (alerts.days - days[0]).astype(np.int64)
        of_day = sparse.csr_array((np.ones(len(day)), (day, np.arange(len(day)))), shape=(len(days), len(day)))
        likely = of_day @ per_segment
        likely.data = -np.expm1(likely.data)
        return likely


def mean_rates(seen: Array, days: int, metres: Array, prior: float) -> Array:
    """Alert days per day of each segment, shrunk to the network's mean per metre with the weight of `prior` alert days.

    Args:
        seen: alert days of each segment, shape (segments,), in so many `days`.
        days: see `seen`.
        metres: length of each segment, same shape.
        prior: in alert days.
    """
    per_metre = seen.sum() / days / metres.sum()
    if not per_metre:
        return np.zeros(len(metres))
    return np.asarray((seen + prior) / (days + prior / (per_metre * metres)))


def best_prior(seen: Array, days: int, later: Array, later_days: int, metres: Array) -> float:
    """The strength of `PRIOR_ALERT_DAYS` with which the mean of the earlier days has the least loss on the later ones."""
    return min(
        PRIOR_ALERT_DAYS,
        key=lambda prior: constant_loss(mean_rates(seen, days, metres, prior), later, later_days),
    )


def constant_loss(rates: Array, seen: Array, days: int) -> float:
    """Log loss, summed over all segment-days, of alert days per day that are constant; see `mean_rates`."""
    yes, no = _outcome_losses(-np.expm1(-rates))
    return float(seen @ yes + (days - seen) @ no)


def historical_mean(by_day: "sparse.csr_array", metres: Array) -> Array:
    """Probability of an alert on the next day by the mean of each segment's past, shape (segments,).

    The prior is the best one for the last year, or for the last third of a shorter past.

    Args:
        by_day: alert days of the past, see `Network.alert_days`, shape (days, segments).
        metres: length of each segment.
    """
    days = by_day.shape[0]
    later = min(365, days // 3)
    seen, seen_later = (
        np.asarray(part.sum(axis=0), dtype=np.float64) for part in (by_day[: days - later], by_day[days - later :])
    )
    prior = best_prior(seen, days - later, seen_later, later, metres)
    return np.asarray(-np.expm1(-mean_rates(seen + seen_later, days, metres, prior)))


def _outcome_losses(probability: Array) -> tuple[Array, Array]:
    """Log losses if there is an alert, and if there is none."""
    yes, no = (log_losses(probability, np.full(probability.shape, outcome)) for outcome in (True, False))
    return yes, no


def soft_losses(probability: Array, observed: Array) -> Array:
    """Log loss of each segment-day; `observed` is a probability, see `Network.alert_days`."""
    yes, no = _outcome_losses(probability)
    return np.asarray(observed * yes + (1 - observed) * no)


def hits(expected: Array, observed: Array, metres: Array) -> dict[int, float]:
    """Alert days on the streets that are flagged each day: those with most expected per metre, up to a length.

    Args:
        expected: alerts or alert days, shape (days, segments), or (segments,) where it is the same on all days.
        observed: see `Network.alert_days`, shape (days, segments).
        metres: length of each segment.

    Returns:
        By share of the network's length, see `LENGTHS`.
    """
    found = dict.fromkeys(LENGTHS, 0.0)
    for of_day, seen in zip(np.broadcast_to(expected, observed.shape), observed, strict=True):
        order = np.argsort(-of_day / metres, kind="stable")
        through = np.cumsum(metres[order])
        for length in LENGTHS:
            limit = length / 100 * through[-1]
            found[length] += float(seen[order] @ np.clip((limit - (through - metres[order])) / metres[order], 0, 1))
    return found


@dataclass(frozen=True)
class StreetScores:
    """Scores of one day's forecast of the segments; None where not defined, and where there is no historical mean.

    Attributes:
        segments: number that was forecast.
        log_loss: mean over the segments.
        log_loss_of_mean: of the historical mean of each segment.
        gain_over_historical_mean: in nats per segment with an alert.
        observed: segments with an alert; an alert whose point is rounded counts in part for each that it may belong to.
        predicted: sum of the probabilities.
        hit_rate: share of `observed` on the flagged streets, by share of the network's length in percent.
        hit_rate_of_mean: of the historical mean.
    """

    segments: int
    log_loss: float
    log_loss_of_mean: float | None
    gain_over_historical_mean: float | None
    observed: float
    predicted: float
    hit_rate: dict[int, float | None]
    hit_rate_of_mean: dict[int, float | None] | None

    @classmethod
    def of(cls, probability: Array, mean: Array | None, observed: Array, metres: Array) -> "StreetScores":
        """Scores of the issued `probability` and the historical `mean`, given `observed`, all of shape (segments,)."""
        seen, number = float(observed.sum()), len(observed)

        def scored(p: Array) -> tuple[float, dict[int, float | None]]:
            found = hits(-np.log1p(-p), observed[None], metres)
            return float(soft_losses(p, observed).sum()), {length: ratio(hit, seen) for length, hit in found.items()}

        (loss, hit_rate), (loss_of_mean, hit_rate_of_mean) = scored(probability), (None, None)
        if mean is not None:
            loss_of_mean, hit_rate_of_mean = scored(mean)
        return cls(
            segments=number,
            log_loss=loss / number,
            log_loss_of_mean=None if loss_of_mean is None else loss_of_mean / number,
            gain_over_historical_mean=None if loss_of_mean is None else ratio(loss_of_mean - loss, seen),
            observed=seen,
            predicted=float(probability.sum()),
            hit_rate=hit_rate,
            hit_rate_of_mean=hit_rate_of_mean,
        )

    @property
    def predicted_over_observed(self) -> float | None:
        """1 is calibrated in the large."""
        return ratio(self.predicted, self.observed)

    @property
    def pai(self) -> dict[int, float | None]:
        """Hit rate over share of the length; 1 is what streets chosen at random have."""
        return {length: None if rate is None else rate / (length / 100) for length, rate in self.hit_rate.items()}
