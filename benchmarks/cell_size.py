"""Skill against the size of cells, told on streets: `python benchmarks/cell_size.py --data FOLDER --cache FOLDER [--cities ...]`.

Days before the first test days alone, a quarter of each: Washington DC 2017, Oakland 2010, Cincinnati 2021. The logistic
regression forecasts cells of several sizes; each forecast is divided among the segments of streets by their past in these
cells, and scored on the segments that are covered whole at every size, so that sizes can be compared. Prints Markdown: gains
over the usual 36 x 36 cells in nats per segment-day with an alert, with 90% intervals of a weekly block bootstrap, hit rates of
1, 2 and 5% of the length, and what the fit took.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmark_cities import BENCHMARKS, folds, parser, quarters
from streets import CITIES, Town

from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.street_scores import LENGTHS, Network, hits, soft_losses
from shotspotter_assets.gridding.cells import cell_metres
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.streets.shares import StreetShares

SIZES = (12, 18, 24, 36, 54)
"""Rows and columns."""
USUAL = 36
FORECASTER = "logistic_regression"
CUTOFFS = {"washington_dc": quarters(2017, 1, 1), "oakland": quarters(2010, 1, 1), "cincinnati": quarters(2021, 1, 1)}


@dataclass(frozen=True)
class Forecast:
    """The forecast of one size.

    Attributes:
        expected: alert days by day and segment, shape (days, segments).
        covered: metres of each segment within covered cells, shape (segments,).
        width: of a cell in metres.
        height: same.
        cells: covered ones.
        seconds: of CPU for the fit.
    """

    expected: np.ndarray
    covered: np.ndarray
    width: float
    height: float
    cells: int
    seconds: float


def forecast_of(name: str, size: int, data: Path, cache: Path) -> tuple[Forecast, Town, np.ndarray]:
    """The forecast of a city at a size for the days of its test window; fitted before them, shares learned before them."""
    benchmark = f"{name}_{size}_cells"
    BENCHMARKS[benchmark] = replace(BENCHMARKS[name], cutoffs=CUTOFFS[name], cells=size)
    [fold] = folds(benchmark, data, cache)
    history, days = fold.history, fold.history.days()
    town = Town.of(benchmark, data, streets=name)
    started = time.process_time()
    kept = cache / f"{fold.name}_{FORECASTER}.npz"
    if not kept.exists():
        fitted = forecaster(FORECASTER).fit(
            history.through(fold.validation.stop), fold.train, fold.validation, FitContext(None)
        )
        seconds = time.process_time() - started
        np.savez(kept, forecast=fitted.predict(history, fold.test), seconds=seconds)
        print(f"{fold.name}: {history.in_coverage.sum()} cells, {seconds:.0f} s of CPU", file=sys.stderr, flush=True)
    stored = np.load(kept)
    shares = StreetShares.fit(town.city, town.parts, town.learned.before(days[fold.test.start]))
    probability = np.zeros((len(fold.test), town.parts.cells))
    probability[:, history.in_coverage.ravel()] = stored["forecast"]
    expected, _ = shares.divided(-shares.segments_per_day * np.log1p(-probability))
    network = Network.of(town.parts, history.in_coverage)
    covered = np.zeros(town.parts.segments)
    covered[network.shown] = network.metres
    height, width = cell_metres(town.city)
    forecast = Forecast(expected, covered, width, height, int(history.in_coverage.sum()), float(stored["seconds"]))
    return forecast, town, days[fold.test.start : fold.test.stop]


def main() -> None:
    """Forecast what is not in the cache, and print the table."""
    chosen = parser(__doc__, cities=CITIES, choices=CITIES).parse_args()
    lengths = " | ".join(f"hit rate of {length}%" for length in LENGTHS)
    print(
        f"| city | cells | covered | gain over {USUAL} x {USUAL} | pred/obs | {lengths} | fit, s of CPU |\n"
        f"{'| --- ' * (6 + len(LENGTHS))}|"
    )
    for name in chosen.cities:
        made = {size: forecast_of(name, size, chosen.data, chosen.cache) for size in SIZES}
        _, town, days = made[USUAL]
        whole = np.all([forecast.covered > 0.999 * town.segments.metres for forecast, _, _ in made.values()], axis=0)
        shown, metres = np.flatnonzero(whole), town.segments.metres[whole]
        network = Network(shown, metres, np.ones(town.parts.cells, dtype=bool))
        observed = town.alert_days(network, town.scored, days).toarray()
        losses = {
            str(size): soft_losses(-np.expm1(-forecast.expected[:, shown]), observed).sum(axis=1)
            for size, (forecast, _, _) in made.items()
        }
        weekly = weekly_sums(days, observed.sum(axis=1), losses)
        for size, (forecast, _, _) in made.items():
            expected = forecast.expected[:, shown]
            found = hits(expected, observed, metres)
            rates = " | ".join(f"{found[length] / observed.sum():.3f}" for length in LENGTHS)
            gain = "" if size == USUAL else weekly_gain(weekly, str(size), str(USUAL)).text()
            print(
                f"| {name} | {forecast.width:.0f} x {forecast.height:.0f} m | {forecast.cells:,} | {gain} | "
                f"{-np.expm1(-expected).sum() / observed.sum():.2f} | {rates} | "
                f"{forecast.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
