"""Scores of an occupancy forecast on covered cells; every score can be recomputed from the forecasts table.

Notation in the definitions: p forecast probability and o observed occupancy (0 or 1) of a cell-day, r the reference
forecast (the historical mean), sums and means over all covered cells and test days. Formulas follow Bowers et al.
(2004) for hit rate, Chainey et al. (2008) for PAI, Hunt (2016) for PEI, and Murphy (1973) for the Brier score.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from shotspotter_assets.models.probability import clip_probability, log_losses

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
AREAS: Final = (1, 5, 10, 20)
"""Flagged shares of the covered cells in percent."""

SCORE_DEFINITIONS: Final = {
    "log_loss": "-mean(o ln p + (1 - o) ln(1 - p)), p kept within [1e-6, 1 - 1e-6]; less is better",
    "gain_nats_per_positive": "(sum of log loss of the historical mean - sum of log loss) / sum(o)",
    "brier_skill": "1 - mean((p - o)^2) / mean((r - o)^2), r the historical mean",
    "average_precision": "sum over distinct thresholds of (recall gained) x precision; chance level is the base rate",
    "roc_auc": "probability that a positive has a higher p than a negative, ties counting half; chance level is 0.5",
    "hit_rate": (
        "positives in the k cells with the highest p of each day / all positives, pooled over days; k = x% of that "
        "day's covered cells, rounded half up, at least 1; tied cells share the places left to them equally"
    ),
    "pai": "hit_rate / (sum of k / sum of covered cells over days)",
    "pei": "hits / the most hits that any k cells of each day could have had (sum over days of min(k, positives))",
    "predicted_over_observed": "sum(p) / sum(o); 1 is calibrated in the large",
    "calibration_slope": "b of the unpenalised logistic regression o ~ a + b logit(p); 1 is calibrated",
    "calibration_intercept": "a of the same regression; 0 is calibrated",
    "accuracy": "mean((p >= 1/2) = o); compare with 1 - base rate, which never forecasting an alert scores",
    "weighted_accuracy_10": (
        "share of right decisions, positives weighing 10 and negatives 1, deciding yes where q = 10p / (1 + 9p) >= "
        "1/2, the odds that a 10:1 weighted loss would give, so where p >= 1/11"
    ),
}
"""Score name to its formula. A score that is not defined (no positives, constant forecast) is None."""


@dataclass(frozen=True)
class Scores:
    """The scores of `SCORE_DEFINITIONS`; those by area map each share of `AREAS` to its value."""

    log_loss: float
    gain_nats_per_positive: float | None
    brier_skill: float
    average_precision: float | None
    roc_auc: float | None
    hit_rate: dict[int, float | None]
    pai: dict[int, float | None]
    pei: dict[int, float | None]
    predicted_over_observed: float | None
    calibration_slope: float | None
    calibration_intercept: float | None
    accuracy: float
    weighted_accuracy_10: float


def score_cell_days(
    probability: npt.NDArray[np.floating],
    observed: Booleans,
    reference: npt.NDArray[np.floating],
    day: npt.NDArray[Any],
) -> Scores:
    """All scores of cell-days in any order; days may differ in their number of covered cells.

    Args:
        probability: forecast probability of at least one alert, shape (cell-days,).
        observed: whether there was one, same shape.
        reference: probability of the historical mean, same shape.
        day: any sortable label of the day of each; cells are ranked among those of the same label.
    """
    p, r = clip_probability(probability), clip_probability(reference)
    positives = int(observed.sum())
    losses = log_losses(p, observed)
    reference_brier = np.mean((r - observed) ** 2)
    slope, intercept = calibration(p, observed)
    weights = np.where(observed, 10.0, 1.0)
    hit_rate, pai, pei = _area_scores(p, observed, day)
    return Scores(
        log_loss=float(losses.mean()),
        gain_nats_per_positive=ratio((log_losses(r, observed) - losses).sum(), positives),
        brier_skill=float(1 - np.mean((p - observed) ** 2) / reference_brier),
        average_precision=_average_precision(p, observed),
        roc_auc=_roc_auc(p, observed),
        hit_rate=hit_rate,
        pai=pai,
        pei=pei,
        predicted_over_observed=ratio(p.sum(), positives),
        calibration_slope=slope,
        calibration_intercept=intercept,
        accuracy=float(np.mean((p >= 0.5) == observed)),
        weighted_accuracy_10=float(np.average((p >= 1 / 11) == observed, weights=weights)),
    )


def calibration(probability: Array, observed: Booleans) -> tuple[float | None, float | None]:
    """Slope and intercept of the logistic regression of `observed` on logit(`probability`), both (cell-days,).

    None where no finite fit exists: one class only, a constant forecast, or one that separates the classes.
    """
    logit = np.log(probability) - np.log1p(-probability)
    positive, negative = logit[observed], logit[~observed]
    if not len(positive) or not len(negative) or positive.min() >= negative.max() or positive.max() <= negative.min():
        return None, None
    # Fitted on a standardised regressor, so that convergence does not depend on the forecast's own scale.
    centre, scale = logit.mean(), logit.std()
    design = np.stack([np.ones_like(logit), (logit - centre) / scale])

    def loss(line: Array) -> float:
        return float(np.logaddexp(0, np.where(observed, -1, 1) * (line @ design)).mean())

    def gradient(line: Array) -> Array:
        return design @ (expit(line @ design) - observed) / len(logit)

    def curvature(line: Array) -> Array:
        fitted = expit(line @ design)
        return (design * (fitted * (1 - fitted))) @ design.T / len(logit)

    fit = minimize(loss, np.zeros(2), method="trust-exact", jac=gradient, hess=curvature, options={"gtol": 1e-9})
    slope = fit.x[1] / scale
    return float(slope), float(fit.x[0] - slope * centre)


def flagged_shares(probability: Array, day: npt.NDArray[Any]) -> dict[int, Array]:
    """How far each cell-day is flagged, by area: 1 within the k highest of its day, 0 below, shape (cell-days,).

    Tied cells share the places left to them equally: what row order or one seed would give is luck.

    Args:
        probability: shape (cell-days,).
        day: label of the day of each; cells are ranked among those of the same label.
    """
    _, day_at, cells = np.unique(day, return_inverse=True, return_counts=True)
    order = np.lexsort((-probability, day_at))
    p, day_at = probability[order], day_at[order]
    first = np.cumsum(cells) - cells
    starts_tie = np.r_[True, (day_at[1:] != day_at[:-1]) | (p[1:] != p[:-1])]
    tie = np.cumsum(starts_tie) - 1
    tie_first = np.flatnonzero(starts_tie)
    tie_rank, tie_day, tie_cells = tie_first - first[day_at[tie_first]], day_at[tie_first], np.bincount(tie)
    shares = {}
    for area in AREAS:
        flagged = _flagged_cells(cells, area)
        shares[area] = np.empty(len(p))
        shares[area][order] = np.clip((flagged[tie_day] - tie_rank) / tie_cells, 0, 1)[tie]
    return shares


def _flagged_cells(cells: npt.NDArray[np.integer], area: int) -> Array:
    """How many cells are flagged on each day with that many covered cells."""
    return np.maximum(np.floor(cells * area / 100 + 0.5), 1)


def _area_scores(
    p: Array, observed: Booleans, day: npt.NDArray[Any]
) -> tuple[dict[int, float | None], dict[int, float | None], dict[int, float | None]]:
    """(hit rate, PAI, PEI) by area."""
    _, day_at, cells = np.unique(day, return_inverse=True, return_counts=True)
    day_positives = np.bincount(day_at, weights=observed)
    hit_rate: dict[int, float | None] = {}
    pai: dict[int, float | None] = {}
    pei: dict[int, float | None] = {}
    for area, share in flagged_shares(p, day).items():
        flagged, hits = _flagged_cells(cells, area), share[observed].sum()
        hit_rate[area] = ratio(hits, day_positives.sum())
        pai[area] = ratio(hits / (flagged.sum() / cells.sum()), day_positives.sum())
        pei[area] = ratio(hits, np.minimum(flagged, day_positives).sum())
    return hit_rate, pai, pei


def _average_precision(p: Array, observed: Booleans) -> float | None:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(observed, p)) if observed.any() else None


def _roc_auc(p: Array, observed: Booleans) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(observed, p)) if observed.any() and not observed.all() else None


def ratio(numerator: float, denominator: float) -> float | None:
    """The quotient, or None where the denominator is zero."""
    return float(numerator / denominator) if denominator else None
