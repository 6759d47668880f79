"""Scores of occupancy forecasts on covered cells.

In the definitions, p is the forecast probability and o the observed occupancy (0 or 1) of a cell-day, r the reference
(historical mean). Sums and means are over all covered cells and test days. Formulas follow Bowers et al. (2004) for hit
rate, Chainey et al. (2008) for PAI, Murphy (1973) for the Brier score, and Dimitriadis, Gneiting and Jordan (2021) for CORP.
"""

import warnings
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, periods_of
from shotspotter_assets.models.forecaster import clip_probability, log_losses
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Values

Scores = dict[str, float | None]  # by name (`SCORE_DEFINITIONS`); None if undefined, as without positives

AREAS: Final = (1, 5, 10, 20)  # flagged shares of the covered cells in percent, as in `hit_rate_5`
FLAGGED_PERCENT: Final = 5  # the one of these that pages, plans and audits show
WEIGHTS: Final = (1, 10, 100, 0.01)  # weights of a positive against a negative in decisions, as in `accuracy_10`

SCORE_DEFINITIONS: Final = {
    "log_loss": "-mean(o ln p + (1 - o) ln(1 - p)), p kept within [1e-6, 1 - 1e-6]; less is better",
    "gain_nats_per_positive": "(sum of log loss of the historical mean - sum of log loss) / sum(o)",
    "brier": "mean((p - o)^2); less is better",
    "brier_skill": "1 - mean((p - o)^2) / mean((r - o)^2), r the historical mean",
    "average_precision": "sum over distinct thresholds of (recall gained) x precision; chance level is the base rate",
    "roc_auc": "probability that a positive has a higher p than a negative, ties counting half; chance level is 0.5",
    "hit_rate": (
        "positives in the k cells with the highest p of each day / all positives, pooled over days; k = x% of that "
        "day's covered cells, rounded half up, at least 1; tied cells share the places left to them equally"
    ),
    "pai": "hit_rate / (sum of k / sum of covered cells over days)",
    "predicted_over_observed": "sum(p) / sum(o); 1 is calibrated in the large",
    "calibration_slope": "b of the unpenalised logistic regression o ~ a + b logit(p); 1 is calibrated",
    "calibration_intercept": "a of the same regression; 0 is calibrated",
    "miscalibration": "mean((p - o)^2) - mean((q - o)^2), q the isotonic regression of o on p (CORP); less is better",
    "discrimination": "uncertainty - mean((q - o)^2); brier = miscalibration - discrimination + uncertainty",
    "uncertainty": "mean(o) (1 - mean(o))",
    "accuracy": (
        "(w TP + TN) / (w (TP + FN) + TN + FP) for w = 1 (equation 6 of the reference report), 10, 100 and 0.01, deciding yes "
        "where p >= 1 / (1 + w), the odds that a w:1 weighted loss would give; compare with the rows never and always"
    ),
    "true_positives": "cell-days with an alert that the decision of accuracy flags, by w",
    "true_negatives": "cell-days without an alert that it does not flag",
    "false_positives": "cell-days without an alert that it flags",
    "false_negatives": "cell-days with an alert that it does not flag",
}
"""Score name to its formula; a number at the end of a name is an area or a weight."""


def score_table(forecasts: pa.Table, reference: str = HISTORICAL_MEAN) -> dict[str, Scores]:
    """Return scores by model over all rows, with the reference model's column as r; {} without rows."""
    if not len(forecasts):
        return {}
    models = model_names(forecasts)
    observed = observed_of(forecasts)
    period = periods_of(forecasts)
    references = forecasts[reference].to_numpy()
    return {name: score_cell_days(forecasts[name].to_numpy(), observed, references, period) for name in models}


def score_cell_days(probability: Values, observed: Booleans, reference: Values, day: Values) -> Scores:
    """Return all scores of cell-days, of shape (cell-days,); `day` is any label of the cells that are ranked together."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    p = clip_probability(probability)
    r = clip_probability(reference)
    losses = log_losses(p, observed)
    gain = log_losses(r, observed) - losses
    positives = int(observed.sum())
    brier = float(np.mean((p - observed) ** 2))
    slope, intercept = calibration(p, observed)
    scores: Scores = {
        "log_loss": float(losses.mean()),
        "gain_nats_per_positive": ratio(gain.sum(), positives),
        "brier": brier,
        "brier_skill": float(1 - brier / np.mean((r - observed) ** 2)),
        "average_precision": float(average_precision_score(observed, p)) if positives else None,
        "roc_auc": float(roc_auc_score(observed, p)) if 0 < positives < len(observed) else None,
        "predicted_over_observed": ratio(p.sum(), positives),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        **corp(p, observed),
    }
    for area, share in flagged_shares(p, day).items():
        hits = share[observed].sum()
        scores[f"hit_rate_{area}"] = ratio(hits, positives)
        scores[f"pai_{area}"] = ratio(hits / share.mean(), positives)
    return scores | decisions(p, observed)


def decisions(probability: Array, observed: Booleans) -> Scores:
    """Return accuracy and counts of yes-or-no decisions by weight: yes where p >= 1 / (1 + weight)."""
    positives = int(observed.sum())
    negatives = len(observed) - positives
    scores: Scores = {}
    for weight in WEIGHTS:
        yes = probability >= 1 / (1 + weight)
        true_positives = int(yes[observed].sum())
        false_positives = int(yes[~observed].sum())
        right = weight * true_positives + negatives - false_positives
        scores |= {
            f"accuracy_{weight}": right / (weight * positives + negatives),
            f"true_positives_{weight}": true_positives,
            f"true_negatives_{weight}": negatives - false_positives,
            f"false_positives_{weight}": false_positives,
            f"false_negatives_{weight}": positives - true_positives,
        }
    return scores


def calibration(probability: Array, observed: Booleans) -> tuple[float | None, float | None]:
    """Return slope and intercept of the logistic regression of `observed` on logit(`probability`), both (cell-days,)."""
    logit = np.log(probability) - np.log1p(-probability)
    positive = logit[observed]
    negative = logit[~observed]
    # No finite fit: one class only, a constant forecast, or one that separates the classes.
    if not len(positive) or not len(negative) or positive.min() >= negative.max() or positive.max() <= negative.min():
        return None, None
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Fitted on a standardised regressor, so that convergence does not depend on the forecast's own scale.
    centre = logit.mean()
    scale = logit.std()
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9)
    with warnings.catch_warnings():
        # Where classes are almost separate, the solver goes on as lbfgs.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = regression.fit(((logit - centre) / scale)[:, None], observed)
    slope = fit.coef_[0, 0] / scale
    return float(slope), float(fit.intercept_[0] - slope * centre)


class Ranks(NamedTuple):
    """Places of cell-days among those of their day, the highest probability first; each of shape (cell-days,)."""

    cells: Integers  # of the day
    before: Integers  # cells of the day with a higher probability
    tied: Integers  # cells of the day with this probability

    def top(self, number: Values) -> Array:
        """Return the share in which each cell-day is among the `number` highest of its day, shape (cell-days,).

        Tied cells share the remaining places equally, because row order or a seed would be luck.
        """
        return np.asarray(((number - self.before) / self.tied).clip(0, 1))


def flagged_cells(covered: Values, percent: int) -> Values:
    """Return the number of flagged cells for numbers of covered cells: a share of them, rounded half up, at least 1."""
    return np.maximum(np.floor(covered * percent / 100 + 0.5), 1)


def flagged_shares(probability: Array, day: Values) -> dict[int, Array]:
    """Return the share in which each cell-day is flagged, by area: 1 within the k highest of its day, 0 below."""
    ranks = ranks_within_days(probability, day)
    return {area: ranks.top(flagged_cells(ranks.cells, area)) for area in AREAS}


def ranks_within_days(probability: Array, day: Values) -> Ranks:
    """Return the places of cell-days, shape (cell-days,); `day` is any label of the cells that are ranked together."""
    number_of_day = np.unique(day, return_inverse=True)[1]
    cells = np.bincount(number_of_day)[number_of_day]
    order = np.lexsort((-probability, number_of_day))
    ranked_day = number_of_day[order]
    ranked = probability[order]
    is_new_day = np.diff(ranked_day, prepend=-1) > 0
    is_new_tie = is_new_day | (np.diff(ranked, prepend=np.inf) != 0)
    tie = np.empty(len(order), dtype=np.int64)
    tie[order] = is_new_tie.cumsum() - 1
    first = np.flatnonzero(is_new_tie)
    first_of_day = np.flatnonzero(is_new_day)
    before = (first - first_of_day[ranked_day[first]])[tie]
    tied = np.diff(first, append=len(order))[tie]
    return Ranks(cells, before, tied)


def recalibrated(probability: Values, observed: Booleans) -> Array:
    """Return forecasts recalibrated by isotonic regression (CORP), all of shape (forecasts,)."""
    from sklearn.isotonic import IsotonicRegression

    return np.asarray(IsotonicRegression(y_min=0, y_max=1).fit_transform(probability, observed), np.float64)


def corp(probability: Values, observed: Booleans) -> dict[str, float]:
    """Return the decomposition of the mean Brier score: miscalibration - discrimination + uncertainty."""
    best = np.mean((recalibrated(probability, observed) - observed) ** 2)
    uncertainty = observed.mean() * (1 - observed.mean())
    return {
        "miscalibration": float(np.mean((probability - observed) ** 2) - best),
        "discrimination": float(uncertainty - best),
        "uncertainty": float(uncertainty),
    }


@dataclass(frozen=True)
class Reliability:
    """Blocks of cell-days that isotonic regression recalibrates alike (CORP), by rising forecast."""

    mean_forecast: list[float]
    observed_frequency: list[float]  # share of cell-days with an alert
    low: list[float]  # lower end of the 95% Wilson interval of the observed frequency, as if the block had been given
    high: list[float]


def reliability(probability: Array, observed: Booleans) -> Reliability:
    """Return the reliability of forecasts, of shape (cell-days,)."""
    from scipy.stats import binomtest

    which = np.unique(recalibrated(probability, observed), return_inverse=True)[1]
    number = np.bincount(which)
    positives = np.bincount(which, weights=observed).astype(int)
    intervals = [binomtest(k, n).proportion_ci(method="wilson") for k, n in zip(positives, number, strict=True)]
    return Reliability(
        mean_forecast=(np.bincount(which, weights=probability) / number).tolist(),
        observed_frequency=(positives / number).tolist(),
        low=[interval.low for interval in intervals],
        high=[interval.high for interval in intervals],
    )


def ratio(numerator: float, denominator: float) -> float | None:
    """Return the quotient; None if the denominator is zero."""
    return float(numerator / denominator) if denominator else None
