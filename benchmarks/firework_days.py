"""What firework days cost: `python benchmarks/firework_days.py --data FOLDER --cache FOLDER`.

Each firework day before the first test day of a city is forecast from the earlier ones, over the ordinary forecast of the
regression of the *other* cities, moved to the city's level of the five weeks before. Prints Markdown: nats per positive of that
ordinary forecast, of the regime (`models/next_day/firework_days.py`), whose variances were chosen by this table, and of the
regime with each day's level known, which is what better levels could still bring; then the same by the number of Julys, or New
Years, that the city had seen before, with the mean of the ordinary forecast and of the regime.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from benchmark_cities import BENCHMARKS, TESTED, UNSEEN, history_of, parser
from scipy.special import expit, logit
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
MAX_SEEN: Final = 4
"""So many Julys or New Years, and more, are one row of the table."""


class Losses(NamedTuple):
    """Summed log loss (nats) of the firework days of a city, and their cell-days with alerts."""

    positives: int
    ordinary: float
    half: float
    """Of the mean of the ordinary forecast and of the regime."""
    regime: float
    known_level: float

    @classmethod
    def total(cls, losses: Iterable["Losses"]) -> "Losses":
        """Their sum."""
        positives, *nats = np.sum(list(losses), axis=0).tolist()
        return cls(int(positives), *nats)


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


def losses_of(name: str, data: Path, cache: Path) -> dict[int, Losses]:
    """Of the firework days before the first cutoff, each forecast from the earlier ones; by earlier Julys, or New Years, seen."""
    city_history, benchmark = history_of(name, data, cache), BENCHMARKS[name]
    before = (benchmark.cutoffs[0] - benchmark.start).days
    in_coverage = estimate_coverage(city_history.daily_counts[:before].sum(axis=1, dtype=np.int64))
    history = city_history.daily(in_coverage).through(before)
    fireworks, logits = ordinary_logits(history, name, data, cache)
    days, observed = history.days()[fireworks], history.observed[fireworks]
    # New Year's Eve belongs to the year that it begins, and July is half a year later.
    half_years = (days + np.timedelta64(7, "D")).astype("datetime64[M]").astype(np.int64) // 6
    by_seen: dict[int, list[Losses]] = defaultdict(list)
    for at, (day, own) in enumerate(zip(days, logits, strict=True)):
        regime = firework_probability(day, own, days[:at], logits[:at], observed[:at], in_coverage)
        known = expit(logit(regime) + level_offset(logit(regime), observed[at]))
        forecasts = expit(own), (expit(own) + regime) / 2, regime, known
        summed = [float(log_losses(forecast, observed[at]).sum()) for forecast in forecasts]
        earlier = set(half_years[:at]) - {half_years[at]}
        seen = sum((half_years[at] - one) % 2 == 0 for one in earlier)
        by_seen[min(seen, MAX_SEEN)].append(Losses(int(observed[at].sum()), *summed))
    return {seen: Losses.total(losses) for seen, losses in by_seen.items()}


def show(title: str, rows: Mapping[str, Losses]) -> None:
    """A Markdown table of nats per positive."""
    print(f"\n| {title} | positives | ordinary forecast | half of each | regime | regime, level known |")
    print("| --- " * 6 + "|")
    for name, losses in rows.items():
        shown = " | ".join(f"{loss / losses.positives:.3f}" for loss in losses[1:])
        print(f"| {name} | {losses.positives:,} | {shown} |")


def main() -> None:
    """Print the tables."""
    chosen = parser(__doc__, cities=[]).parse_args()
    everywhere = {name: losses_of(name, chosen.data, chosen.cache) for name in (*TESTED, *UNSEEN)}
    by_city = {name: Losses.total(by_seen.values()) for name, by_seen in everywhere.items()}
    show("city", by_city | {"all": Losses.total(by_city.values())})
    seen_before = sorted({seen for by_seen in everywhere.values() for seen in by_seen})
    by_seen = {
        str(seen): Losses.total(city[seen] for city in everywhere.values() if seen in city) for seen in seen_before
    }
    show("seen before", by_seen)


if __name__ == "__main__":
    main()
