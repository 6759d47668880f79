"""The stack's prior weights, learned before the test years: `python benchmarks/stack_prior.py --data FOLDER --cache FOLDER`.

From each city the validation window of its first fold, which its members were fitted without, and from the tuning city four
test quarters as well; ordinary days only. The weights are those of one logistic regression over all cities, each with its own
offset, none with more weight than 400 positives have, shrunk towards equal weights. Every city is then forecast week by week
with the weights that the *other* cities learned, for several precisions of the prior. Prints Markdown: the weights, and the
gain over the best baseline of each city in hindsight, in nats per positive. `--hours 1 4` learns the weights of the stack of
hours instead, by horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_cities import Fold, HourlyFold, folds, hourly_folds, parser, print_head, print_row
from hours_members import kept_hourly
from scipy.optimize import minimize
from scipy.special import expit, logit
from shared_model import start_of
from stack_members import MEMBERS, members_of

from shotspotter_assets.calendar.dates import WEEK_HOURS
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.stack import HOURLY_MEMBERS, WEEK_DAYS
from shotspotter_assets.models.stacking import OFFSET_PRECISION, WEIGHT_PRECISION, WeightPosterior, combine, logits_of

CITIES = ("cincinnati", "fresno", "oakland", "san_francisco", "washington_dc_tuning")
TUNING = "washington_dc_tuning"
MAX_POSITIVES = 400
EQUAL_PRECISION = 30.0
"""Of the pull towards equal weights in the fit over all cities, in which members are nearly alike."""
PRECISIONS = (100.0, 300.0, 1000.0)

Array = np.ndarray


@dataclass(frozen=True)
class Past:
    """Periods of a city."""

    city: str
    members: Sequence[str]  # names
    logits: Array  # of the members, shape (periods, cells, members)
    observed: Array  # outcomes, shape (periods, cells)
    week: Array  # of each period, shape (periods,)
    ordinary: Array  # False for periods of fireworks, shape (periods,); weights are learned from the others alone

    @property
    def centre(self) -> float:
        return float(logit(self.observed[self.ordinary].mean()))

    @property
    def positives(self) -> int:
        return int(self.observed[self.ordinary].sum())


def past_of(fold: Fold, cache: Path, start: SharedStart | None, test: bool) -> Past:
    """Of a fold's validation window, or of its test window."""
    members = members_of(fold, cache, shared=start)
    window = fold.test if test else fold.validation
    ordinary = ordinary_days(fold.history)[window.start : window.stop]
    forecasts = [member.test if test else member.validation_probability for member in members.values()]
    logits = np.stack([logit(probability) for probability in forecasts], axis=-1)
    observed = fold.history.observed[window.start : window.stop]
    return Past(fold.history.city.name, MEMBERS, logits, observed, np.arange(len(window)) // WEEK_DAYS, ordinary)


def past_hours(fold: HourlyFold, cache: Path, horizon: int, test: bool) -> Past:
    """The same of periods of `horizon` hours."""
    history, window = fold.history, fold.test if test else fold.validation
    issues = history.issues(window, horizon)
    ordinary = ~fireworks_ahead(history, horizon)[issues]
    kept = {name: one.models[horizon] for name, one in kept_hourly(fold, cache, [horizon]).items()}
    logits = logits_of(
        {name: kept[name].test if test else kept[name].validation_probability for name in HOURLY_MEMBERS}
    )
    observed, week = history.occupied_within(horizon)[issues], (issues - window.start) // WEEK_HOURS
    return Past(history.city.name, HOURLY_MEMBERS, logits, observed, week, ordinary)


def shared_weights(pasts: Sequence[Past]) -> Array:
    """The weights that fit all cities, shape (members,)."""
    number = len(pasts[0].members)
    equal = np.full(number, 1 / number)
    learned_from = [(past.logits[past.ordinary] - past.centre, past.observed[past.ordinary]) for past in pasts]

    def loss(weights: Array) -> tuple[float, Array]:
        value = EQUAL_PRECISION / 2 * ((weights[:number] - equal) ** 2).sum()
        slope = np.append(EQUAL_PRECISION * (weights[:number] - equal), np.zeros(len(pasts)))
        for at, (past, (rows, observed)) in enumerate(zip(pasts, learned_from, strict=True), start=number):
            share = min(MAX_POSITIVES / past.positives, 1.0)
            log_odds = past.centre + weights[at] + rows @ weights[:number]
            value += share * (np.logaddexp(0, log_odds) - observed * log_odds).sum()
            error = share * (expit(log_odds) - observed)
            slope[:number] += np.tensordot(error, rows, axes=2)
            slope[at] += error.sum()
        return float(value), slope

    return minimize(loss, np.append(equal, np.zeros(len(pasts))), jac=True, method="L-BFGS-B").x[:number]


def walked(past: Past, weights: Array, weight_precision: float, offset_precision: float) -> Array:
    """Forecasts of each week with what the weeks before it taught, those of fireworks without a regime; (periods, cells)."""
    precision = np.diag([*[weight_precision] * len(weights), offset_precision])
    prior = WeightPosterior(tuple(past.members), past.centre, np.append(weights, 0.0), precision)
    by_week = prior.by_week(past.logits, past.observed, past.week, int(past.week[-1]) + 1, past.ordinary)
    return combine(by_week, past.week, past.logits, ~past.ordinary, ())


def gain(past: Past, forecast: Array) -> float:
    """Nats saved against the best baseline in hindsight, in ordinary periods."""
    observed = past.observed[past.ordinary]
    baselines = [at for at, name in enumerate(past.members) if FORECASTERS[name].is_baseline]
    losses = [log_losses(expit(past.logits[past.ordinary][..., at]), observed).sum() for at in baselines]
    return float(min(losses) - log_losses(forecast[past.ordinary], observed).sum())


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=CITIES, needs_data=True)
    arguments.add_argument("--hours", nargs="+", type=int, default=(), metavar="HORIZON")
    chosen = arguments.parse_args()
    for horizon in chosen.hours:
        print(f"\n### Next {horizon} h\n")
        pasts = []
        for city in chosen.cities:
            of_city = hourly_folds(city, chosen.data, chosen.cache)
            pasts.append(past_hours(of_city[0], chosen.cache, horizon, test=False))
            if city == TUNING:
                pasts += [past_hours(fold, chosen.cache, horizon, test=True) for fold in of_city[::2]]
        print_tables(pasts, chosen.cities)
    if chosen.hours:
        return
    pasts = []
    for city in chosen.cities:
        city_folds = folds(city, chosen.data, chosen.cache)[::2]
        starts = [start_of(city, fold.cutoff, chosen.data, chosen.cache) for fold in city_folds]
        pasts.append(past_of(city_folds[0], chosen.cache, starts[0], test=False))
        if city == TUNING:
            pasts += [past_of(fold, chosen.cache, start, True) for fold, start in zip(city_folds, starts, strict=True)]
    print_tables(pasts, chosen.cities)


def print_tables(pasts: Sequence[Past], cities: Sequence[str]) -> None:
    """Print the weights without each city, and what they gain in it."""
    members = pasts[0].members
    print_head("without", *members)
    learned = {}
    for left_out in ("none", *cities):
        learned[left_out] = shared_weights([past for past in pasts if past.city != left_out])
        print_row(left_out, *(f"{weight:.2f}" for weight in learned[left_out]))
    print()
    print_head("precision of weights, of the offset", *cities, "all")
    tried = [(weights, OFFSET_PRECISION) for weights in PRECISIONS]
    tried += [(WEIGHT_PRECISION, offset) for offset in (10.0, 200.0, 1e6)]
    for precisions in tried:
        saved = [(past, gain(past, walked(past, learned[past.city], *precisions))) for past in pasts]
        of_cities = [[(past, nats) for past, nats in saved if past.city == city] for city in cities]
        means = [sum(nats for _, nats in own) / sum(past.positives for past, _ in own) for own in (*of_cities, saved)]
        print_row(", ".join(f"{one:g}" for one in precisions), *(f"{mean:+.4f}" for mean in means))


if __name__ == "__main__":
    main()
