"""A city's first quarter, without own past: `python benchmarks/new_city.py --data FOLDER --cache FOLDER`.

What serves in the first days (`new_city`) starts at the other cities with alerts (`shared_model.py`), as they were before their own
first test days. Its days are compared, without firework days, with the mean of each cell's history as it will be after six months:
fitted on the half year *after* that quarter. Once for the cells that turn out to be covered by then, once for the whole box. Prints
Markdown: nats per positive over that mean, predicted / observed, and whether the rate of the first quarter lay in the 80% interval
of the first day.
"""

from pathlib import Path

import numpy as np
from benchmark_cities import history_of, parser, print_head, print_row
from shared_model import PLACES, SAME_PLACE, training_start

from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.probability import log_losses

YES_NO = {True: "yes", False: "no"}
QUARTER, HALF_YEAR, VALIDATION = range(1, 92), range(92, 250), range(250, 274)


def compared(history: History, place: str, data: Path, cache: Path) -> tuple[float, float, float, bool]:
    """(positives, gain in nats per positive, predicted / observed, whether the rate lay in the first day's interval)."""
    start = training_start(place, data, cache)
    new_city = forecaster("new_city").fit(history, range(1), range(1), FitContext(shared=start))
    later = forecaster("historical_mean").fit(history, HALF_YEAR, VALIDATION)
    kept = ordinary_days(history)[QUARTER.start : QUARTER.stop]
    observed = history.observed[QUARTER.start : QUARTER.stop][kept]
    p, mean = (model.predict(history, QUARTER)[kept] for model in (new_city, later))
    gain = (log_losses(mean, observed).sum() - log_losses(p, observed).sum()) / observed.sum()
    factor = new_city.city_factor(history.through(1))
    off = observed.mean() / p[0].mean()
    return observed.sum(), gain, p.sum() / observed.sum(), bool(1 / factor <= off <= factor)


def main() -> None:
    """Print the table."""
    cities = [name for names in PLACES.values() for name in names]
    chosen = parser(__doc__, cities, needs_data=True).parse_args()
    gains = "covered cells: gain", "pred/obs", "whole box: gain", "pred/obs"
    print_head("city", "positives", *gains, "rate in the interval")
    sums = np.zeros(3)
    for city in chosen.cities:
        stored, place = history_of(city, chosen.data, chosen.cache), SAME_PLACE[city]
        in_coverage = estimate_coverage(stored.daily_counts[: VALIDATION.stop].sum(axis=1, dtype=np.int64))
        masks = in_coverage, np.ones_like(in_coverage)
        (number, gain, ratio, _), (_, box_gain, box_ratio, within) = (
            compared(stored.daily(mask).through(VALIDATION.stop), place, chosen.data, chosen.cache) for mask in masks
        )
        sums += number * np.array([1, gain, box_gain])
        scores = f"{gain:+.3f}", f"{ratio:.2f}", f"{box_gain:+.3f}", f"{box_ratio:.2f}"
        print_row(city, f"{number:,}", *scores, YES_NO[within])
    print_row("all", f"{sums[0]:,.0f}", f"{sums[1] / sums[0]:+.3f}", "", f"{sums[2] / sums[0]:+.3f}", "", "")


if __name__ == "__main__":
    main()
