"""What poverty and vacancy tell of a city's first quarter: `python benchmarks/factors_first_days.py --data FOLDER --cache FOLDER`.

What serves in the first days (`new_city`) gives all cells the same rate to start at. Here a cell starts at that rate times what its
census figures told in the other two cities of `factors.py`, before their own first test days: the slopes of a regression on
the figures and a level for each city. Gains over `new_city` on days 2 to 92 without firework days, and on those to 31, in nats per
positive with 90% intervals of a weekly block bootstrap; for the cells that turn out to be covered, and for the whole box. Prints
Markdown.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from benchmark_cities import BENCHMARKS, history_of, parser
from factors import CUTOFFS, factors_of, name_with_factors
from new_city import QUARTER, VALIDATION

from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.filters import decayed_sums, smooth_cells
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.new_city import (
    AROUND_ALERTS,
    AROUND_CELLS,
    HEARD_SHARE,
    HERE_ALERTS,
    FittedNewCity,
)
from shotspotter_assets.models.next_day.shared_regression import LOG_RATE_SD
from shotspotter_assets.models.next_day.shrunk_regression import fit_shrunk_regression
from shotspotter_assets.models.probability import clip_probability, log_losses

Array = npt.NDArray[np.float64]

FIGURES = ("factor_poverty_rate", "factor_vacancy_rate")
FIRST_MONTH = 30
WIDE_VARIANCE = 10.0


@dataclass(frozen=True)
class StartedAtFactors(FittedNewCity):
    """`new_city`, each cell of which starts at the city's rate times `relative`, shape (cells,)."""

    relative: Array = field(default_factory=lambda: np.ones(1))

    def _rates(self, history: History, days: range) -> tuple[Array, Array]:
        in_coverage, known = history.in_coverage, history.known_before(days)
        alerts, seen = (
            sums[known] for sums in decayed_sums(history.observed.astype(np.float64), np.inf, ordinary_days(history))
        )
        total, shape = alerts.sum(axis=1, keepdims=True), self._city_shape
        mean = np.exp(self.log_rate + self.log_rate_sd**2 / 2) * (HEARD_SHARE if in_coverage.all() else 1.0)
        city = mean * (shape + total) / (shape + mean * seen * alerts.shape[1])
        cells = 4 * np.pi * AROUND_CELLS**2
        near = smooth_cells(alerts, in_coverage, AROUND_CELLS) * cells
        relative = np.broadcast_to(self.relative, alerts.shape).copy()
        expected = city * smooth_cells(relative, in_coverage, AROUND_CELLS) * seen * cells
        around = city * relative * (AROUND_ALERTS + near) / (AROUND_ALERTS + expected)
        here = around * (HERE_ALERTS + alerts) / (HERE_ALERTS + around * seen)
        return here, np.zeros_like(here)


def figures_of(history: History) -> Array:
    """`FIGURES` of the covered cells as differences from their means, shape (cells, figures)."""
    factors = {factor.name: factor for factor in history.factors.of_cells}
    after = history.days(more=1)[-1:]
    return np.stack([factors[name].inputs(after, history.in_coverage)[0] for name in FIGURES], axis=1)


def slopes_of(histories: list[History]) -> Array:
    """Log odds by unit of each of `FIGURES`, with a level for each city."""
    levels = np.repeat(np.eye(len(histories))[:, 1:], [history.observed.shape[1] for history in histories], axis=0)
    inputs = np.hstack([np.concatenate([figures_of(history) for history in histories]), levels])
    ordinary = [history.observed[ordinary_days(history)] for history in histories]
    occupied = np.concatenate([observed.sum(axis=0) for observed in ordinary])
    empty = np.concatenate([(~observed).sum(axis=0) for observed in ordinary])
    weights, _ = fit_shrunk_regression(
        np.concatenate([inputs, inputs]),
        np.repeat([True, False], len(inputs)),
        np.zeros(inputs.shape[1]),
        WIDE_VARIANCE,
        np.concatenate([occupied, empty]).astype(np.float64),
    )
    return weights[: len(FIGURES)]


def compared(history: History, others: list[History]) -> list[str]:
    """The gains on all days and on those of the first month."""
    relative = np.exp(figures_of(history) @ slopes_of(others))
    rates = np.log([other.observed[ordinary_days(other)].mean() for other in others])
    same = StartedAtFactors(rates.mean(), LOG_RATE_SD, {}, {})
    kept = ordinary_days(history)[QUARTER.start : QUARTER.stop]
    observed = history.observed[QUARTER.start : QUARTER.stop][kept]
    losses = {
        name: log_losses(clip_probability(model._rates(history, QUARTER)[0][kept]), observed).sum(axis=1)
        for name, model in (("same", same), ("factors", replace(same, relative=relative / relative.mean())))
    }
    days, positives = history.days()[QUARTER.start : QUARTER.stop][kept], observed.sum(axis=1)
    return [
        weekly_gain(
            weekly_sums(days[:stop], positives[:stop], {name: loss[:stop] for name, loss in losses.items()}),
            "factors",
            "same",
        ).text("+.3f")
        for stop in (len(days), FIRST_MONTH)
    ]


def main() -> None:
    """Print the table."""
    chosen = parser(__doc__, cities=list(CUTOFFS), choices=list(CUTOFFS)).parse_args()
    training = {}
    for city in CUTOFFS:
        name, first_test = name_with_factors(city), BENCHMARKS[city].cutoffs[0]
        BENCHMARKS[name] = replace(BENCHMARKS[city], factors=factors_of(city, chosen.data, chosen.cache))
        before = history_of(name, chosen.data, chosen.cache).until(first_test - timedelta(days=1))
        training[city] = before.daily(estimate_coverage(before.daily_counts.sum(axis=1, dtype=np.int64)))
    print(
        "| city | positives | covered cells | its first month | whole box | its first month |\n| --- "
        + "| --- " * 5
        + "|"
    )
    for city in chosen.cities:
        stored = history_of(name_with_factors(city), chosen.data, chosen.cache)
        in_coverage = estimate_coverage(stored.daily_counts[: VALIDATION.stop].sum(axis=1, dtype=np.int64))
        others = [history for other, history in training.items() if other != city]
        histories = [stored.daily(mask).through(VALIDATION.stop) for mask in (in_coverage, np.ones_like(in_coverage))]
        kept = ordinary_days(histories[0])[QUARTER.start : QUARTER.stop]
        positives = histories[0].observed[QUARTER.start : QUARTER.stop][kept].sum()
        gains = [gain for history in histories for gain in compared(history, others)]
        print(f"| {city} | {positives:,} | {' | '.join(gains)} |", flush=True)


if __name__ == "__main__":
    main()
