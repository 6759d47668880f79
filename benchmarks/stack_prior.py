"""The stack's prior weights, learned before the test years: `python benchmarks/stack_prior.py --data FOLDER --cache FOLDER`.

From each city the validation window of its first fold, which its members were fitted without, and from the tuning city four
test quarters as well; ordinary days only. The weights are those of one logistic regression over all cities, each with its own
offset, none with more weight than 400 positives have, shrunk towards equal weights. Every city is then forecast week by week
with the weights that the *other* cities learned, for several precisions of the prior. Prints Markdown: the weights, and the
gain over the best baseline of each city in hindsight, in nats per positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_cities import Fold, folds, parser
from scipy.optimize import minimize
from scipy.special import expit, logit
from shared_model import start_of
from stack_members import MEMBERS, members_of

from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.stack import OFFSET_PRECISION, WEIGHT_PRECISION
from shotspotter_assets.models.next_day.trust import WEEK, Trust
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import BASELINES

CITIES = ("cincinnati", "fresno", "oakland", "san_francisco", "washington_dc_tuning")
TUNING = "washington_dc_tuning"
MAX_POSITIVES = 400
EQUAL_PRECISION = 30.0
"""Of the pull towards equal weights in the fit over all cities, in which members are nearly alike."""
PRECISIONS = (100.0, 300.0, 1000.0)

Array = np.ndarray


@dataclass(frozen=True)
class Past:
    """Ordinary days of a city: log odds of the members (days, cells, members), and what came (days, cells)."""

    city: str
    logits: Array
    observed: Array

    @property
    def centre(self) -> float:
        return float(logit(self.observed.mean()))

    @property
    def positives(self) -> int:
        return int(self.observed.sum())


def past_of(fold: Fold, cache: Path, start: SharedStart | None, test: bool) -> Past:
    """Of a fold's validation window, or of its test window."""
    members = members_of(fold, cache, shared=start)
    window = fold.test if test else fold.validation
    kept = ordinary_days(fold.history)[window.start : window.stop]
    forecasts = [member.test if test else member.validation_probability for member in members.values()]
    logits = np.stack([logit(probability[kept]) for probability in forecasts], axis=-1)
    return Past(fold.history.city.name, logits, fold.history.observed[window.start : window.stop][kept])


def shared_weights(pasts: Sequence[Past]) -> Array:
    """The weights that fit all cities, shape (members,)."""
    equal, number = np.full(len(MEMBERS), 1 / len(MEMBERS)), len(MEMBERS)

    def loss(weights: Array) -> tuple[float, Array]:
        value = EQUAL_PRECISION / 2 * ((weights[:number] - equal) ** 2).sum()
        slope = np.append(EQUAL_PRECISION * (weights[:number] - equal), np.zeros(len(pasts)))
        for at, past in enumerate(pasts, start=number):
            share = min(MAX_POSITIVES / past.positives, 1.0)
            rows = past.logits - past.centre
            log_odds = past.centre + weights[at] + rows @ weights[:number]
            value += share * (np.logaddexp(0, log_odds) - past.observed * log_odds).sum()
            error = share * (expit(log_odds) - past.observed)
            slope[:number] += np.tensordot(error, rows, axes=2)
            slope[at] += error.sum()
        return float(value), slope

    return minimize(loss, np.append(equal, np.zeros(len(pasts))), jac=True, method="L-BFGS-B").x[:number]


def gain(past: Past, weights: Array, weight_precision: float, offset_precision: float) -> float:
    """Nats saved against the best baseline in hindsight, each week forecast with what the weeks before it taught."""
    trust = Trust(np.append(weights, 0.0), np.diag([*[weight_precision] * len(weights), offset_precision]))
    loss = 0.0
    for first in range(0, len(past.observed), WEEK):
        logits, observed = past.logits[first : first + WEEK], past.observed[first : first + WEEK]
        loss += log_losses(expit(trust.log_odds(logits, past.centre)), observed).sum()
        trust = trust.after(logits.reshape(-1, logits.shape[-1]), observed.ravel(), past.centre)
    baselines = [at for at, name in enumerate(MEMBERS) if name in BASELINES]
    return float(min(log_losses(expit(past.logits[..., at]), past.observed).sum() for at in baselines) - loss)


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    chosen = parser(__doc__, cities=CITIES).parse_args()
    pasts = []
    for city in chosen.cities:
        city_folds = folds(city, chosen.data, chosen.cache)
        starts = {fold.name: start_of(city, fold.cutoff, chosen.data, chosen.cache) for fold in city_folds[::2]}
        pasts.append(past_of(city_folds[0], chosen.cache, starts[city_folds[0].name], test=False))
        if city == TUNING:
            pasts += [past_of(fold, chosen.cache, starts[fold.name], test=True) for fold in city_folds[::2]]
    print(f"| without | {' | '.join(MEMBERS)} |\n{'| --- ' * (len(MEMBERS) + 1)}|")
    learned = {}
    for left_out in ("none", *chosen.cities):
        learned[left_out] = shared_weights([past for past in pasts if past.city != left_out])
        print(f"| {left_out} | {' | '.join(f'{weight:.2f}' for weight in learned[left_out])} |", flush=True)
    print(f"\n| precision of weights, of the offset | {' | '.join(chosen.cities)} | all |")
    print("| --- " * (len(chosen.cities) + 2) + "|")
    tried = [(weights, OFFSET_PRECISION) for weights in PRECISIONS]
    tried += [(WEIGHT_PRECISION, offset) for offset in (10.0, 200.0, 1e6)]
    for weight_precision, offset_precision in tried:
        saved = [gain(past, learned[past.city], weight_precision, offset_precision) for past in pasts]
        by_city = [
            sum(one for one, past in zip(saved, pasts, strict=True) if past.city == city)
            / sum(past.positives for past in pasts if past.city == city)
            for city in chosen.cities
        ]
        pooled = sum(saved) / sum(past.positives for past in pasts)
        print(
            f"| {weight_precision:g}, {offset_precision:g} | {' | '.join(f'{one:+.4f}' for one in by_city)} | {pooled:+.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
