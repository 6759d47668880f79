"""What firework days cost: `python benchmarks/firework_days.py --data FOLDER --cache FOLDER`.

Each firework day before the first test day of a city is forecast from the earlier ones, over the ordinary forecast of the
regression of the *other* cities, moved to the city's level of the five weeks before. Prints Markdown: nats per positive of that
ordinary forecast, of the regime (`models/next_day/firework_days.py`), whose variances were chosen by this table, and of the
regime with each day's level known, which is what better levels could still bring.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from benchmark_cities import BENCHMARKS, TESTED, UNSEEN, history_of, parser
from scipy.special import expit
from shared_model import SAME_PLACE, training_start

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.fold_windows import INPUTS_WARM_UP_DAYS
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import next_day_inputs
from shotspotter_assets.models.next_day.firework_days import firework_probability, level_offset
from shotspotter_assets.models.probability import log_losses

LEVEL_DAYS: Final = 35
LEVEL_PRIOR: Final = 5.0
"""Pseudo-alerts of the ordinary forecast's own level."""


class Losses(NamedTuple):
    """Summed log loss (nats) of the firework days of a city, and their cell-days with alerts."""

    positives: int
    ordinary: float
    regime: float
    known_level: float


def ordinary_logits(history: History, name: str, data: Path, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """(indexes of the firework days, log odds of ordinary days for them, shape (firework days, cells))."""
    start = training_start(SAME_PLACE.get(name, name), data, cache)
    assert start is not None

    def logits(days: np.ndarray) -> np.ndarray:
        inputs = next_day_inputs(history, days)
        return inputs.values @ np.array([start.slopes.get(name, 0.0) for name in inputs.names]) + start.intercept

    is_firework = is_holiday_fireworks(history.days())
    fireworks = np.flatnonzero(is_firework)
    fireworks = fireworks[fireworks >= INPUTS_WARM_UP_DAYS]
    moved = []
    for day, own in zip(fireworks, logits(fireworks), strict=True):
        before = np.arange(max(day - LEVEL_DAYS, INPUTS_WARM_UP_DAYS), day)
        before = before[~is_firework[before]]
        expected = expit(logits(before)).sum() if len(before) else 0.0
        moved.append(own + np.log((history.observed[before].sum() + LEVEL_PRIOR) / (expected + LEVEL_PRIOR)))
    return fireworks, np.array(moved)


def losses_of(name: str, data: Path, cache: Path) -> Losses:
    """Of all firework days before the first cutoff, each forecast from the earlier ones."""
    city_history, benchmark = history_of(name, data, cache), BENCHMARKS[name]
    before = (benchmark.cutoffs[0] - benchmark.start).days
    in_coverage = estimate_coverage(city_history.daily_counts[:before].sum(axis=1, dtype=np.int64))
    history = city_history.daily(in_coverage).through(before)
    fireworks, logits = ordinary_logits(history, name, data, cache)
    days, observed = history.days()[fireworks], history.observed[fireworks]
    totals = np.zeros(3)
    for at, (day, own) in enumerate(zip(days, logits, strict=True)):
        regime = firework_probability(day, own, days[:at], logits[:at], observed[:at], in_coverage)
        known = expit(np.log(regime / (1 - regime)) + level_offset(np.log(regime / (1 - regime)), observed[at]))
        totals += [log_losses(forecast, observed[at]).sum() for forecast in (expit(own), regime, known)]
    return Losses(int(observed.sum()), *totals.tolist())


def rows(data: Path, cache: Path) -> Iterator[tuple[str, Losses]]:
    """By city, and of all."""
    everywhere = {name: losses_of(name, data, cache) for name in (*TESTED, *UNSEEN)}
    yield from everywhere.items()
    yield "all", Losses(*np.sum(list(everywhere.values()), axis=0))


def main() -> None:
    """Print the table."""
    chosen = parser(__doc__, cities=[]).parse_args()
    print("| city | positives | ordinary forecast | regime | regime, level known |")
    print("| --- " * 5 + "|")
    for name, losses in rows(chosen.data, chosen.cache):
        shown = " | ".join(f"{loss / losses.positives:.3f}" for loss in losses[1:])
        print(f"| {name} | {int(losses.positives):,} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
