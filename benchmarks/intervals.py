"""How often the stated 80% intervals of the next day hold: `python benchmarks/intervals.py --data FOLDER --cache FOLDER`.

Each fold of `next_day.py` as the live chain would have it: the distribution of counts and the interval of the probability
are fitted on the last days before the cutoff, with forecasts of a model that did not see them, and judged on the test
window. Beside each share stands the one to be expected if the stated distribution were true: an interval of whole numbers
cannot hold just 80%. Forecasts are kept in the cache.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from benchmark_cities import Fold, folds, parser
from scipy.special import expit, logit
from stack_members import members_of, stack_of

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import validation_of
from shotspotter_assets.models.next_day.stack import FittedStack
from shotspotter_assets.serving.intervals import CONFIDENCE, ENDS, day_offset, weekly_offset

MAX_ALERTS = 60
"""Alerts of one cell and day beyond which no number is told from another."""
TOP_SHARE = 0.05


def served(fold: Fold, cache: Path) -> FittedStack:
    """What would serve; its validation forecasts are by members fitted before that window."""
    return stack_of(fold, members_of(fold, cache))


def cell_shares(
    model: AlertCounts, p: np.ndarray, night: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(whether each cell's count is within its interval, probability that it is), each (days, cells)."""
    low, high = (np.minimum(model.quantile(end, p, night), MAX_ALERTS).astype(np.int64) for end in ENDS)
    up_to = np.exp(model.log_probability(np.arange(MAX_ALERTS + 1), p[..., None], night[..., None])).cumsum(axis=-1)
    below = np.where(low > 0, np.take_along_axis(up_to, np.maximum(low - 1, 0)[..., None], -1)[..., 0], 0)
    return (counts >= low) & (counts <= high), np.take_along_axis(up_to, high[..., None], -1)[..., 0] - below


def by_day(fold: Fold, cache: Path, days: int) -> dict[str, np.ndarray]:
    """Of each test day: whether it is a firework day, and hits and expected hits of city and cells."""
    history, test = fold.history, slice(fold.test.start, fold.test.stop)
    counts, fireworks = history.alerts[:, history.in_coverage], is_holiday_fireworks(history.days())
    stack = served(fold, cache)
    past = validation_of(stack)[-days:]
    window = slice(fold.validation.stop - len(past), fold.validation.stop)
    model = AlertCounts.fit(counts[window], past, fireworks[window])
    p, night, seen = stack.predict(history, fold.test), fireworks[test, None], counts[test]
    (low, high), total, distribution = (
        model.total_interval(p, night, CONFIDENCE),
        seen.sum(axis=1),
        model.total(p, night),
    )
    within, expected = cell_shares(model, p, night, seen)
    top = p >= np.quantile(p, 1 - TOP_SHARE, axis=1, keepdims=True)
    return {
        "fireworks": night[:, 0],
        "city": (total >= low) & (total <= high),
        "city expected": distribution.cdf(high) - distribution.cdf(low - 1),
        "cells": within.mean(axis=1),
        "cells expected": expected.mean(axis=1),
        "top cells": (within * top).sum(axis=1) / top.sum(axis=1),
        "top cells expected": (expected * top).sum(axis=1) / top.sum(axis=1),
        "width": (high - low) / np.maximum(model.expected(p, night).sum(axis=1), 1e-9),
    }


def levels(fold: Fold, cache: Path, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether the occupied cells lie within the intervals of the probabilities: (of ordinary weeks, of firework days)."""
    history, test = fold.history, slice(fold.test.start, fold.test.stop)
    stack = served(fold, cache)
    past = validation_of(stack)[-days:]
    window = slice(fold.validation.stop - len(past), fold.validation.stop)
    offset = weekly_offset(past, history.observed[window], history.days()[window])
    middle, observed, fireworks = (
        logit(stack.predict(history, fold.test)),
        history.observed[test],
        is_holiday_fireworks(history.days()[test]),
    )
    off = logit(stack.members[stack.heaviest].predict(history, fold.test)) - middle

    def within(rows: np.ndarray, length: int, offsets: tuple[float, float]) -> np.ndarray:
        low, high = expit(middle + offsets[0] + np.minimum(off, 0)), expit(middle + offsets[1] + np.maximum(off, 0))
        seen, least, most = (
            values[rows].sum(axis=1).reshape(-1, length).sum(axis=1) for values in (observed, low, high)
        )
        return np.asarray((seen >= least) & (seen <= most))

    ordinary = np.flatnonzero(~fireworks)
    weeks = within(ordinary[len(ordinary) % 7 :], 7, offset)
    return weeks, within(np.flatnonzero(fireworks), 1, day_offset(offset, fireworks=True))


def main() -> None:
    """Print Markdown: a line per city and kind of day."""
    arguments = parser(__doc__, cities=["washington_dc", "oakland", "cincinnati"])
    arguments.add_argument("--days", type=int, default=91, help="of the validation window, as many as live models have")
    chosen = arguments.parse_args()
    print("Share within the 80% interval (expected if the forecast distribution were true):\n")
    print(
        "| city, days | days | city's total | width / expected alerts | cells | upper 5% of cells | level of the week |"
    )
    print("| --- " * 7 + "|")
    for name in chosen.cities:
        days, weeks, firework_days = defaultdict(list), [], []
        for fold in folds(name, chosen.data, chosen.cache):
            for key, values in by_day(fold, chosen.cache, chosen.days).items():
                days[key].append(values)
            fold_weeks, fold_firework_days = levels(fold, chosen.cache, chosen.days)
            weeks.append(fold_weeks)
            firework_days.append(fold_firework_days)
        joined = {key: np.concatenate(values) for key, values in days.items()}
        fireworks = joined["fireworks"]
        level = {"ordinary": np.concatenate(weeks), "firework days": np.concatenate(firework_days)}
        for title, rows in (("all", fireworks | True), ("ordinary", ~fireworks), ("firework days", fireworks)):
            means = {key: values[rows].mean() for key, values in joined.items()}
            shares = [f"{means[key]:.1%} ({means[f'{key} expected']:.1%})" for key in ("city", "cells", "top cells")]
            shares.insert(1, f"{means['width']:.2f}")
            shown = f"{level[title].mean():.1%} of {len(level[title])}" if title in level else "-"
            print(f"| {name}, {title} | {rows.sum()} | " + " | ".join(shares) + f" | {shown} |")


if __name__ == "__main__":
    main()
